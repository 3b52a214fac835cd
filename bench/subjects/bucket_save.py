"""The first save of a large tree to a bucket, until the entry is published."""

from __future__ import annotations

from pathlib import Path

from harness import archive
from harness.bucket import memory, saves
from harness.process import Cost
from harness.s3 import AwsCli, ObjectStore
from harness.subject import Bench, Promise, Result, Subject, faster

PEER = "tar, zstd -T0 -3, aws s3 cp"


def upload(store: ObjectStore, home: Path, here: Path) -> tuple[list[Cost], int]:
    file = here / "tree.tar.zst"
    packed = archive.pack(home, "grown", file)
    return [packed, AwsCli(store).upload(file, "tree.tar.zst")], file.stat().st_size


def measure(bench: Bench, *, by_node: bool) -> Result:
    larder, peer, notes = saves(bench, PEER, upload, by_node=by_node)
    return Result(
        larder,
        peer,
        "seconds",
        [Promise("times faster", faster(larder, peer), 1.1), memory(larder)],
        [bench.limits.text("sha256"), bench.limits.text("zstd"), bench.limits.text("disk")],
        [*notes, "everything runs on the same CPUs; Larder has read back and checked what it publishes"],
    )


SUBJECT = Subject(
    "bucket-save",
    "first save of a large tree to a bucket",
    "`tar | zstd -T0 -3` to a file, and `aws s3 cp` of it to the same object store",
    "1.1 times faster; the client under 256 MiB",
    lambda bench: measure(bench, by_node=False),
)

BY_NODE = Subject(
    "node-save",
    "the same save to a node beside the job, until the node has sent it and it is published",
    "`tar | zstd -T0 -3` to a file, and `aws s3 cp` of it to the same object store",
    "1.1 times faster; the client under 256 MiB",
    lambda bench: measure(bench, by_node=True),
)
