"""Restoring a large tree from a bucket to an empty directory."""

from __future__ import annotations

from pathlib import Path

from harness.bucket import memory, restores
from harness.process import Cost
from harness.s3 import AwsCli, ObjectStore
from harness.subject import Bench, Promise, Result, Subject, faster
from subjects.bucket_save import upload


def download(store: ObjectStore, here: Path) -> list[Cost]:
    return [AwsCli(store).unpack("tree.tar.zst", here)]


def measure(bench: Bench, *, by_node: bool) -> Result:
    larder, peer, notes = restores(bench, "aws s3 cp, zstd -d, tar x", upload, download, by_node=by_node)
    return Result(
        larder,
        peer,
        "seconds",
        [Promise("times faster", faster(larder, peer), 1.2), memory(larder)],
        [bench.limits.text("sha256"), bench.limits.text("zstd"), bench.limits.text("disk")],
        notes,
    )


SUBJECT = Subject(
    "bucket-restore",
    "restore of a large tree from a bucket, every digest checked",
    "`aws s3 cp` from the same object store, piped into `zstd -d | tar x`",
    "1.2 times faster; the client under 256 MiB",
    lambda bench: measure(bench, by_node=False),
)

BY_NODE = Subject(
    "node-restore",
    "the same restore by a node beside the job, which keeps what it fetches",
    "`aws s3 cp` from the same object store, piped into `zstd -d | tar x`",
    "1.2 times faster; the client under 256 MiB",
    lambda bench: measure(bench, by_node=True),
)
