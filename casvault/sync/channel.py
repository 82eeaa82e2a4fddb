"""A channel: a wire that one thread reads and another writes, so that who uses it never waits in a call of the system.

What is sent is on its way while the next is made ready, and what comes is read ahead, both as far as a few portions.

Owns the invariant that nothing hangs for ever: where nothing moved for `SILENCE`, or an answer takes longer than
`PATIENCE` though the other side shows life, the link is cut, and that is an error like any other break.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Any, NamedTuple

from casvault.codecs import Bytes
from casvault.errors import BrokenLink, CasvaultError, RemoteError
from casvault.objects import ObjectName
from casvault.sync.frames import Frame, Wire
from casvault.sync.remote import Arrival

__all__ = ["PATIENCE", "SILENCE", "Channel", "End", "Link"]

SILENCE = 120.0
"""Seconds in which something has to move; a server that works shows life much more often."""

PATIENCE = 1800.0
"""Seconds that an answer may take while the other side does nothing but show life."""

_TICK = 0.25
_POLL = 0.01
_LOT = 4 << 20
"""Bytes of objects that are handed over together."""

_WAITING = 3
"""Lots, and frames, that wait in either direction."""

_LEAVE = 3.0


class Link(NamedTuple):
    """A connection: its ``wire``; ``close`` ends it once all is said, ``cut`` at once and from any thread.

    ``told`` returns what the other side complained about on its way out, empty for nothing.
    """

    wire: Wire
    close: Callable[[], None]
    cut: Callable[[], None]
    told: Callable[[], str]


class End:
    """Says that all objects of a frame came."""


Item = bytes | Frame | list[Arrival] | End | CasvaultError


class Channel:
    """Sends frames over a link, and hands out what comes: first the line of greeting."""

    def __init__(self, link: Link) -> None:
        self._wire = link.wire
        self._cut = link.cut
        self._out: Queue[tuple[dict[str, Any], Sequence[Bytes]] | None] = Queue(_WAITING)
        self._in: Queue[Item] = Queue(_WAITING)
        self._failure: CasvaultError | None = None
        self._deaf_since: float | None = None
        self._closed = False
        self.beginnings: dict[ObjectName, Bytes] = {}
        """First bytes of objects of which only the rest was asked for."""
        self._threads = [
            threading.Thread(target=work, name=f"casvault {name}", daemon=True)
            for name, work in (("write", self._write), ("read", self._read))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def moved(self) -> int:
        """Bytes that went over the wire, both ways."""
        return self._wire.moved

    @property
    def broken(self) -> bool:
        """Whether nothing comes over it any more."""
        return self._failure is not None

    def send(self, head: dict[str, Any], pieces: Sequence[Bytes] = ()) -> None:
        """Have a frame sent, once those before it are nearly out; raises BrokenLink."""
        self._wait(lambda: self._out.put((head, pieces), timeout=_TICK), Full)

    def receive(self) -> bytes | Frame | list[Arrival] | End:
        """Return what comes next: a frame, or some objects of one, or their end; raises RemoteError, BrokenLink."""
        found: list[Item] = []
        self._wait(lambda: found.append(self._in.get(timeout=_TICK)), Empty)
        if isinstance(found[0], CasvaultError):
            self._failure = found[0]
            raise found[0]
        return found[0]

    def close(self) -> None:
        """Let go what was sent, then end; what cannot go any more is dropped."""
        self._closed = True
        with suppress(Full):
            self._out.put(None, timeout=_LEAVE)
        self._threads[0].join(_LEAVE)
        if self._threads[0].is_alive():
            self._cut()

    def _wait(self, attempt: Callable[[], object], busy: type[Exception]) -> None:
        """Try until it works, as long as there is hope."""
        begun = self._wire.lived = time.monotonic()
        mark = self._mark()
        while self._failure is None:
            with suppress(busy):
                attempt()
                return
            now = time.monotonic()
            if self._mark() != mark:
                mark, begun = self._mark(), now
            why = self._hopeless(now - self._wire.lived, now - begun)
            if why is not None:
                self._failure = BrokenLink(why)
                self._cut()
        raise self._failure

    def _mark(self) -> tuple[int, int]:
        """Return what changes as long as something useful moves."""
        return self._wire.received, self._wire.written >> 16

    def _hopeless(self, silent: float, waited: float) -> str | None:
        if self._deaf_since is not None and time.monotonic() - self._deaf_since > _LEAVE:
            return "the connection ended."
        if silent > SILENCE:
            return f"nothing was heard for {silent:.0f} s, so the connection was ended."
        if waited > PATIENCE:
            return f"no answer came for {waited:.0f} s, so the connection was ended."
        return None

    def _write(self) -> None:
        while (item := self._out.get()) is not None:
            try:
                if self._failure is None and self._deaf_since is None:
                    self._wire.send(*item)
            except BrokenLink:
                # What the other side said before it went is more telling: there is some time to hear it.
                self._deaf_since = time.monotonic()
            except RemoteError as error:
                self._failure = error

    def _read(self) -> None:
        try:
            self._hand(self._wire.line())
            while (heading := self._wire.heading()) is not None:
                if "names" not in heading.head:
                    self._hand(self._wire.rest(heading))
                    # Of large ones none is read ahead: who sends what nobody asked for fills no memory with it.
                    while heading.size > _LOT and not self._in.empty() and not self._closed:
                        time.sleep(_POLL)
                    continue
                lot, size = list[Arrival](), 0
                try:
                    for arrival in self._wire.arrivals(heading, self._beginning):
                        lot.append(arrival)
                        size += arrival.name.size
                        if size >= _LOT:
                            self._hand(lot)
                            lot, size = [], 0
                finally:
                    # Those that came whole before a break are worth as much as any.
                    if lot:
                        self._hand(lot)
                self._hand(End())
            self._hand(BrokenLink("the connection ended."))
        except CasvaultError as error:
            self._hand(error)

    def _beginning(self, name: ObjectName, size: int) -> Bytes:
        found = self.beginnings.pop(name, b"")
        if len(found) != size:
            raise RemoteError("an object was sent without its beginning.")
        return found

    def _hand(self, item: Item) -> None:
        while not self._closed:
            with suppress(Full):
                self._in.put(item, timeout=_TICK)
                return
