"""A proxy on the loopback before a server that speaks HTTP/1.1: it counts what goes over it, and does harm when told.

Harm comes to single requests, as ``decide`` says of each, or to all: after so many bytes every connection breaks, and
nobody is let in until `heal`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

__all__ = ["Proxy", "proxy"]

_BLOCK = 16 << 10


class _Cut(Exception):
    """This connection ends here."""


@dataclass
class Proxy:
    """What a proxy counts and does. ``up`` and ``down`` are bytes, ``requests`` method and path of each.

    ``decide`` gets method, path and number of a request, and names the harm: ``drop`` (closed without an answer),
    ``reset``, ``truncate`` (the answer ends in its midst), ``garble`` (an answer of the same length, with other
    bytes), ``delay`` (of ``pause`` seconds), a number (that status in place of an answer), or None.
    """

    port: int
    target: int
    decide: Callable[[str, str, int], str | int | None] = lambda method, path, number: None
    up: int = 0
    down: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    cut_after: int | None = None
    pause: float = 0.5
    broken: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    sockets: set[socket.socket] = field(default_factory=set)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def moved(self) -> int:
        return self.up + self.down

    def heal(self) -> None:
        """Let everybody through again, and count from nothing."""
        with self.lock:
            self.up = self.down = 0
            self.cut_after, self.broken = None, False
            self.requests.clear()

    def count(self, up: int = 0, down: int = 0) -> None:
        with self.lock:
            self.up += up
            self.down += down
            if self.cut_after is not None and self.moved >= self.cut_after:
                self.broken = True
            if self.broken:
                raise _Cut


@contextlib.contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """Run a proxy before the server at port ``target``."""
    listener = socket.create_server(("127.0.0.1", 0))
    made = Proxy(listener.getsockname()[1], target)
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=_serve, args=(made, client), daemon=True)
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for each in list(made.sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def _serve(made: Proxy, client: socket.socket) -> None:
    """Carry the requests of one connection, one after another."""
    made.sockets.add(client)
    server: socket.socket | None = None
    try:
        if made.broken:
            raise _Cut
        server = socket.create_connection(("127.0.0.1", made.target))
        made.sockets.add(server)
        reader, answers = _Reader(client), _Reader(server)
        while (head := reader.head()) is not None:
            method, path = head.split(b" ", 2)[:2]
            with made.lock:
                number = len(made.requests)
                made.requests.append((method.decode(), path.decode()))
            harm = made.decide(method.decode(), path.decode(), number)
            body = reader.body(head)
            if isinstance(harm, int):
                for block in body:
                    made.count(up=len(block))
                client.sendall(b"HTTP/1.1 %d Harm\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n" % harm)
                continue
            if harm in ("drop", "reset"):
                _reset(client) if harm == "reset" else None
                return
            if harm == "delay":
                time.sleep(made.pause)
            made.count(up=len(head))
            server.sendall(head)
            for block in body:
                made.count(up=len(block))
                server.sendall(block)
            if not _answer(made, client, answers, method == b"HEAD", harm):
                return
    except (_Cut, OSError):
        _reset(client)
    finally:
        for each in (client, server):
            if each is not None:
                made.sockets.discard(each)
                each.close()


def _answer(made: Proxy, client: socket.socket, answers: _Reader, bare: bool, harm: str | int | None) -> bool:
    """Carry an answer back, and tell whether the connection goes on."""
    head = answers.head()
    if head is None:
        return False
    made.count(down=len(head))
    client.sendall(head)
    if bare or b" 204 " in head.split(b"\r\n", 1)[0] or b" 304 " in head.split(b"\r\n", 1)[0]:
        return True
    for number, block in enumerate(answers.body(head)):
        if harm == "truncate":
            client.sendall(block[: len(block) // 2])
            return False
        made.count(down=len(block))
        client.sendall(bytes(255 - byte for byte in block) if harm == "garble" and not number else block)
    return b"connection: close" not in head.lower()


class _Reader:
    """Reads messages of HTTP/1.1 from a socket."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._left = b""

    def head(self) -> bytes | None:
        while b"\r\n\r\n" not in self._left:
            more = self._source.recv(_BLOCK)
            if not more:
                return None
            self._left += more
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def body(self, head: bytes) -> Iterator[bytes]:
        """Yield what follows a head, as it came."""
        lines = {line.partition(b":")[0].strip().lower(): line.partition(b":")[2].strip()
                 for line in head.split(b"\r\n")[1:]}  # fmt: skip
        if lines.get(b"transfer-encoding", b"").lower() == b"chunked":
            while True:
                line = self._line()
                size = int(line.split(b";")[0], 16)
                yield line + self._exactly(size + 2)
                if not size:
                    return
        rest = int(lines.get(b"content-length", b"0"))
        while rest:
            block = self._some(min(rest, _BLOCK))
            rest -= len(block)
            yield block

    def _some(self, most: int) -> bytes:
        if not self._left:
            self._left = self._source.recv(_BLOCK)
            if not self._left:
                raise _Cut
        block, self._left = self._left[:most], self._left[most:]
        return block

    def _line(self) -> bytes:
        while b"\r\n" not in self._left:
            more = self._source.recv(_BLOCK)
            if not more:
                raise _Cut
            self._left += more
        line, _, self._left = self._left.partition(b"\r\n")
        return line + b"\r\n"

    def _exactly(self, size: int) -> bytes:
        pieces = []
        while size:
            pieces.append(self._some(size))
            size -= len(pieces[-1])
        return b"".join(pieces)


def _reset(client: socket.socket) -> None:
    """Have a connection end with a reset instead of an end."""
    with contextlib.suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
