"""What a run of the benchmarks was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """``place`` is a folder for everything that is made, ``size`` the bytes of the model that is timed.

    ``quick`` makes everything tiny, to see that it works. ``trajectory`` is a folder whose subfolders, sorted by name,
    are real saves of one model, or None. ``tell`` is called with a line about what is going on.
    """

    place: Path
    quick: bool = False
    rounds: int = 5
    size: int = 300_000_000
    trajectory: Path | None = None
    tell: Callable[[str], None] = print

    def folder(self, name: str) -> Path:
        """Make and return a folder of a part's own."""
        made = self.place / name
        made.mkdir()
        return made
