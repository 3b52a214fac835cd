"""What the npm package @actions/cache (6.0.1) does on Linux, against an object store instead of its own service.

Reproduced from its source: the command lines of GNU tar with `zstdmt` and `unzstd`, to and from a file; one PUT up to 128 MiB, else
blocks of 64 MiB, eight at a time; one GET to a file for a host that is not Azure's. Not reproduced: the calls to its service (reserve,
look up, finalise), Azure's protocol for blocks (parts of a multipart upload stand for them), and its own cost: a process of Node that
moves the bytes, in place of which the load generator does, and lets the kernel copy.
"""

from __future__ import annotations

import time
from pathlib import Path

from harness.load import Load
from harness.process import Cost, timed
from harness.s3 import ObjectStore

BLOCK, CONCURRENCY, SINGLE = 64 << 20, 8, 128 << 20


def pack(parent: Path, name: str, folder: Path) -> tuple[Cost, Path]:
    archive, manifest = folder / "cache.tzst", folder / "manifest.txt"
    manifest.write_text(f"{name}\n")
    command = ["tar", "--posix", "-cf", str(archive), "--exclude", str(archive), "-P", "-C", str(parent)]
    return timed([*command, "--files-from", str(manifest), "--use-compress-program", "zstdmt"]), archive


def upload(load: Load, store: ObjectStore, archive: Path, key: str) -> Cost:
    size = archive.stat().st_size
    start = time.monotonic()
    if size <= SINGLE:
        cost = load.send(store.addr, store.presigned("PUT", key), archive)
        return cost
    upload = store.begin(key)
    count = -(-size // BLOCK)
    targets = archive.with_name("targets.txt")
    targets.write_text(
        "".join(store.presigned("PUT", key, {"partNumber": str(number), "uploadId": upload}) + "\n" for number in range(1, count + 1))
    )
    cost = load.parts(store.addr, BLOCK, CONCURRENCY, archive, targets)
    store.complete(key, upload, cost.output.split())
    return Cost(time.monotonic() - start, cost.cpu, cost.peak_kib, "")


def download(load: Load, store: ObjectStore, key: str, archive: Path) -> Cost:
    return load.fetch_to(store.addr, store.presigned("GET", key), archive)


def unpack(archive: Path, parent: Path) -> Cost:
    return timed(["tar", "-xf", str(archive), "-P", "-C", str(parent), "--use-compress-program", "unzstd"])
