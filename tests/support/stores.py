"""Object stores on the loopback: how one is reached, and a server that plays one (moto), for as long as tests need it.

``moto`` keeps what it has in memory; one runs for all tests of a process, each of which takes a bucket of its own.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from casvault.backends.bucket import BucketBackend
from casvault.backends.stores import open_store

__all__ = ["Store", "bucket_in", "free_port", "fresh", "moto", "wait_for"]

_WAIT = 60.0
_MOTO = """
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Store:
    """Where a store answers, who may ask it, and a bucket there."""

    endpoint: str
    key: str
    secret: str
    bucket: str = "vaults"

    @property
    def environment(self) -> dict[str, str]:
        """What a user sets to reach it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def url(self, prefix: str) -> str:
        return f"s3://{self.bucket}/{prefix}"

    def reached_at(self, endpoint: str) -> Store:
        """Return the same store, reached by another way, such as a proxy."""
        return Store(endpoint, self.key, self.secret, self.bucket)

    def raw(self) -> Any:
        """Return obstore's own view of the bucket, to look and to meddle by."""
        from obstore.store import S3Store

        return S3Store(
            self.bucket,
            config={
                "endpoint": self.endpoint,
                "access_key_id": self.key,
                "secret_access_key": self.secret,
                "region": "us-east-1",
            },
            client_options={"allow_http": True},
        )

    def names(self, prefix: str) -> list[str]:
        """Return the names of all that lies below ``prefix``."""
        import obstore

        return sorted(each["path"] for page in obstore.list(self.raw(), prefix) for each in page)

    def make_bucket(self) -> None:
        """Make the bucket, by a request that obstore has no need of."""
        import urllib.request

        from tests.support.signing import signed

        with urllib.request.urlopen(signed("PUT", f"{self.endpoint}/{self.bucket}", self.key, self.secret)) as answer:
            answer.read()


@contextlib.contextmanager
def bucket_in(store: Store, prefix: str | None = None, threads: int = 4) -> Iterator[BucketBackend]:
    """Yield a backend in the store's bucket, below a prefix where nothing is yet if none is given."""
    prefix = prefix or uuid4().hex
    options = {"endpoint": store.endpoint, "allow_http": "true"}
    made = BucketBackend(open_store("s3", store.bucket, options), prefix, store.url(prefix), threads)
    try:
        yield made
    finally:
        made.close()


def fresh(store: Store) -> str:
    """Return a place in the store's bucket where nothing is yet."""
    return store.url(uuid4().hex)


def free_port() -> int:
    """Return a port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return when something answers at a port; skips the test where the server ends instead."""
    end = time.monotonic() + _WAIT
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if server.poll() is not None or time.monotonic() > end:
            pytest.skip(f"a server does not start here: {log.read_text()[-500:]}")
        time.sleep(0.02)


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[Store]:
    """Start a server that answers as S3 does; skips the test where there is none to start."""
    if find_spec("moto") is None or find_spec("flask") is None or find_spec("obstore") is None:
        pytest.skip("needs moto and obstore (pip install 'moto[server]' obstore)")
    with open(folder / "log", "ab") as log:
        server = subprocess.Popen([sys.executable, "-c", _MOTO], stdout=subprocess.PIPE, stderr=log)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().decode().strip()
        if not port.isdigit():
            pytest.skip(f"a server does not start here: {(folder / 'log').read_text()[-500:]}")
        store = Store(f"http://127.0.0.1:{port}", "key", f"secret {uuid4().hex}")
        store.make_bucket()
        yield store
    finally:
        server.terminate()
        server.communicate()
