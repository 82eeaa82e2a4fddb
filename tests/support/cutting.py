"""A link that breaks where it is told to: a proxy for TCP, which passes on what both sides say, up to a byte.

Owns the invariant that what it counts went over the wire, both ways together.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["CuttingProxy", "cutting"]

_PIECE = 65536
_DELAY = 0.3


class CuttingProxy:
    """Listens on ``port`` and passes on to ``target``; the first connection after `arm` is cut.

    ``passed`` are the bytes of each connection since then. ``victim`` is a file whose last line is the process to kill.
    """

    def __init__(self, target: int, victim: Path) -> None:
        self._target = target
        self._victim = victim
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.arm(1 << 62, "end")
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, at: int, how: str) -> None:
        """Cut the next connection after ``at`` bytes.

        Both ends are ``reset``; both see the ``end`` of the stream; nothing moves for a moment, a ``delay``; the far
        program gets a ``kill``; nothing moves any more, a ``stall``.
        """
        self.passed: list[int] = []
        self._left = at
        self._how = how

    def close(self) -> None:
        """End it, and all that it passes on."""
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                self.passed.append(0)
                number = len(self.passed) - 1
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._relay, args=(*pair, number), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, IndexError):
            while piece := source.recv(_PIECE):
                with self._lock:
                    room = self._left if number == 0 else len(piece)
                    cut = room < len(piece)
                    sent = piece[: max(0, room)]
                    self._left -= len(sent) if number == 0 else 0
                    self.passed[number] += len(sent)
                target.sendall(sent)
                if cut:
                    self._cut(source, target)
                    rest = piece[len(sent) :]
                    self.passed[number] += len(rest)
                    target.sendall(rest)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _cut(self, source: socket.socket, target: socket.socket) -> None:
        """Break the link, or let it go on after what was done to it."""
        self._left = 1 << 62
        if self._how == "delay":
            time.sleep(_DELAY)
        elif self._how == "kill":
            os.kill(int(self._victim.read_text().split()[-1]), signal.SIGKILL)
        elif self._how == "stall":
            self._left = 0
            time.sleep(3600)
        else:
            for one in (source, target):
                if self._how == "reset":
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    one.shutdown(socket.SHUT_RDWR)
                one.close()


@contextlib.contextmanager
def cutting(target: int, victim: Path) -> Iterator[CuttingProxy]:
    """Run a proxy."""
    proxy = CuttingProxy(target, victim)
    try:
        yield proxy
    finally:
        proxy.close()
