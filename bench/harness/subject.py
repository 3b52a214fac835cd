"""What a subject is, what it is given, and what it hands back."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.larder import LarderClient, LarderServer
from harness.limits import Limits
from harness.load import Load
from harness.nginx import Nginx
from harness.pairs import Side
from harness.sample import Sample


@dataclass
class Bench:
    """The conditions of one session."""

    work: Path
    sample_home: Path
    larder: Path | None
    rounds: int
    chunks: int
    evict_gib: float
    load: Load
    limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        self.limits = Limits(self.work, lambda: self.sample.base)

    @property
    def sample(self) -> Sample:
        return Sample.at(self.sample_home)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A fresh directory on the measured disk, gone afterwards."""
        path = Path(tempfile.mkdtemp(dir=self.work))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def nginx(self, home: Path) -> Iterator[Nginx]:
        server = Nginx(home, root_user=os.geteuid() == 0)
        try:
            yield server
        finally:
            server.stop()

    @contextmanager
    def server(self, data: Path, quota: str = "100GiB", **env: str) -> Iterator[LarderServer]:
        server = LarderServer(self.binary, data, quota, env)
        try:
            yield server
        finally:
            server.stop()

    def client(self, addr: str, home: Path) -> LarderClient:
        return LarderClient(self.binary, addr, home)

    @property
    def binary(self) -> Path:
        assert self.larder is not None, "a side of Larder runs only when there is a binary"
        return self.larder


@dataclass
class Promise:
    """One ratio that is to hold; `ratio` is none where a side was not measured."""

    label: str
    ratio: float | None
    wanted: float
    at_most: bool = False

    @property
    def kept(self) -> bool | None:
        if self.ratio is None:
            return None
        return self.ratio <= self.wanted if self.at_most else self.ratio >= self.wanted


@dataclass
class Result:
    ours: Side
    theirs: Side
    unit: str
    promises: list[Promise]
    limits: list[str]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Subject:
    name: str
    work: str
    against: str
    target: str
    run: Callable[[Bench], Result]


def faster(ours: Side, theirs: Side) -> float | None:
    """How many times less of a cost Larder takes; none unless both were measured."""
    return theirs.median / ours.median if ours.runs and theirs.runs else None


def rate(ours: Side, theirs: Side) -> float | None:
    """Larder's rate as a share of the peer's."""
    return ours.median / theirs.median if ours.runs and theirs.runs else None
