"""The sample: three states of one real `target/` at one absolute path, and working copies that move between them."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.process import settle


@dataclass(frozen=True)
class Sample:
    """Made by `bench/prepare`; never written to here."""

    base: Path
    bump: Path
    bump_deep: Path

    @classmethod
    def at(cls, home: Path) -> Sample:
        sample = cls(home / "target.base", home / "target.bump", home / "target.bump-deep")
        if not all(state.is_dir() for state in (sample.base, sample.bump, sample.bump_deep)):
            raise SystemExit(f"no sample at {home}: run bench/prepare {home}, or name one with --sample or BENCH_SAMPLE")
        return sample


def copy(source: Path, target: Path) -> None:
    """With times, modes and hard links."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def fresh(home: Path, name: str) -> Path:
    """An empty folder to restore to, with nothing left to be written back. It stays until the subject is over, as does what is
    restored into it: where ext4 has no journal, a file that is made finds the inodes of files deleted within the last minute
    in its way, and whoever restores next, be it the other side, would pay seconds for it."""
    path = home / name
    path.mkdir()
    settle(path)
    return path


def size_of(tree: Path) -> int:
    """Bytes of regular files, a hard-linked one once."""
    found: dict[tuple[int, int], int] = {}
    for path in walk(tree):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            found[status.st_dev, status.st_ino] = status.st_size
    return sum(found.values())


def walk(tree: Path) -> list[Path]:
    return [Path(folder) / name for folder, folders, files in os.walk(tree) for name in [*folders, *files]]


def turn_into(tree: Path, state: Path) -> int:
    """Makes `tree` equal to `state` as a build would: what is the same keeps its inode and times. Returns the bytes written."""
    wanted = {path.relative_to(state) for path in walk(state)}
    for path in sorted(walk(tree), reverse=True):
        if path.relative_to(tree) not in wanted:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    written = 0
    copied: dict[int, Path] = {}
    for name in sorted(wanted):
        source, target = state / name, tree / name
        status = source.lstat()
        if stat.S_ISDIR(status.st_mode):
            target.mkdir(exist_ok=True)
            continue
        if os.path.lexists(target):
            old = target.lstat()
            if (old.st_mtime_ns, old.st_size, old.st_mode) == (status.st_mtime_ns, status.st_size, status.st_mode):
                copied.setdefault(status.st_ino, target)
                continue
            target.unlink()
        if (twin := copied.get(status.st_ino)) and status.st_nlink > 1:
            os.link(twin, target)
            continue
        shutil.copy2(source, target, follow_symlinks=False)
        copied[status.st_ino] = target
        written += status.st_size
    for path in [*walk(state), state]:
        if path.is_dir() and not path.is_symlink():
            times = path.stat()
            os.utime(tree / path.relative_to(state), ns=(times.st_atime_ns, times.st_mtime_ns))
    return written


def differences(left: Path, right: Path) -> list[str]:
    """Names whose kind, mode, content or (for files) time differ: empty when a restore was right."""
    one, two = ({path.relative_to(tree): path for path in walk(tree)} for tree in (left, right))
    wrong = [f"only on one side: {name}" for name in one.keys() ^ two.keys()]
    wrong += [f"differs: {name}" for name in one.keys() & two.keys() if face(one[name]) != face(two[name])]
    return sorted(wrong)


def face(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return ("link", os.readlink(path))
    if stat.S_ISDIR(status.st_mode):
        return ("folder", stat.S_IMODE(status.st_mode))
    with path.open("rb") as file:
        return ("file", stat.S_IMODE(status.st_mode), status.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest())


def damage(tree: Path) -> Path:
    """Changes a few bytes in the middle of the file of median size among those of 64 KiB and more."""
    large = sorted((p.lstat().st_size, p) for p in walk(tree) if p.is_file() and not p.is_symlink() and p.lstat().st_size >= 65536)
    size, victim = large[len(large) // 2]
    with victim.open("r+b") as file:
        file.seek(size // 2)
        old = file.read(16)
        file.seek(size // 2)
        file.write(bytes(byte ^ 0xFF for byte in old))
    return victim
