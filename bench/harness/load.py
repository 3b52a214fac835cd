"""The load generator (`bench/load`), built on first use and the same for both sides."""

from __future__ import annotations

import json
import shlex
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

    def parts(self, addr: str, size: int, connections: int, file: Path, targets: Path) -> Cost:
        """To URLs that were signed before, one a line; the output is the parts' tags."""
        options = ["--size", str(size), "--connections", str(connections)]
        return timed([str(self.binary), "parts", "--addr", addr, *options, str(file), str(targets)])

    def paced(self, addr: str, rate: float, seconds: float, connections: int, steps: list[tuple[str, Path | None, str]]) -> Rates:
        """Operations of these steps at a fixed rate: method and path, the file with the body, and what the answer must contain."""
        words = [word for what, body, expected in steps for word in (what, str(body or "-"), expected)]
        options = ["--rate", str(rate), "--seconds", str(seconds), "--connections", str(connections)]
        cost = timed([str(self.binary), "paced", "--addr", addr, *options, *words])
        rates = Rates(**json.loads(cost.output))
        if rates.errors:
            raise Failed(f"load paced {[what for what, _, _ in steps]}: {rates.errors} wrong answers of {rates.requests}")
        return rates

    def fetch_to(self, addr: str, path: str, file: Path) -> Cost:
        """One stream to a file."""
        return timed(["bash", "-ec", f"{self.fetch_command(addr, path)} > {shlex.quote(str(file))}"])

    def fetch_command(self, addr: str, path: str) -> str:
        """For use at the head of a shell pipeline."""
        return f"'{self.binary}' fetch --addr {addr} --path {shlex.quote(path)}"
