"""The load generator (`bench/load`), built on first use and the same for both sides."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.process import Cost, Failed, timed

BENCH = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Rates:
    requests: int
    errors: int
    seconds: float
    rate: float
    p50_us: int
    p99_us: int
    max_us: int
    reconnects: int


class Load:
    def __init__(self) -> None:
        self.binary = BENCH / "target/load/release/load"

    def build(self) -> None:
        command = ["cargo", "build", "--quiet", "--locked", "--release"]
        command += ["--manifest-path", str(BENCH / "load/Cargo.toml"), "--target-dir", str(BENCH / "target/load")]
        subprocess.run(command, check=True)

    def get(self, addr: str, prefix: str, keys: int, seconds: float, connections: int = 32) -> Rates:
        return self.rates("get", addr, prefix, keys, "--seconds", str(seconds), "--connections", str(connections))

    def put(
        self, addr: str, prefix: str, keys: int, first: int = 0, seconds: float | None = None, connections: int = 32, size: int = 4096
    ) -> Rates:
        limit = ["--seconds", str(seconds)] if seconds else []
        return self.rates("put", addr, prefix, keys, "--first", str(first), "--connections", str(connections), "--size", str(size), *limit)

    def split(self, addr: str, prefix: str, keys: int, first: int) -> Rates:
        return self.rates("split", addr, prefix, keys, "--first", str(first))

    def rates(self, mode: str, addr: str, prefix: str, keys: int, *options: str) -> Rates:
        cost = timed([str(self.binary), mode, "--addr", addr, "--prefix", prefix, "--keys", str(keys), *options])
        rates = Rates(**json.loads(cost.output))
        if rates.errors:
            raise Failed(f"load {mode} {prefix}: {rates.errors} wrong answers of {rates.requests}")
        return rates

    def send(self, addr: str, path: str, file: Path) -> Cost:
        return timed([str(self.binary), "send", "--addr", addr, "--path", path, str(file)])

    def fetch_command(self, addr: str, path: str) -> str:
        """For use at the head of a shell pipeline."""
        return f"'{self.binary}' fetch --addr {addr} --path {path}"
