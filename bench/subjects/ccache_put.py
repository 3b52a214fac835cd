"""One write as ccache's own HTTP client does it: head and body in two segments with Nagle on, so that a delayed ACK stalls it."""

from __future__ import annotations

from contextlib import ExitStack

from harness.larder import CCACHE
from harness.pairs import Run, alternate
from harness.process import Server
from harness.subject import Bench, Promise, Result, Subject, faster

PUTS = 100


def run(bench: Bench) -> Result:
    with bench.folder() as home, ExitStack() as servers:
        nginx = servers.enter_context(bench.nginx(home / "nginx"))
        larder = servers.enter_context(bench.server(home / "data")) if bench.larder else None

        def measure(server: Server, prefix: str, number: int) -> Run:
            rates = bench.load.split(server.addr, prefix, PUTS, first=number * PUTS)
            return Run(rates.p50_us / 1000, server=server.memory())

        sides = alternate(
            bench.rounds,
            (lambda number: measure(larder, CCACHE, number)) if larder else None,
            lambda number: measure(nginx, "/ccache/", number),
            "nginx WebDAV",
        )
    notes = [f"each value is the median of {PUTS} PUTs of 4 KiB on one connection"]
    return Result(*sides, "ms", [Promise("times lower latency", faster(*sides), 20)], [bench.limits.text("fdatasync")], notes)


SUBJECT = Subject("ccache-put", "ccache's PUT on a kept-alive connection", "nginx WebDAV", "20 times lower latency", run)
