"""The hub: tells every open page what happened, as server-sent events.

Anything may publish, from any thread. Owns the invariant that a page that is slow or asleep costs nothing: of what it
has not read yet only the newest of each subject waits for it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

__all__ = ["Hub"]

_HEARTBEAT = 15.0
"""Seconds after which a silent stream says that it is alive, so that who is gone is noticed."""

_MOST_PAGES = 64
"""Streams that are open at a time; of more the oldest ends."""


class _Page:
    """What waits for one open page: the newest event of each subject, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting: dict[tuple[str, str], str] = {}
        self.ready = asyncio.Event()
        self.ended = False


class Hub:
    """Publishes events to all pages that listen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: list[_Page] = []
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many pages listen."""
        return len(self._pages)

    def publish(self, kind: str, document: dict[str, Any], subject: str = "") -> None:
        """Tell all pages an event; an earlier one of the same kind and ``subject`` that waits is replaced."""
        text = f"event: {kind}\ndata: {json.dumps(document, allow_nan=False)}\n\n"
        with self._lock:
            for page in self._pages:
                page.waiting.pop((kind, subject), None)
                page.waiting[kind, subject] = text
                _wake(page)

    def close(self) -> None:
        """End all streams, and those that begin from now on; may be called by the handler of a signal's thread."""
        with self._lock:
            self._closed = True
            for page in self._pages:
                page.ended = True
                _wake(page)

    async def stream(self) -> AsyncIterator[str]:
        """Yield what is published from now on, as the text of server-sent events."""
        page = _Page(asyncio.get_running_loop())
        with self._lock:
            self._pages.append(page)
            page.ended = self._closed
            for old in self._pages[:-_MOST_PAGES]:
                old.ended = True
                _wake(old)
        try:
            # The first bytes open the stream in the browser; half a second is its pause before it tries again.
            yield "retry: 500\nevent: hello\ndata: {}\n\n"
            while not page.ended:
                try:
                    await asyncio.wait_for(page.ready.wait(), _HEARTBEAT)
                except asyncio.TimeoutError:
                    yield ": alive\n\n"
                    continue
                with self._lock:
                    page.ready.clear()
                    told, page.waiting = list(page.waiting.values()), {}
                for text in told:
                    yield text
        finally:
            with self._lock:
                self._pages.remove(page)


def _wake(page: _Page) -> None:
    try:
        page.loop.call_soon_threadsafe(page.ready.set)
    except RuntimeError:
        # The loop is closed: the page is gone with it.
        page.ended = True
