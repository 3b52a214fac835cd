"""Opening a store of many chunks after the server was killed in the middle of writing."""

from __future__ import annotations

import subprocess
import time

from harness.larder import KV
from harness.pairs import Run, Side
from harness.subject import Bench, LarderServer, Promise, Result, Subject

WANTED_MS = 100


def run(bench: Bench) -> Result:
    ours = Side("larder")
    notes = [f"{bench.chunks:,} chunks of 4 KiB; from the start of the process to its first 200 of /healthz"]
    if bench.larder:
        with bench.folder() as home:
            server = LarderServer(bench.larder, home / "data")
            try:
                bench.load.put(server.addr, KV, bench.chunks, connections=64)
                for number in range(bench.rounds):
                    writer = subprocess.Popen(
                        [str(bench.load.binary), "put", "--addr", server.addr, "--prefix", KV, "--keys", "1000000"]
                        + ["--first", str((number + 1) * 1_000_000_000)],
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                    time.sleep(1)
                    server.kill()
                    writer.wait()
                    server = LarderServer(bench.larder, home / "data")
                    ours.runs.append(Run(server.opened * 1000, server.cpu(), server=server.memory()))
                said = server.status().get("store", {}).get("open_seconds")
                notes.append(f"the store itself was open after {said * 1000:.1f} ms" if said else "/status does not tell the time")
                # What was acknowledged before the kill must be readable after it.
                bench.load.get(server.addr, KV, bench.chunks, 2)
            finally:
                server.kill()
    share = ours.median / WANTED_MS if ours.runs else None
    return Result(
        ours,
        Side("(no peer)"),
        "ms",
        [Promise(f"share of {WANTED_MS} ms", share, 1, at_most=True)],
        [bench.limits.text("disk")],
        notes,
    )


SUBJECT = Subject("open-store", "opening a store of 1 M chunks after kill -9", "no peer", "under 100 ms", run)
