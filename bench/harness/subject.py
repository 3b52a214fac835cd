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
from harness.process import Failed
from harness.s3 import ObjectStore
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
    tree_gib: float
    """Of the tree that the bucket's subjects save."""
    store: str
    """Which object store they run."""
    bucket: bool
    """Whether Larder keeps its data there; otherwise on the disk, while the peers use the store all the same."""
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

    @contextmanager
    def object_store(self, home: Path) -> Iterator[ObjectStore]:
        store = ObjectStore(self.store, home)
        try:
            yield store
        finally:
            store.stop()

    @contextmanager
    def server_over(self, store: ObjectStore, data: Path, relay: str | None = None) -> Iterator[LarderServer]:
        """Larder with its data in the store's bucket, which it reaches by the relay if there is one."""
        env = store.larder_env(relay) if self.bucket else {}
        with self.server(data, **env) as server:
            yield server

    @contextmanager
    def node_below(self, larder: LarderServer, data: Path) -> Iterator[LarderServer]:
        """A node that has seen nothing, with `larder` as its upstream."""
        with self.server(data, LARDER_UPSTREAM_URL=f"http://{larder.addr}") as node:
            yield node

    @property
    def tree_bytes(self) -> int:
        return int(self.tree_gib * (1 << 30))

    def need_room(self, factor: float) -> None:
        """Fails at once where `factor` times the tree's bytes do not fit: nothing is deleted before the subject is over."""
        free = shutil.disk_usage(self.work).free
        if free < factor * self.tree_bytes:
            wanted = factor * self.tree_bytes / 1e9
            raise Failed(f"{wanted:.1f} GB are needed at {self.work}, {free / 1e9:.1f} are free: --rounds or --tree-gib with less, or --work")

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
