"""The peer of save and restore: what CI caches do, `tar | zstd`, as two shell pipelines.

The POSIX format, as those caches use it: GNU tar's own would cut file times to whole seconds, which Larder keeps.
"""

from __future__ import annotations

from pathlib import Path

from harness.load import Load
from harness.process import Cost, shell


def pack(parent: Path, name: str, archive: Path) -> Cost:
    archive.unlink(missing_ok=True)
    return shell(f"tar --format=posix -cf - '{name}' | zstd -q -T0 -3 -o '{archive}'", cwd=parent)


def unpack_from(load: Load, addr: str, path: str, parent: Path) -> Cost:
    return shell(f"{load.fetch_command(addr, path)} | zstd -q -d | tar xf -", cwd=parent)
