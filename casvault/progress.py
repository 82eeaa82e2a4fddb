"""How a long operation tells its caller where it is, and hears that it should stop.

Operations call `start`, `advance` and `finish`; a front end overrides them to draw. Another thread (or a
signal handler) calls `cancel`; the operation notices at its next `advance` or `check` and raises Cancelled,
leaving nothing half-done. Amounts are bytes unless the task says otherwise.
"""

from __future__ import annotations

import threading

from casvault.errors import Cancelled

__all__ = ["Progress"]


class Progress:
    """A silent progress; subclass it to show something. Safe to call from several threads."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def start(self, task: str, total: int | None) -> None:
        """Begin ``task`` of ``total`` bytes (None: unknown)."""

    def advance(self, amount: int) -> None:
        """Count ``amount`` more bytes as done; raises Cancelled when the caller asked to stop."""
        self.check()

    def whole(self, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` bytes of models are there; what is advanced may be much less than these."""

    def message(self, text: str) -> None:
        """Say something once, such as what is being waited for."""

    def finish(self) -> None:
        """End the task that `start` began."""

    def cancel(self) -> None:
        """Ask the operation to stop; may be called from any thread."""
        self._stop.set()

    def check(self) -> None:
        """Raise Cancelled when the caller asked to stop."""
        if self._stop.is_set():
            raise Cancelled("stopped as asked; nothing was changed.")
