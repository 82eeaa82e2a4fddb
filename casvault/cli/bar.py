"""Progress as a bar on stderr: bytes, rate, time left."""

from __future__ import annotations

import sys
import threading
from typing import Any

from tqdm import tqdm

from casvault.cli.text import plain, size
from casvault.progress import Progress

__all__ = ["BarProgress"]


class BarProgress(Progress):
    """Draws with tqdm; the bar vanishes when its task ends."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._lock = threading.Lock()
        self._said = ""
        self._beside = ""

    def start(self, task: str, total: int | None) -> None:
        """Begin a bar."""
        self.finish()
        with self._lock:
            self._bar = tqdm(
                total=total,
                desc=task,
                unit="B",
                unit_scale=True,
                leave=False,
                dynamic_ncols=True,
                mininterval=0.1,
                postfix=self._beside or None,
            )

    def advance(self, amount: int) -> None:
        """Move the bar."""
        self.check()
        with self._lock:
            if self._bar is not None:
                self._bar.update(amount)

    def whole(self, done: int, total: int) -> None:
        """Show it beside the bar."""
        self._beside = f"{size(done)} of {size(total)} of models"
        with self._lock:
            if self._bar is not None:
                self._bar.set_postfix_str(self._beside)

    def message(self, text: str) -> None:
        """Print a line above the bar, once."""
        if text != self._said:
            self._said = text
            tqdm.write(plain(text), file=sys.stderr)

    def finish(self) -> None:
        """Remove the bar."""
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None
