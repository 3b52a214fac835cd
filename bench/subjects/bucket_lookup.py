"""The first thing a restore asks: look an entry up and have URLs signed for its manifest, by many clients at a fixed rate."""

from __future__ import annotations

import statistics
from pathlib import Path

from harness.bucket import about, giver
from harness.grown import grow
from harness.larder import LarderServer
from harness.load import Rates
from harness.pairs import Run, Side
from harness.process import settle
from harness.subject import Bench, Promise, Result, Subject

CLIENTS, RATE, SECONDS = 64, 2000.0, 10.0
P99_MS = 10


def run(bench: Bench) -> Result:
    large, idle = Side("larder, large entry"), Side("/healthz, twice each")
    small = Side("larder, small entry")
    notes: list[str] = []
    medians: dict[str, list[int]] = {}
    if bench.larder:
        bench.need_room(2.5)
        with bench.folder() as home, bench.object_store(home / "store") as store, bench.server_over(store, home / "data") as server:
            size = grow(bench.sample.base, home / "grown", bench.tree_bytes)
            (home / "one").write_bytes(b"small" * 1000)
            client = bench.client(server.addr, home / "memory")
            client.save("large", home, "grown")
            client.save("small", home, "one")
            notes.append(about(bench, size))
            notes.append(f"{giver(server.signed_urls('large', home / 'asked'), store)}'s URLs are signed; one operation is two requests, on either side")
            nothing: list[tuple[str, Path | None, str]] = [("GET:/healthz", None, "")]
            sides = {
                "large": (large, server.restore_steps("large", home / "large")),
                "small": (small, server.restore_steps("small", home / "small")),
                "/healthz": (idle, nothing * 2),
            }
            said: dict[str, list[str]] = {}
            settle(home)
            for _ in range(bench.rounds):
                for name, (side, steps) in sides.items():
                    rates, run = measured(bench, server, steps)
                    side.runs.append(run)
                    medians.setdefault(name, []).append(rates.p50_us)
                    said.setdefault(name, []).append(f"{rates.p50_us}/{rates.p99_us} at {rates.rate:,.0f}/s")
            notes.append(f"p50/p99 in microseconds: {said}")
    # Of medians, as the slowest in a hundred are slow for the machine's reasons.
    growth = statistics.median(medians["large"]) / statistics.median(medians["small"]) if medians else None
    return Result(
        large,
        idle,
        "ms p99",
        [
            Promise(f"p99 in ms at {RATE:,.0f}/s", max(large.values + small.values, default=None), P99_MS, at_most=True),
            Promise("median of the large entry, as a multiple of the small one's", growth, 1.5, at_most=True),
        ],
        [bench.limits.text("loopback_get")],
        notes,
    )


def measured(bench: Bench, server: LarderServer, steps: list[tuple[str, Path | None, str]]) -> tuple[Rates, Run]:
    before = server.cpu()
    rates = bench.load.paced(server.addr, RATE, SECONDS, CLIENTS, steps)
    return rates, Run(rates.p99_us / 1000, server.cpu() - before, server=server.memory())


SUBJECT = Subject(
    "bucket-lookup",
    f"look-up and signed URLs, {CLIENTS} clients, {RATE:,.0f} operations a second",
    "`/healthz` of the same server at the same rate, the machine's limit",
    "p99 under 10 ms, and no growth with the size of the entry",
    run,
)
