"""The first save of a tree that the server has never seen, until the entry is published: the server's check is part of it."""

from __future__ import annotations

import statistics

from harness import archive
from harness.pairs import Run, alternate
from harness.process import settle
from harness.sample import copy
from harness.subject import Bench, Promise, Result, Subject, faster


def run(bench: Bench) -> Result:
    client_cpu: list[float] = []
    with bench.folder() as tree:
        copy(bench.sample.base, tree / "target")

        def ours(number: int) -> Run:
            with bench.folder() as here, bench.server(here / "data") as server:
                settle(here)
                before = server.cpu()
                saved = bench.client(server.addr, here / "memory").save("first", tree, "target")
                client_cpu.append(saved.cost.cpu)
                cpu = saved.cost.cpu + server.cpu() - before
                return Run(saved.cost.seconds, cpu, saved.cost.peak_kib, server.memory(), saved.new_bytes)

        def theirs(number: int) -> Run:
            with bench.folder() as here, bench.nginx(here) as server:
                settle(here)
                file = here / "tree.tar.zst"
                before = server.cpu()
                packed = archive.pack(tree, "target", file)
                sent = bench.load.send(server.addr, "/tree.tar.zst", file)
                cpu = packed.cpu + sent.cpu + server.cpu() - before
                return Run(packed.seconds + sent.seconds, cpu, packed.peak_kib, server.memory(), file.stat().st_size)

        larder, peer = alternate(bench.rounds, ours if bench.larder else None, theirs, "tar, zstd -T0 -3, PUT to nginx")
    cpu_ratio = peer.cpu / statistics.median(client_cpu) if client_cpu else None
    return Result(
        larder,
        peer,
        "seconds",
        [Promise("times faster", faster(larder, peer), 1), Promise("times less CPU, the client's alone", cpu_ratio, 1.5)],
        [bench.limits.text("sha256"), bench.limits.text("zstd"), bench.limits.text("disk"), bench.limits.text("read")],
        ["CPU is client and server together; nginx keeps the bytes unsynced and unchecked, Larder acknowledges durable and verified ones"],
    )


SUBJECT = Subject(
    "save-first",
    "first save, the server's verification on the same CPUs included",
    "`tar | zstd -T0 -3` and the upload of its file to nginx",
    "as fast; 1.5 times less counting the client's CPU alone",
    run,
)
