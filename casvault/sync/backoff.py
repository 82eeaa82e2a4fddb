"""Backoff: how long to wait before a link that broke is tried anew, and when to give up.

Owns the invariant that tries without any progress come to an end.
"""

from __future__ import annotations

import random
import time

from casvault.errors import BrokenLink
from casvault.progress import Progress

__all__ = ["Backoff"]

_FIRST, _LONGEST = 2.0, 60.0
"""Seconds before the first try, at the most; each further one may wait twice as long."""

_TICK = 0.2


class Backoff:
    """Allows ``retries`` tries in a row; what was said to be a step forward begins a new row."""

    def __init__(self, retries: int, progress: Progress) -> None:
        self._retries = retries
        self._progress = progress
        self._row = 0
        self.tries = 0

    def moved(self) -> None:
        """Note that the last try brought something."""
        self._row = 0

    def wait(self, error: BrokenLink) -> None:
        """Say what happened and wait for the next try; raises ``error`` where it was the last one, and Cancelled."""
        if self._row >= self._retries:
            raise error
        self._row += 1
        self.tries += 1
        # Many who lost the same machine must not all come back at once.
        pause = min(_LONGEST, _FIRST * 2 ** (self._row - 1)) * random.uniform(0.5, 1.0)
        text = str(error).rstrip(".")
        self._progress.message(f"{text}; trying again in {pause:.0f} s ({self._row} of {self._retries}).")
        end = time.monotonic() + pause
        while (rest := end - time.monotonic()) > 0:
            self._progress.check()
            time.sleep(min(rest, _TICK))
