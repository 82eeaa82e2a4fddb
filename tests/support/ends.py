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

__all__ = ["KINDS", "behind", "end"]

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
