"""Restoring a large tree from a bucket to an empty directory, beside what the npm package @actions/cache does."""

from __future__ import annotations

from pathlib import Path

from harness import actions
from harness.bucket import memory, restores
from harness.process import Cost
from harness.s3 import ObjectStore
from harness.subject import Bench, Promise, Result, Subject, faster
from subjects.actions_save import KEY, REPRODUCED


def run(bench: Bench) -> Result:
    def upload(store: ObjectStore, home: Path, here: Path) -> tuple[list[Cost], int]:
        packed, file = actions.pack(home, "grown", here)
        return [packed, actions.upload(bench.load, store, file, KEY)], file.stat().st_size

    def download(store: ObjectStore, here: Path) -> list[Cost]:
        file = here / KEY
        fetched = actions.download(bench.load, store, KEY, file)
        return [fetched, actions.unpack(file, here)]

    larder, peer, notes = restores(bench, "@actions/cache's commands", upload, download)
    return Result(
        larder,
        peer,
        "seconds",
        [Promise("times faster", faster(larder, peer), 1.5), memory(larder)],
        [bench.limits.text("sha256"), bench.limits.text("zstd"), bench.limits.text("disk")],
        [*notes, REPRODUCED],
    )


SUBJECT = Subject(
    "actions-restore",
    "restore of a large tree from a bucket, every digest checked",
    "what the npm package @actions/cache does, from the same object store",
    "1.5 times faster; the client under 256 MiB",
    run,
)
