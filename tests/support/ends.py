"""Ends of transfers: a vault by path, or behind the protocol, over a pair of sockets in place of `ssh`."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from casvault import api
from casvault.errors import RemoteError
from casvault.sync.channel import Link
from casvault.sync.far import FarRemote
from casvault.sync.frames import Wire
from casvault.sync.local import LocalRemote
from casvault.sync.remote import Remote
from casvault.sync.server import serve

__all__ = ["KINDS", "behind", "breaking", "end"]

KINDS = ("path", "wire")


@contextlib.contextmanager
def end(vault: api.Vault, kind: str = "path") -> Iterator[Remote]:
    """Yield a vault as the other end of a transfer."""
    if kind == "path":
        with LocalRemote(api.open(str(vault.path), threads=vault.threads)) as remote:
            yield remote
    else:
        with behind(
            lambda reader, writer: serve(api.open(str(vault.path), threads=vault.threads), reader, writer)
        ) as far:
            yield far


@contextlib.contextmanager
def behind(server: Callable[[BinaryIO, BinaryIO], None]) -> Iterator[FarRemote]:
    """Yield what is reached through ``server``, which runs in a thread with the other ends of the streams."""
    ours, theirs = socket.socketpair()

    def run() -> None:
        # What a server does not take is told by the other end of the connection.
        try:
            with contextlib.suppress(RemoteError, OSError):
                reader, writer = theirs.makefile("rb"), theirs.makefile("wb")
                server(cast(BinaryIO, reader), cast(BinaryIO, writer))
                writer.flush()
        finally:
            with contextlib.suppress(OSError):
                theirs.shutdown(socket.SHUT_RDWR)
            theirs.close()

    thread = threading.Thread(target=run)
    thread.start()
    reader, writer = ours.makefile("rb"), ours.makefile("wb")

    def close() -> None:
        with contextlib.suppress(OSError):
            ours.shutdown(socket.SHUT_RDWR)

    try:
        wire = Wire(cast(BinaryIO, reader), cast(BinaryIO, writer))
        far = FarRemote(lambda: Link(wire, close, close, lambda: ""), "far")
        with far:
            yield far
    finally:
        close()
        ours.close()
        thread.join()


@contextlib.contextmanager
def breaking(vaults: Iterator[tuple[api.Vault, int]]) -> Iterator[FarRemote]:
    """Yield what is reached over links each of which leads to a vault, and breaks after so many bytes of both ways."""
    threads: list[threading.Thread] = []

    def dial() -> Link:
        ours, theirs = socket.socketpair()
        try:
            vault, limit = next(vaults)
        except StopIteration:
            raise RemoteError("nobody is there any more.") from None

        def run() -> None:
            try:
                with contextlib.suppress(RemoteError, OSError):
                    streams = (cast(BinaryIO, theirs.makefile(mode)) for mode in ("rb", "wb"))
                    serve(api.open(str(vault.path), threads=vault.threads), *streams)
            finally:
                with contextlib.suppress(OSError):
                    theirs.shutdown(socket.SHUT_RDWR)
                theirs.close()

        def cut() -> None:
            with contextlib.suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        counted = _Counted(ours, limit)
        return Link(Wire(cast(BinaryIO, counted), cast(BinaryIO, counted)), cut, cut, lambda: "")

    try:
        far = FarRemote(dial, "far")
        with far:
            yield far
    finally:
        for thread in threads:
            thread.join()


class _Counted:
    """A socket as a stream that ends after so many bytes, of both ways together."""

    def __init__(self, connection: socket.socket, limit: int) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")
        self._left = limit
        self._lock = threading.Lock()

    def _take(self, size: int) -> int:
        with self._lock:
            taken = min(size, self._left)
            self._left -= taken
        return taken

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def readline(self, size: int) -> bytes:
        line = self._reader.readline(size)
        return line[: self._take(len(line))]

    def readinto1(self, buffer: memoryview) -> int:
        came = int(self._reader.readinto1(buffer))
        taken = self._take(came)
        if taken < came:
            self._end()
        return taken

    def write(self, data: memoryview) -> None:
        taken = self._take(len(data))
        self._connection.sendall(data[:taken])
        if taken < len(data):
            self._end()
            raise BrokenPipeError

    def flush(self) -> None:
        pass
