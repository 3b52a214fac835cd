"""Saving a tree in which nothing has changed since the last save from this machine."""

from harness import archive
from harness.pairs import Run, alternate
from harness.process import settle
from harness.sample import copy, size_of
from harness.subject import Bench, Promise, Result, Subject, faster


def run(bench: Bench) -> Result:
    with bench.folder() as here:
        copy(bench.sample.base, here / "target")
        if bench.larder is None:
            return compare(bench, here, None)
        with bench.server(here / "data") as server:
            client = bench.client(server.addr, here / "memory")
            client.save("first", here, "target")

            def ours(number: int) -> Run:
                settle(here)
                saved = client.save(f"again-{number}", here, "target")
                return Run(saved.cost.seconds, saved.cost.cpu, saved.cost.peak_kib, server.memory(), saved.new_bytes)

            return compare(bench, here, ours)


def compare(bench: Bench, here, ours) -> Result:  # type: ignore[no-untyped-def]
    def theirs(number: int) -> Run:
        settle(here)
        packed = archive.pack(here, "target", here / "tree.tar.zst")
        return Run(packed.seconds, packed.cpu, packed.peak_kib, bytes=(here / "tree.tar.zst").stat().st_size)

    larder, peer = alternate(bench.rounds, ours, theirs, "tar, zstd -T0 -3")
    return Result(
        larder,
        peer,
        "seconds",
        [Promise("times faster", faster(larder, peer), 20)],
        [bench.limits.text("walk"), bench.limits.text("read")],
        [f"the tree: {size_of(here / 'target') / 1e6:,.0f} MB"],
    )


SUBJECT = Subject("save-unchanged", "save with nothing changed", "`tar | zstd -T0 -3` of the same tree", "20 times faster", run)
