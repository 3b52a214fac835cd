"""Runs of two sides in turn, A B A B, so that a slow minute of the machine falls on both."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.process import Memory


@dataclass
class Run:
    """One measured run: the value compared, and what else is worth a column."""

    value: float
    cpu: float = 0.0
    client_kib: int = 0
    server: Memory = Memory()
    bytes: int = 0


@dataclass
class Side:
    name: str
    runs: list[Run] = field(default_factory=list)

    @property
    def values(self) -> list[float]:
        return [run.value for run in self.runs]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def cpu(self) -> float:
        return statistics.median(run.cpu for run in self.runs)

    @property
    def bytes(self) -> float:
        return statistics.median(run.bytes for run in self.runs)

    @property
    def client_kib(self) -> int:
        return max(run.client_kib for run in self.runs)

    @property
    def server(self) -> Memory:
        return Memory(max(run.server.resident for run in self.runs), max(run.server.anonymous for run in self.runs))


def alternate(rounds: int, larder: Callable[[int], Run] | None, peer: Callable[[int], Run] | None, peer_name: str) -> tuple[Side, Side]:
    """`rounds` of each; a side that is not given stays empty (the binary may not exist yet)."""
    ours, theirs = Side("larder"), Side(peer_name)
    for number in range(rounds):
        if larder:
            ours.runs.append(larder(number))
        if peer:
            theirs.runs.append(peer(number))
    return ours, theirs
