"""Evicting many small blobs, against deleting the same as files."""

from __future__ import annotations

import os
import time
from pathlib import Path

from harness.larder import KV
from harness.pairs import Run, alternate
from harness.process import Failed, settle, timed
from harness.subject import Bench, Promise, Result, Subject, faster

FILES = 200_000
"""The peer deletes this many; its cost for the whole is taken from that."""
SIZE = 4096
DEADLINE = 600.0


def run(bench: Bench) -> Result:
    blobs = int(bench.evict_gib * (1 << 30) / SIZE)

    def ours(number: int) -> Run:
        # Nothing may be protected by a recent answer here: it is the cost of dropping that is asked.
        with bench.folder() as home, bench.server(home / "data", LARDER_STORE_RETENTION="1s") as server:
            bench.load.put(server.addr, KV, blobs, connections=64)
            settle(home)
            time.sleep(3)
            full, before, start = used(home / "data"), server.cpu(), time.monotonic()
            done = bench.client(server.addr, home / "memory").gc("--quota", "64 MiB")
            seconds = time.monotonic() - start
            # The index keeps its file and uses its pages again; what counts are the segments.
            left = used(home / "data" / "segments")
            if left > full / 20:
                raise Failed(f"gc left {left} of {full} bytes")
            return Run(seconds, done.cpu + server.cpu() - before, done.peak_kib, server.memory(), full)

    def theirs(number: int) -> Run:
        with bench.folder() as home:
            make_files(home / "files")
            settle(home)
            cost = timed(["rm", "-rf", str(home / "files")])
            scale = blobs / FILES
            return Run(cost.seconds * scale, cost.cpu * scale, cost.peak_kib, bytes=blobs * SIZE)

    # One run of Larder's side takes minutes to fill; the ratio wanted is far above the noise.
    sides = alternate(min(bench.rounds, 2), ours if bench.larder else None, theirs, "rm of files")
    per_file = sides[1].median / blobs * 1e6
    return Result(
        *sides,
        "seconds",
        [Promise("times less time", faster(*sides), 50)],
        [bench.limits.text("disk")],
        [f"{blobs:,} blobs; the peer deletes {FILES:,} files in 256 folders, {per_file:.0f} microseconds each, extrapolated"],
    )


def make_files(home: Path) -> None:
    """In 256 folders, as caches lay them out."""
    noise = os.urandom(SIZE)
    for folder in range(256):
        (home / f"{folder:02x}").mkdir(parents=True)
    for number in range(FILES):
        with open(home / f"{number % 256:02x}" / f"{number:032x}", "wb", buffering=0) as file:
            file.write(noise)


def used(folder: Path) -> int:
    """Bytes on the disk; files that vanish meanwhile count nothing."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total


SUBJECT = Subject("evict", "evicting 10 GB of 4 KiB blobs", "deleting the same as files", "50 times less time", run)
