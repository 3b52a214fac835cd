"""Restoring into a tree that is there already, with one file damaged."""

from __future__ import annotations

from contextlib import ExitStack

from harness import archive
from harness.pairs import Run, alternate
from harness.process import Failed, settle
from harness.sample import copy, damage, differences
from harness.subject import Bench, Promise, Result, Subject, faster


def run(bench: Bench) -> Result:
    with bench.folder() as home, ExitStack() as servers:
        copy(bench.sample.base, home / "target")
        nginx = servers.enter_context(bench.nginx(home / "nginx"))
        archive.pack(home, "target", nginx.files / "tree.tar.zst")
        larder = servers.enter_context(bench.server(home / "data")) if bench.larder else None
        mine, other = home / "larder", home / "peer"
        for place in (mine, other):
            place.mkdir()
        copy(home / "target", other / "target")
        if larder:
            client = bench.client(larder.addr, home / "memory")
            client.save("tree", home, "target")
            client.restore("tree", mine)

        def ours(number: int) -> Run:
            assert larder
            victim = damage(mine / "target")
            settle(home)
            before = larder.cpu()
            restored = client.restore("tree", mine)
            cpu = restored.cost.cpu + larder.cpu() - before
            if number == 0 and (wrong := differences(home / "target", mine / "target")):
                raise Failed(f"{victim.name} was damaged; restored wrongly: {wrong[:5]}")
            return Run(restored.cost.seconds, cpu, restored.cost.peak_kib, larder.memory())

        def theirs(number: int) -> Run:
            damage(other / "target")
            settle(home)
            before = nginx.cpu()
            cost = archive.unpack_from(bench.load, nginx.addr, "/tree.tar.zst", other)
            return Run(cost.seconds, cost.cpu + nginx.cpu() - before, cost.peak_kib, nginx.memory())

        sides = alternate(bench.rounds, ours if larder else None, theirs, "nginx, zstd -d, tar x")
    return Result(*sides, "seconds", [Promise("times faster", faster(*sides), 10)], [bench.limits.text("walk")])


SUBJECT = Subject(
    "restore-damaged",
    "restore into the same tree with one file damaged",
    "a download from nginx piped into `zstd -d | tar x`",
    "10 times faster",
    run,
)
