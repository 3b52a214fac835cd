"""Save and restore of a grown tree with a bucket behind the server, whatever the other side is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from harness.grown import grow
from harness.pairs import Run, Side, alternate
from harness.process import Cost, Failed, Memory
from harness.s3 import ObjectStore
from harness.sample import differences, fresh
from harness.subject import Bench, Promise

CLIENT_MIB = 256

Upload = Callable[[ObjectStore, Path, Path], tuple[list[Cost], int]]
"""The other side's save: of the tree `grown` in the second argument, with the third for its files. Its costs, one after the other, and the bytes sent."""
Download = Callable[[ObjectStore, Path], list[Cost]]
"""The other side's restore to a folder."""


def saves(bench: Bench, peer: str, upload: Upload, *, by_node: bool = False) -> tuple[Side, Side, list[str]]:
    """Each run has a store, a bucket and a server of its own that have seen nothing, and so has a node beside the client."""
    bench.need_room(1.2 + bench.rounds * (1.6 if by_node else 1.3))
    with bench.folder() as home:
        size = grow(bench.sample.base, home / "grown", bench.tree_bytes)

        def ours(number: int) -> Run:
            here = fresh(home, f"larder-{number}")
            with ExitStack() as servers:
                store = servers.enter_context(bench.object_store(here / "store"))
                server = servers.enter_context(bench.server_over(store, here / "data"))
                node = servers.enter_context(bench.node_below(server, here / "node")) if by_node else None
                saved = bench.client((node or server).addr, here / "memory").save("first", home, "grown")
                seconds = saved.cost.seconds + (node.until_sent() if node else 0)
                running = [each for each in (store, server, node) if each]
                cpu = saved.cost.cpu + sum(each.cpu() for each in running)
                return Run(seconds, cpu, saved.cost.peak_kib, sum((each.memory() for each in running), Memory()), saved.new_bytes)

        def theirs(number: int) -> Run:
            here = fresh(home, f"peer-{number}")
            with bench.object_store(here / "store") as store:
                costs, sent = upload(store, home, here)
                return summed(costs, store.cpu(), store.memory(), sent)

        sides = alternate(bench.rounds, ours if bench.larder else None, theirs, peer)
    return *sides, [about(bench, size)]


def restores(
    bench: Bench, peer: str, upload: Upload, download: Download, *, by_node: bool = False
) -> tuple[Side, Side, list[str]]:
    """To empty folders, on a machine that has never seen the tree, from a store and a server that have just stored it; by a node
    that has never seen it either."""
    bench.need_room(2.4 + bench.rounds * (2.35 if by_node else 2.05))
    with bench.folder() as home, ExitStack() as servers:
        size = grow(bench.sample.base, home / "grown", bench.tree_bytes)
        notes = [about(bench, size)]
        store = servers.enter_context(bench.object_store(fresh(home, "store-home") / "store"))
        upload(store, home, fresh(home, "peer-upload"))
        larder = servers.enter_context(bench.server_over(store, home / "data")) if bench.larder else None
        if larder:
            bench.client(larder.addr, home / "memory").save("tree", home, "grown")
            receiver = "the node" if by_node else "Larder's client"
            notes.append(f"{giver(larder.signed_urls('tree', home / 'asked'), store)} gives the bytes to {receiver}")
            notes.append("the first run of Larder's side is compared with the original, file by file")

        def ours(number: int) -> Run:
            assert larder
            here = fresh(home, f"larder-{number}")
            with ExitStack() as beside:
                node = beside.enter_context(bench.node_below(larder, here / "node")) if by_node else None
                running = [each for each in (store, larder, node) if each]
                before = sum(each.cpu() for each in running)
                restored = bench.client((node or larder).addr, here / "memory").restore("tree", here)
                cpu = restored.cost.cpu + sum(each.cpu() for each in running) - before
                peak = sum((each.memory() for each in running), Memory())
                if node and number == 0:
                    notes.append(f"past the server, from the bucket to the node: {node.status()['node']['direct']['bytes_down'] / 1e6:.1f} MB")
                    notes.append(f"afterwards the node verifies what it keeps, which is not counted: {node.until_proved():.2f} CPU s")
            if number == 0 and (wrong := differences(home / "grown", here / "grown")):
                raise Failed(f"restored wrongly: {wrong[:5]}")
            return Run(restored.cost.seconds, cpu, restored.cost.peak_kib, peak, restored.new_bytes)

        def theirs(number: int) -> Run:
            here = fresh(home, f"peer-{number}")
            before = store.cpu()
            costs = download(store, here)
            if number == 0 and (wrong := differences(home / "grown", here / "grown")):
                raise Failed(f"the peer restored wrongly: {wrong[:5]}")
            return summed(costs, store.cpu() - before, store.memory(), 0)

        sides = alternate(bench.rounds, ours if larder else None, theirs, peer)
    return *sides, notes


def summed(costs: list[Cost], server_cpu: float, server: Memory, moved: int) -> Run:
    seconds, cpu = sum(cost.seconds for cost in costs), sum(cost.cpu for cost in costs)
    return Run(seconds, cpu + server_cpu, max(cost.peak_kib for cost in costs), server, moved)


def about(bench: Bench, size: int) -> str:
    where = f"in a bucket of {bench.store}" if bench.bucket else f"on the disk, without a bucket; the peer's in {bench.store}"
    return f"the tree: {size / 1e6:,.0f} MB; Larder's data is {where}; memory and CPU of servers are Larder's and the store's together"


def giver(urls: list[str], store: ObjectStore) -> str:
    """Who the signed URLs lead to."""
    if all(url.startswith(f"{store.url}/") for url in urls):
        return "the bucket"
    if any("://" in url for url in urls):
        raise Failed(f"signed URLs lead neither to the bucket nor to Larder: {urls[:3]}")
    return "Larder"


def memory(side: Side) -> Promise:
    return Promise("MiB of the client's memory at its peak", side.client_kib / 1024 if side.runs else None, CLIENT_MIB, at_most=True)
