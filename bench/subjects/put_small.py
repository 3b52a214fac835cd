"""Small durable writes: every value distinct and incompressible, acknowledged only when it would survive a crash."""

from __future__ import annotations

from contextlib import ExitStack

from harness.larder import KV
from harness.pairs import Run, alternate
from harness.process import Server, settle
from harness.subject import Bench, Promise, Result, Subject, rate

SECONDS = 5.0
ROOM = 10_000_000
"""Key numbers set aside for a run, more than one can use."""


def run(bench: Bench) -> Result:
    with bench.folder() as home, ExitStack() as servers:
        nginx = servers.enter_context(bench.nginx(home / "nginx"))
        larder = servers.enter_context(bench.server(home / "data")) if bench.larder else None
        latencies: dict[str, list[str]] = {}

        def measure(server: Server, prefix: str, number: int) -> Run:
            settle(home)
            before = server.cpu()
            rates = bench.load.put(server.addr, prefix, ROOM, first=number * ROOM, seconds=SECONDS)
            latencies.setdefault(prefix, []).append(f"{rates.p50_us}/{rates.p99_us}")
            return Run(rates.rate, server.cpu() - before, server=server.memory(), bytes=rates.requests * 4096)

        sides = alternate(
            bench.rounds,
            (lambda number: measure(larder, KV, number)) if larder else None,
            # A folder a run, so that the peer never pays for the names of the run before.
            lambda number: measure(nginx, f"/kv{number}/", number),
            "nginx WebDAV, no sync",
        )
    return Result(
        *sides,
        "PUT/s",
        [Promise("times its rate", rate(*sides), 1.5)],
        [bench.limits.text("loopback_put"), bench.limits.text("fdatasync"), bench.limits.text("disk")],
        [f"CPU is the server's in {SECONDS:g} s; p50/p99 in microseconds: {latencies}"],
    )


SUBJECT = Subject(
    "put-small", "durable PUT of 4 KiB values over 32 connections", "nginx WebDAV without any sync", "1.5 times its rate", run
)
