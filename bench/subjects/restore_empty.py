"""Restoring a tree to an empty directory on a machine that has never seen it."""

from __future__ import annotations

from contextlib import ExitStack

from harness import archive
from harness.pairs import Run, alternate
from harness.process import Failed
from harness.sample import copy, differences, fresh
from harness.subject import Bench, Promise, Result, Subject, faster


def run(bench: Bench) -> Result:
    with bench.folder() as home, ExitStack() as servers:
        copy(bench.sample.base, home / "target")
        nginx = servers.enter_context(bench.nginx(home / "nginx"))
        archive.pack(home, "target", nginx.files / "tree.tar.zst")
        larder = servers.enter_context(bench.server(home / "data")) if bench.larder else None
        if larder:
            bench.client(larder.addr, home / "memory").save("tree", home, "target")

        def ours(number: int) -> Run:
            assert larder
            here = fresh(home, f"larder-{number}")
            before = larder.cpu()
            restored = bench.client(larder.addr, here / "memory").restore("tree", here)
            cpu = restored.cost.cpu + larder.cpu() - before
            if number == 0 and (wrong := differences(home / "target", here / "target")):
                raise Failed(f"restored wrongly: {wrong[:5]}")
            return Run(restored.cost.seconds, cpu, restored.cost.peak_kib, larder.memory())

        def theirs(number: int) -> Run:
            here = fresh(home, f"peer-{number}")
            before = nginx.cpu()
            cost = archive.unpack_from(bench.load, nginx.addr, "/tree.tar.zst", here)
            return Run(cost.seconds, cost.cpu + nginx.cpu() - before, cost.peak_kib, nginx.memory())

        sides = alternate(bench.rounds, ours if larder else None, theirs, "nginx, zstd -d, tar x")
    return Result(
        *sides,
        "seconds",
        [Promise("times faster", faster(*sides), 1.2)],
        [bench.limits.text("sha256"), bench.limits.text("zstd"), bench.limits.text("memcpy"), bench.limits.text("disk")],
        ["the first run of Larder's side is compared with the original, file by file"] if larder else [],
    )


SUBJECT = Subject(
    "restore-empty",
    "restore to an empty directory, every digest checked",
    "a download from nginx piped into `zstd -d | tar x`",
    "1.2 times faster",
    run,
)
