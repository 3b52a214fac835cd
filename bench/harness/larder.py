"""Larder as it is run for a measurement. Every assumption about its command line and its answers is in this file."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.process import Cost, Failed, Server, free_port, timed

KV = "/http/kv/bench/"
CCACHE = "/http/ccache/bench/"
CI = "/ci/v1/bench/"


class LarderServer(Server):
    """A server over `data`, which may hold a store already. `opened` is the time from its start to its first answer."""

    def __init__(self, binary: Path, data: Path, quota: str = "100GiB", env: dict[str, str] | None = None) -> None:
        self.binary = binary
        self.data = data
        port = free_port()
        start = time.monotonic()
        super().__init__(
            [str(binary), "serve", "--listen", f"127.0.0.1:{port}", "--data", str(data), "--quota", quota],
            port,
            data.with_name(data.name + ".log"),
            env or {},
        )
        while self.get("/healthz")[0] != 200:
            if time.monotonic() - start > 60:
                raise Failed("/healthz did not answer 200 within 60 s")
            time.sleep(0.001)
        self.opened = time.monotonic() - start

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def post(self, path: str, body: bytes, kind: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 200:
                raise Failed(f"POST {path}: {answer.status} {said[:300]!r}")
            return json.loads(said)
        finally:
            connection.close()

    def restore_steps(self, key: str, folder: Path) -> list[tuple[str, Path | None, str]]:
        """What a restore asks before any byte of the tree flows: look the entry up, and have URLs signed for its manifest."""
        folder.mkdir(exist_ok=True)
        lookup, locate = folder / "lookup.json", folder / "locate.bin"
        lookup.write_text(json.dumps({"key": key}))
        found = self.post(CI + "lookup", lookup.read_bytes(), "application/json")
        locate.write_bytes(b"".join(bytes.fromhex(chunk["hash"]) for chunk in found["manifest"]["chunks"]))
        return [(f"POST:{CI}lookup", lookup, '"result":"hit"'), (f"POST:{CI}locate", locate, '"absent":[]')]

    def signed_urls(self, key: str, folder: Path) -> list[str]:
        """Those of the entry's manifest: whole ones where they are the bucket's, relative where this server gives the bytes itself."""
        _, (_, locate, _) = self.restore_steps(key, folder)
        assert locate
        return [run["url"] for run in self.post(CI + "locate", locate.read_bytes(), "application/octet-stream")["runs"]]

    def status(self) -> dict[str, Any]:
        code, body = self.get("/status")
        return json.loads(body) if code == 200 else {}

    def until_sent(self) -> float:
        """Seconds until a node's spool is empty: all that was saved here is published above."""
        return self.until_none("spool_entries")

    def until_proved(self) -> float:
        """CPU seconds that a node takes, once a restore is over, to verify what it fetched and keeps."""
        before = self.cpu()
        self.until_none("bytes_unproved")
        return self.cpu() - before

    def until_none(self, of: str) -> float:
        """Seconds until a number of a node's status is zero."""
        start = time.monotonic()
        while self.status()["node"][of]:
            if time.monotonic() - start > 3600:
                raise Failed(f"the node does not come to an end: {self.status()['node']}")
            time.sleep(0.01)
        return time.monotonic() - start


@dataclass(frozen=True)
class Transfer:
    """One `larder save` or `larder restore`: its cost, and what it said with --json."""

    cost: Cost
    said: dict[str, Any]

    @property
    def new_bytes(self) -> int:
        """What went over the network."""
        return int(self.said["transferred_bytes"])


class LarderClient:
    """The command line of one machine: its memory of unchanged files lives under `home`."""

    def __init__(self, binary: Path, addr: str, home: Path) -> None:
        self.binary = binary
        self.env = {"LARDER_URL": f"http://{addr}", "LARDER_NAMESPACE": "bench", "XDG_CACHE_HOME": str(home)}

    def save(self, key: str, parent: Path, *paths: str) -> Transfer:
        # Until it is published, however long that takes: to leave early is no speed.
        return self.run(parent, "save", "--json", "--wait", "3600", key, *paths)

    def restore(self, key: str, parent: Path) -> Transfer:
        return self.run(parent, "restore", "--json", key)

    def gc(self, *options: str) -> Cost:
        return timed([str(self.binary), "gc", *options], env=self.env)

    def run(self, parent: Path, *arguments: str) -> Transfer:
        cost = timed([str(self.binary), *arguments], cwd=parent, env=self.env)
        # A fault is a miss for a build, hence exit 0; for a measurement it must be a fault.
        said = json.loads(cost.output)
        if said["result"] not in ("hit", "saved", "unchanged"):
            raise Failed(f"{arguments}: {cost.output}")
        return Transfer(cost, said)
