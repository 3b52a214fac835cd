"""Child processes: what they cost (wall, CPU, peak memory), and how they are started and ended."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
CLOCK = Path(__file__).with_name("clock.py")
SAMPLE_SECONDS = 0.05
"""Between two looks at what a server has of anonymous memory, for which the kernel keeps no peak."""


@dataclass(frozen=True)
class Cost:
    """Of one command and all it started."""

    seconds: float
    cpu: float
    peak_kib: int
    output: str


@dataclass(frozen=True)
class Memory:
    """Peaks of a server, in KiB: all that was resident, and the most of it at a time that is not a file's."""

    resident: int = 0
    anonymous: int = 0

    def __add__(self, other: Memory) -> Memory:
        return Memory(self.resident + other.resident, self.anonymous + other.anonymous)


class Failed(Exception):
    """A command or server did not do what the bench needs of it."""


def timed(command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> Cost:
    """Runs a command to its end. Peak memory is that of the largest process among it and its children."""
    read, write = os.pipe()
    ran = subprocess.run(
        # The shell puts the pipe where the clock writes to; then it is gone.
        ["bash", "-c", f'exec 3>&{write} {write}>&-; exec "$@"', "clock", sys.executable, "-S", "-E", str(CLOCK), *command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        pass_fds=[write],
        text=True,
        check=False,
    )
    os.close(write)
    with os.fdopen(read) as stream:
        cost = json.loads(stream.read() or "{}")
    if cost.get("code") != 0:
        raise Failed(f"exit {cost.get('code')}: {shlex.join(command)}\n{ran.stdout}")
    return Cost(cost["seconds"], cost["cpu"], cost["peak_kib"], ran.stdout)


def shell(script: str, cwd: Path | None = None) -> Cost:
    """Runs a pipeline; a failure anywhere in it is a failure."""
    return timed(["bash", "-o", "pipefail", "-ec", script], cwd=cwd)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, child: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """Returns when something listens; the child's end or the deadline is a fault."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if child.poll() is not None:
            raise Failed(f"{child.args!r} ended with {child.returncode} before it listened")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.001)
    raise Failed(f"{child.args!r} did not listen within {seconds} s")


class Server:
    """A child with a port. Costs are summed over it and its own children (nginx's workers)."""

    def __init__(self, command: list[str], port: int, log: Path, env: dict[str, str] | None = None) -> None:
        self.port = port
        with log.open("ab") as out:
            self.child = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **(env or {})})
        self.anonymous_kib = 0
        self.over = threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()
        await_port(port, self.child)

    @property
    def addr(self) -> str:
        return f"127.0.0.1:{self.port}"

    def family(self) -> list[int]:
        listed = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text()
        return [self.child.pid, *map(int, listed.split())]

    def memory(self) -> Memory:
        """The peaks so far."""
        self.look()
        return Memory(sum(status_field(pid, "VmHWM") for pid in self.family()), self.anonymous_kib)

    def look(self) -> None:
        now = sum(status_field(pid, "RssAnon") + status_field(pid, "RssShmem") for pid in self.family())
        self.anonymous_kib = max(self.anonymous_kib, now)

    def watch(self) -> None:
        """Until the server is stopped."""
        while not self.over.wait(SAMPLE_SECONDS):
            try:
                self.look()
            except OSError:
                # A worker ended between the look at the list and the look at it, or it all did.
                continue

    def cpu(self) -> float:
        """Seconds of user and system time so far."""
        return sum(cpu_of(pid) for pid in self.family())

    def stop(self) -> None:
        self.over.set()
        self.child.terminate()
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self.over.set()
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()


def status_field(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def settle(path: Path) -> None:
    """Writes back what earlier runs left dirty, so that the next run does not pay for it."""
    subprocess.run(["sync", "-f", str(path)], check=True)
