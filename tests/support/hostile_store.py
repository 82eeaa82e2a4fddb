"""A server that answers as S3 does and means harm: it keeps what is put there, until a trick answers in its place."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.support.stores import Store

__all__ = ["Answer", "Asked", "HostileStore", "hostile_store", "page"]

_WHEN = "Wed, 25 Nov 2026 09:00:00 GMT"
_STAMP = "2026-11-25T09:00:00.000Z"


class Asked(NamedTuple):
    """A request: ``name`` is the key within the bucket, empty for a listing, which has ``prefix`` and ``token``."""

    method: str
    name: str
    prefix: str
    token: str
    headers: Mapping[str, str]

    @property
    def listing(self) -> bool:
        return self.method == "GET" and not self.name


class Answer(NamedTuple):
    """An answer. ``promised`` bytes are said to come, where those are not the ones that do; ``goes_on`` are more."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    promised: int | None = None
    goes_on: Iterator[bytes] | None = None


Trick = Callable[[Asked, Answer], Answer | None]
"""Gets a request and the honest answer, and returns another one, or None for the honest one."""


@dataclass
class HostileStore:
    """What is kept, who asked, and the ``trick`` that is played."""

    port: int
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    trick: Trick = lambda asked, honest: None

    @property
    def store(self) -> Store:
        """How it is reached."""
        return Store(f"http://127.0.0.1:{self.port}", "key", "secret", "bucket")

    def answer(self, asked: Asked, body: bytes) -> Answer:
        """Return what comes back."""
        self.asked.append(asked)
        honest = self._honest(asked, body)
        return self.trick(asked, honest) or honest

    def _honest(self, asked: Asked, body: bytes) -> Answer:
        if asked.method == "PUT":
            self.blobs[asked.name] = body
            return Answer(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        if asked.method == "DELETE":
            self.blobs.pop(asked.name, None)
            return Answer(204)
        if asked.listing:
            found = {name: len(data) for name, data in self.blobs.items() if name.startswith(asked.prefix)}
            return Answer(body=page(list(found.items())))
        data = self.blobs.get(asked.name)
        if data is None:
            return Answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        return Answer(body=data, headers={"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Last-Modified": _WHEN})


def page(found: list[tuple[str, object]], token: str | None = None, *, more: bool | None = None) -> bytes:
    """Return one page of a listing: names and sizes, and the ``token`` of the page after it."""
    rows = "".join(
        f"<Contents><Key>{escape(name)}</Key><LastModified>{_STAMP}</LastModified><ETag>&quot;0&quot;</ETag>"
        f"<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for name, size in sorted(found)
    )
    goes_on = str(bool(token) if more is None else more).lower()
    end = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>bucket</Name><KeyCount>{len(found)}</KeyCount><MaxKeys>1000</MaxKeys>"
        f"<IsTruncated>{goes_on}</IsTruncated>{end}{rows}</ListBucketResult>"
    ).encode("utf-8", "surrogatepass")


@contextlib.contextmanager
def hostile_store() -> Iterator[HostileStore]:
    """Run one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            name = unquote(parts.path).removeprefix("/bucket").lstrip("/")
            told = [query.get(key, [""])[0] for key in ("prefix", "continuation-token")]
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with contextlib.suppress(OSError):
                self._send(made.answer(Asked(self.command, name, told[0], told[1], headers), body))

        do_PUT = do_HEAD = do_DELETE = do_POST = do_GET

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                self.send_header(key, value)
            if answer.goes_on is not None:
                self.send_header("Connection", "close")
            elif answer.status != 204:
                self.send_header(
                    "Content-Length", str(len(answer.body) if answer.promised is None else answer.promised)
                )
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
            for more in answer.goes_on or ():
                self.wfile.write(more)
            if answer.goes_on is not None or answer.promised is not None:
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            # Who is told nonsense hangs up.
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        made = HostileStore(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
