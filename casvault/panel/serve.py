"""Serving: the panel at an address of this machine, until it is stopped."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

import uvicorn

from casvault.errors import UsageError
from casvault.panel.app import make_app, make_panel
from casvault.panel.desk import Desk
from casvault.panel.guard import Door, Guard

__all__ = ["PORT", "Address", "bind", "serve"]

PORT = 8577
"""The port that is tried first where none was named."""

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Address:
    """A socket that is bound, and what to open in a browser; ``lonely`` says that only this machine can reach it."""

    listener: socket.socket
    host: str
    port: int
    lonely: bool

    def url(self, token: str) -> str:
        """Return the address that opens the door once."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{shown}:{self.port}/?token={token}"


def bind(host: str, port: int | None) -> Address:
    """Bind a socket; without ``port`` the usual one, or any where that is taken, with 0 any. Raises UsageError."""
    try:
        listener = _bound(host, PORT if port is None else port)
    except OSError:
        if port is not None:
            raise UsageError(f"port {port} of {host} cannot be had; name another, or `--port 0` for any.") from None
        try:
            listener = _bound(host, 0)
        except OSError as error:
            raise UsageError(f"the panel cannot listen at {host}: {error.strerror or error}.") from None
    name, number = listener.getsockname()[:2]
    address = ipaddress.ip_address(name)
    shown = host if not address.is_unspecified else socket.gethostname()
    return Address(listener, shown, number, address.is_loopback)


def serve(desk: Desk, address: Address, opened: Callable[[str], None], *, renewed: Callable[[str], None]) -> None:
    """Serve the panel until SIGINT or SIGTERM; operations that run are cancelled then, or finished.

    ``opened`` is called with the URL when the panel answers, ``renewed`` with a new one when an old one was used twice.
    """
    door = Door(lambda token: renewed(address.url(token)))
    panel = make_panel(desk, door)
    names = {"127.0.0.1", "localhost", "::1"} if address.lonely else {"localhost", "127.0.0.1"}
    guard = Guard(make_app(panel), door, {*names, address.host.lower()}, address.port, any_address=not address.lonely)
    config = uvicorn.Config(guard, log_level="critical", access_log=False, server_header=False, timeout_keep_alive=5)
    server = _Server(config, panel.hub.close, lambda: opened(address.url(door.token())))
    with suppress(KeyboardInterrupt):
        # uvicorn raises the signal anew when all is over.
        server.run(sockets=[address.listener])


class _Server(uvicorn.Server):
    """A server that says when it answers, and that ends the streams of pages as soon as it is to end."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None], ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End, because a signal came."""
        super().handle_exit(sig, frame)
        self._ending()


def _bound(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, place = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except OSError:
        listener.close()
        raise
    return listener
