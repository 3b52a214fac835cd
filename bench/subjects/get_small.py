"""Small reads over kept-alive connections."""

from __future__ import annotations

from contextlib import ExitStack

from harness.larder import KV
from harness.pairs import Run, alternate
from harness.process import Server
from harness.subject import Bench, Promise, Result, Subject, rate

KEYS = 10_000
"""As many as nginx keeps open, so that its best case is the one compared with."""
SECONDS = 5.0
FRESH = 60_000
"""Values put anew and asked for at random: Larder reads them from the disk at first, some around each at once."""
FRESH_SPANS = 3
"""Spans of a second, of which the first asks for few values twice."""


def run(bench: Bench) -> Result:
    with bench.folder() as home, ExitStack() as servers:
        nginx = servers.enter_context(bench.nginx(home / "nginx"))
        bench.load.put(nginx.addr, "/kv/", KEYS)
        larder = servers.enter_context(bench.server(home / "data")) if bench.larder else None
        if larder:
            bench.load.put(larder.addr, KV, KEYS)

        notes = []
        for server, prefix in [(nginx, "/new/"), *([(larder, "/http/kv/new/")] if larder else [])]:
            bench.load.put(server.addr, prefix, FRESH)
            spans = [bench.load.get(server.addr, prefix, FRESH, 1.0) for _ in range(FRESH_SPANS)]
            rates = ", ".join(f"{span.rate:,.0f}" for span in spans)
            notes.append(f"GET/s second by second of {FRESH:,} values that were just put, {prefix}: {rates}")

        def measure(server: Server, prefix: str) -> Run:
            before = server.cpu()
            rates = bench.load.get(server.addr, prefix, KEYS, SECONDS)
            latencies.setdefault(prefix, []).append(f"{rates.p50_us}/{rates.p99_us}")
            return Run(rates.rate, server.cpu() - before, server=server.memory())

        latencies: dict[str, list[str]] = {}
        sides = alternate(
            bench.rounds, (lambda _: measure(larder, KV)) if larder else None, lambda _: measure(nginx, "/kv/"), "nginx static files"
        )
    notes += [f"{KEYS:,} keys; CPU is the server's in {SECONDS:g} s; p50/p99 in microseconds: {latencies}"]
    return Result(*sides, "GET/s", [Promise("share of its rate", rate(*sides), 0.8)], [bench.limits.text("loopback_get")], notes)


SUBJECT = Subject("get-small", "GET of 4 KiB values over 32 kept-alive connections", "nginx serving static files", "0.8 of its rate", run)
