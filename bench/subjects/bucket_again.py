"""The second save of a large tree to a bucket, one file in twenty changed throughout, beside the first."""

from __future__ import annotations

from pathlib import Path

from harness.bucket import about, memory
from harness.grown import SHARE, change, compressed, grow
from harness.pairs import Run, Side
from harness.process import settle
from harness.sample import fresh
from harness.subject import Bench, Promise, Result, Subject, faster
from harness.wire import CountingRelay


def run(bench: Bench) -> Result:
    second, first = Side("larder, second save"), Side("larder, first save")
    notes: list[str] = []
    share = None
    if bench.larder:
        bench.need_room(2.5 + (bench.rounds + 1) * 1.3)
        with bench.folder() as home:
            size = grow(bench.sample.base, home / "grown", bench.tree_bytes)
            notes.append(about(bench, size))
            least: list[int] = []
            for number in range(bench.rounds):
                one, two, changed = pair(bench, home, number)
                first.runs.append(one)
                second.runs.append(two)
                least.append(compressed(changed, home / f"scratch-{number}"))
                raw = sum(path.stat().st_size for path in changed)
                notes.append(f"round {number}: {len(changed)} files of {raw / 1e6:.1f} MB changed, {least[-1] / 1e6:.2f} MB by zstd -1 each")
            share = max(run.bytes / wanted for run, wanted in zip(second.runs, least, strict=True))
            notes.append(on_the_wire(bench, home, bench.rounds))
    return Result(
        second,
        first,
        "seconds",
        [
            Promise("times faster than the first", faster(second, first), 8),
            Promise("bytes sent, as a multiple of the changed chunks'", share, 1.3, at_most=True),
            memory(second),
        ],
        [bench.limits.text("sha256"), bench.limits.text("zstd"), bench.limits.text("walk")],
        notes,
    )


def pair(bench: Bench, home: Path, number: int, relayed: bool = False) -> tuple[Run, Run, list[Path]]:
    """A save to a server and a bucket that have seen nothing, the change, and the save after it."""
    here = fresh(home, f"round-{number}")
    with bench.object_store(here / "store") as store:
        to_store = CountingRelay(store.port) if relayed else None
        with bench.server_over(store, here / "data", to_store.addr if to_store else None) as server:
            to_server = CountingRelay(server.port) if relayed else None
            client = bench.client(to_server.addr if to_server else server.addr, here / "memory")
            runs, changed = [], []
            for key in ("first", "second"):
                if key == "second":
                    changed = change(home / "grown", number)
                settle(here)
                before = server.cpu() + store.cpu()
                sent_before = sum(relay.sent for relay in (to_store, to_server) if relay)
                saved = client.save(key, home, "grown")
                cpu = saved.cost.cpu + server.cpu() + store.cpu() - before
                sent = sum(relay.sent for relay in (to_store, to_server) if relay) - sent_before if relayed else saved.new_bytes
                runs.append(Run(saved.cost.seconds, cpu, saved.cost.peak_kib, server.memory() + store.memory(), sent))
    for relay in (to_store, to_server):
        if relay:
            relay.close()
    return runs[0], runs[1], changed


def on_the_wire(bench: Bench, home: Path, number: int) -> str:
    """Counted in a round of its own, since a client's word about itself is no measurement."""
    _, counted, changed = pair(bench, home, number, relayed=True)
    least = compressed(changed, home / f"scratch-{number}")
    return (
        f"a round more, counted on the wire: {counted.bytes / 1e6:.2f} MB sent to Larder and to the bucket, by Larder itself too, "
        f"where {least / 1e6:.2f} MB changed"
    )


SUBJECT = Subject(
    "bucket-again",
    f"save to a bucket after one file in {SHARE} has changed throughout",
    "its own first save",
    "8 times faster, with at most 1.3 times the bytes of the changed chunks sent; the client under 256 MiB",
    run,
)
