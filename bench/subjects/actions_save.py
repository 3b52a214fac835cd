"""The first save of a large tree to a bucket, beside what the npm package @actions/cache does."""

from __future__ import annotations

from pathlib import Path

from harness import actions
from harness.bucket import memory, saves
from harness.process import Cost
from harness.s3 import ObjectStore
from harness.subject import Bench, Promise, Result, Subject, faster

KEY = "cache.tzst"
REPRODUCED = (
    "reproduced of @actions/cache 6.0.1: its commands (`tar --posix -P` with `zstdmt` to a file, back with `unzstd`), its blocks of 64 MiB, eight at "
    "a time, and its one stream down to a file; not its calls to its service, nor Node: bytes are moved by a program that costs less"
)


def run(bench: Bench) -> Result:
    def upload(store: ObjectStore, home: Path, here: Path) -> tuple[list[Cost], int]:
        packed, file = actions.pack(home, "grown", here)
        return [packed, actions.upload(bench.load, store, file, KEY)], file.stat().st_size

    larder, peer, notes = saves(bench, "@actions/cache's commands", upload)
    return Result(
        larder,
        peer,
        "seconds",
        [Promise("times faster", faster(larder, peer), 1.3), memory(larder)],
        [bench.limits.text("sha256"), bench.limits.text("zstd"), bench.limits.text("disk")],
        [*notes, REPRODUCED],
    )


SUBJECT = Subject(
    "actions-save",
    "first save of a large tree to a bucket",
    "what the npm package @actions/cache does, to the same object store",
    "1.3 times faster; the client under 256 MiB",
    run,
)
