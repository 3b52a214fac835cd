"""A real object store on this machine, signed URLs of it, and the clients that people send archives to one with."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from harness.process import Cost, Failed, Server, free_port, timed

ACCESS_KEY, SECRET_KEY, REGION, BUCKET = "benchkey", "benchsecret0123456789", "us-east-1", "bench"
INSTALLED = Path(__file__).resolve().parents[2] / "target/clients/bin"
"""Where `ci/install-deep` links what it has built."""


def program(name: str) -> str:
    found = INSTALLED / name
    path = str(found) if found.exists() else shutil.which(name)
    if path is None:
        raise Failed(f"{name} is not installed: run ci/install-deep")
    return path


class ObjectStore(Server):
    """versitygw or MinIO over a directory on the measured disk, with one empty bucket."""

    def __init__(self, kind: str, home: Path) -> None:
        files = home / "objects"
        files.mkdir(parents=True)
        port = free_port()
        listen = f"127.0.0.1:{port}"
        commands = {
            "versitygw": ["--port", listen, "--region", REGION, "--keep-alive", "--quiet", "posix", str(files)],
            "minio": ["server", "--quiet", "--address", listen, str(files)],
        }
        env = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        env |= {"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY, "MINIO_SITE_REGION": REGION, "MINIO_BROWSER": "off"}
        self.kind = kind
        super().__init__([program(kind), *commands[kind]], port, home / f"{kind}.log", env)
        # MinIO says 503 to everything while it starts.
        for _ in range(1000):
            status, body, _ = self.ask("PUT", "")
            if status == 200:
                return
            if status != 503:
                break
        self.stop()
        raise Failed(f"{kind} made no bucket: {status} {body[:300]!r}")

    @property
    def url(self) -> str:
        return f"http://{self.addr}"

    def larder_env(self, addr: str | None = None) -> dict[str, str]:
        """What `larder serve` needs to keep its data here. `addr` is a relay before this store, if there is one."""
        return {
            "LARDER_BUCKET_URL": f"s3://{BUCKET}/larder",
            "LARDER_BUCKET_ENDPOINT": f"http://{addr or self.addr}",
            "LARDER_BUCKET_REGION": REGION,
            "LARDER_BUCKET_PATH_STYLE": "true",
            **self.credentials(),
        }

    @staticmethod
    def credentials() -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def presigned(self, method: str, key: str, query: dict[str, str] | None = None) -> str:
        """Path and query of a URL that is its own permission for an hour (Signature Version 4)."""
        now = datetime.now(UTC)
        day, stamp = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{day}/{REGION}/s3/aws4_request"
        path = "/" + quote(f"{BUCKET}/{key}" if key else BUCKET, safe="/~")
        asked = {
            **(query or {}),
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{ACCESS_KEY}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": "3600",
            "X-Amz-SignedHeaders": "host",
        }
        line = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(asked.items()))
        request = "\n".join([method, path, line, f"host:{self.addr}\n", "host", "UNSIGNED-PAYLOAD"])
        signed = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
        secret = f"AWS4{SECRET_KEY}".encode()
        for part in (day, REGION, "s3", "aws4_request", signed):
            secret = hmac.digest(secret, part.encode(), "sha256")
        return f"{path}?{line}&X-Amz-Signature={secret.hex()}"

    def ask(self, method: str, key: str, query: dict[str, str] | None = None, body: bytes = b"") -> tuple[int, bytes, str]:
        """One small request; its status, body and tag."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, self.presigned(method, key, query), body)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers.get("ETag", "")
        finally:
            connection.close()

    def begin(self, key: str) -> str:
        status, body, _ = self.ask("POST", key, {"uploads": ""})
        found = re.search(rb"<UploadId>([^<]+)</UploadId>", body)
        if status != 200 or not found:
            raise Failed(f"an upload did not begin: {status} {body[:300]!r}")
        return found.group(1).decode()

    def complete(self, key: str, upload: str, tags: list[str]) -> None:
        parts = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in enumerate(tags, 1))
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        status, said, _ = self.ask("POST", key, {"uploadId": upload}, body)
        # It may be a failure that began as a success.
        if status != 200 or b"<Error" in said:
            raise Failed(f"an upload did not end: {status} {said[:300]!r}")


class AwsCli:
    """`aws s3 cp` with its own settings: parts of 8 MiB, ten at a time."""

    def __init__(self, store: ObjectStore) -> None:
        self.program = program("aws")
        self.store = store
        # Nothing of the machine's user counts, and no metadata service is asked.
        self.env = {**store.credentials(), "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}
        self.env |= {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}

    def command(self, source: str, target: str) -> list[str]:
        return [self.program, "--endpoint-url", self.store.url, "s3", "cp", "--only-show-errors", source, target]

    def upload(self, file: Path, key: str) -> Cost:
        return timed(self.command(str(file), f"s3://{BUCKET}/{key}"), env=self.env)

    def unpack(self, key: str, parent: Path) -> Cost:
        """The download runs into the unpacking: no file between."""
        script = f"{shlex.join(self.command(f's3://{BUCKET}/{key}', '-'))} | zstd -q -d | tar xf -"
        return timed(["bash", "-o", "pipefail", "-ec", script], cwd=parent, env=self.env)

    def version(self) -> str:
        told = subprocess.run([self.program, "--version"], check=True, capture_output=True, text=True, env={**os.environ, **self.env})
        return told.stdout.split()[0]
