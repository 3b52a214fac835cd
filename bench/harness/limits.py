"""What this machine can do at best, measured in the same session: the number beside each result."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from harness.load import Load
from harness.process import Server, free_port, shell, timed


def best(rounds: int, work: Callable[[], float]) -> float:
    return max(work() for _ in range(rounds))


class Limits:
    """Each is measured once in a session, when a subject first asks. Sizes are in decimal units."""

    def __init__(self, work: Path, tree: Callable[[], Path]) -> None:
        self.work = work
        self.tree = tree

    def text(self, name: str) -> str:
        return measured(self, name)

    def memcpy(self) -> str:
        source, sink = mmap.mmap(-1, 256 << 20), mmap.mmap(-1, 256 << 20)
        source.write(b"\1" * (256 << 20))

        def once() -> float:
            start = time.monotonic()
            memoryview(sink)[:] = memoryview(source)
            return (256 << 20) / (time.monotonic() - start) / 1e9

        return f"memcpy {best(5, once):.1f} GB/s"

    def sha256(self) -> str:
        piece = os.urandom(64 << 20)

        def once() -> float:
            start = time.monotonic()
            hashlib.sha256(piece).digest()
            return len(piece) / (time.monotonic() - start) / 1e9

        return f"SHA-256 {best(3, once):.2f} GB/s a core"

    def zstd(self) -> str:
        """Levels 1 and 3 over a tar of part of the sample, both ways, one core."""
        shell(f"tar cf - . 2> /dev/null | head -c 268435456 > '{self.work}/limit.tar' || true", cwd=self.tree())
        out = subprocess.run(["zstd", "-b1", "-e3", "-i1", "-q", str(self.work / "limit.tar")], check=True, capture_output=True, text=True)
        (self.work / "limit.tar").unlink()
        rows = re.findall(r"^-(\d+)\b.*?([\d.]+) MB/s,?\s+([\d.]+) MB/s", (out.stdout + out.stderr).replace("\r", "\n"), re.MULTILINE)
        by_level = {level: (float(up) / 1e3, float(down) / 1e3) for level, up, down in rows}
        return ", ".join(f"zstd -{n} {by_level[n][0]:.2f} / {by_level[n][1]:.2f} GB/s a core" for n in ("1", "3") if n in by_level)

    def disk(self) -> str:
        """1 GiB appended to one file, with the final fdatasync."""
        piece = os.urandom(8 << 20)
        path = self.work / "limit.disk"

        def once() -> float:
            start = time.monotonic()
            with path.open("wb", buffering=0) as file:
                for _ in range(128):
                    file.write(piece)
                os.fdatasync(file.fileno())
            seconds = time.monotonic() - start
            path.unlink()
            return 128 * len(piece) / seconds / 1e9

        return f"disk write {best(2, once):.2f} GB/s"

    def fdatasync(self) -> str:
        """Appends of 4 KiB to one file, each synced: the rate without group commit."""
        path = self.work / "limit.sync"
        with path.open("wb", buffering=0) as file:
            start, count = time.monotonic(), 0
            while time.monotonic() - start < 2:
                file.write(b"\0" * 4096)
                os.fdatasync(file.fileno())
                count += 1
        path.unlink()
        return f"{count / 2:.0f} fdatasync/s"

    def walk(self) -> str:
        """Walk and lstat of every file of the sample, as `find` does it."""
        seconds = min(timed(["find", str(self.tree()), "-newermt", "2100-01-01"]).seconds for _ in range(3))
        return f"find with lstat {seconds * 1e3:.0f} ms"

    def read(self) -> str:
        """Reading every byte of the sample, from the page cache."""
        seconds = min(shell("find . -type f -print0 | xargs -0 cat > /dev/null", cwd=self.tree()).seconds for _ in range(2))
        return f"reading the tree {seconds:.2f} s"

    def loopback_get(self) -> str:
        return f"loopback ceiling {self.loopback('get'):,.0f} GET/s"

    def loopback_put(self) -> str:
        return f"loopback ceiling {self.loopback('put'):,.0f} PUT/s"

    def loopback(self, mode: str) -> float:
        load = Load()
        port = free_port()
        server = Server([str(load.binary), "serve", "--addr", f"127.0.0.1:{port}"], port, self.work / "serve.log")
        try:
            if mode == "put":
                return load.put(server.addr, "/", 10_000_000, seconds=2).rate
            # The ceiling serves no stored values, so every body is counted as wrong and the rate is read as it is.
            out = timed([str(load.binary), "get", "--addr", server.addr, "--prefix", "/", "--keys", "1000", "--seconds", "2"]).output
            return float(re.search(r'"rate":([\d.]+)', out).group(1))  # type: ignore[union-attr]
        finally:
            server.kill()


@cache
def measured(limits: Limits, name: str) -> str:
    return str(getattr(limits, name)())
