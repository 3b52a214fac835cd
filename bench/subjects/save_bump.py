"""Saving after one dependency has moved by a patch version and the build has run again: the median one, and one deep in the graph."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from harness import archive
from harness.pairs import Run, alternate
from harness.process import settle
from harness.sample import copy, turn_into
from harness.subject import Bench, Promise, Result, Subject, faster
from harness.wire import CountingRelay


def measure(bench: Bench, bumped: Path) -> Result:
    def ours(number: int) -> Run:
        return saved_after_bump(bench, bumped, relayed=False)

    def theirs(number: int) -> Run:
        with bench.folder() as here:
            copy(bumped, here / "target")
            settle(here)
            packed = archive.pack(here, "target", here / "tree.tar.zst")
            return Run(packed.seconds, packed.cpu, packed.peak_kib, bytes=(here / "tree.tar.zst").stat().st_size)

    larder, peer = alternate(bench.rounds, ours if bench.larder else None, theirs, "tar, zstd -T0 -3")
    notes, share = [], None
    if bench.larder:
        # Counted on the wire, in a run of its own, since a client's word about itself is no measurement.
        counted = saved_after_bump(bench, bumped, relayed=True).bytes
        share = counted / peer.bytes
        notes.append(f"on the wire {counted / 1e6:.1f} MB; the client says {larder.bytes / 1e6:.1f} MB")
    return Result(
        larder,
        peer,
        "seconds",
        [Promise("times faster", faster(larder, peer), 4), Promise("share of the bytes sent", share, 0.3, at_most=True)],
        [bench.limits.text("sha256"), bench.limits.text("zstd"), bench.limits.text("disk")],
        notes,
    )


def saved_after_bump(bench: Bench, bumped: Path, relayed: bool) -> Run:
    """Base state saved, the tree moved on in place, and then the save that counts."""
    with bench.folder() as here, ExitStack() as open_things:
        server = open_things.enter_context(bench.server(here / "data"))
        copy(bench.sample.base, here / "target")
        bench.client(server.addr, here / "memory").save("base", here, "target")
        turn_into(here / "target", bumped)
        relay = CountingRelay(server.port) if relayed else None
        client = bench.client(relay.addr if relay else server.addr, here / "memory")
        settle(here)
        before = server.cpu()
        saved = client.save("bump", here, "target")
        cpu = saved.cost.cpu + server.cpu() - before
        if relay:
            relay.close()
        return Run(saved.cost.seconds, cpu, saved.cost.peak_kib, server.memory(), relay.sent if relay else saved.new_bytes)


SUBJECT = Subject(
    "save-bump",
    "save after one dependency bump, of which 2 % of the crates are built anew, as for the median dependency",
    "`tar | zstd -T0 -3` of the same tree",
    "4 times faster, with under 30 % of the bytes sent",
    lambda bench: measure(bench, bench.sample.bump),
)

DEEP = Subject(
    "save-bump-deep",
    "save after one dependency bump, of which 21 % of the crates are built anew, more than for 96 in 100 dependencies",
    "`tar | zstd -T0 -3` of the same tree",
    "the same",
    lambda bench: measure(bench, bench.sample.bump_deep),
)
