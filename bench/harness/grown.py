"""A tree of any size that is as compressible as the sample and has no more in common with itself than the sample has.

Copy N of the sample has every byte combined with N: a renaming of byte values, which leaves to a compressor all it had to find, and to
deduplication nothing between two copies.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

from harness.process import Failed
from harness.sample import walk

SHARE = 20
"""One file of so many changes."""
MARK = 0x80
"""What changes a file: a bit that no copy's number has."""


def grow(base: Path, target: Path, size: int) -> int:
    """Fills `target` from the sample with what fits into `size` bytes, in an order that has nothing to do with names. Returns the bytes."""
    files = sorted((p for p in walk(base) if stat.S_ISREG(p.lstat().st_mode)), key=lambda path: place(path.relative_to(base)))
    if not files:
        raise Failed(f"the sample at {base} has no files")
    written = 0
    for number in range(MARK):
        twins: dict[int, Path] = {}
        for source in files:
            path = target / f"copy-{number}" / source.relative_to(base)
            status = source.lstat()
            twin = twins.get(status.st_ino)
            if not twin and written + status.st_size > size:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            # Cargo links its results to a second name.
            if twin:
                os.link(twin, path)
                continue
            path.write_bytes(renamed(source.read_bytes(), number))
            shutil.copystat(source, path)
            twins[status.st_ino] = path
            written += status.st_size
        if written > size * 0.99:
            return written
    raise Failed(f"{size} bytes cannot be had of this sample")


def change(tree: Path, turn: int) -> list[Path]:
    """Gives another content to one file in `SHARE`, each turn to others: every chunk of it is new. As a build does, by a new file."""
    assert turn < SHARE, "no file is changed twice, as that would bring its first content back"
    changed = []
    for path in walk(tree):
        if not stat.S_ISREG(path.lstat().st_mode) or place(path.relative_to(tree)) % SHARE != turn:
            continue
        fresh = path.with_name(path.name + ".new")
        fresh.write_bytes(renamed(path.read_bytes(), MARK))
        fresh.chmod(stat.S_IMODE(path.lstat().st_mode))
        fresh.replace(path)
        changed.append(path)
    return changed


def compressed(files: list[Path], scratch: Path) -> int:
    """The bytes of these files, each by itself at level 1 (Larder's), or as it is where that is less: what must be sent at least."""
    scratch.mkdir()
    names = scratch / "names"
    names.write_text("".join(f"{path}\n" for path in files))
    subprocess.run(["zstd", "-q", "-1", "--no-check", "--filelist", str(names), "--output-dir-mirror", str(scratch / "out")], check=True)
    total = 0
    for path in files:
        small = scratch / "out" / path.relative_to("/").with_name(path.name + ".zst")
        total += min(small.stat().st_size, path.stat().st_size)
    return total


def renamed(content: bytes, number: int) -> bytes:
    return content.translate(bytes(byte ^ number for byte in range(256))) if number else content


def place(name: Path) -> int:
    return int.from_bytes(hashlib.blake2b(str(name).encode(), digest_size=8).digest())
