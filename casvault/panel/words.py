"""Words: how figures are written on a page. All of them are those of `casvault.figures`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from casvault import figures
from casvault.figures import size

__all__ = ["FILTERS", "age", "exact", "moment_of", "plural", "progress", "size"]


def moment_of(then: datetime | str) -> datetime:
    """Return a moment that is given as such or as ISO 8601."""
    return datetime.fromisoformat(then.replace("Z", "+00:00")) if isinstance(then, str) else then


def age(then: datetime | str) -> str:
    """Write how long ago a moment was: 2 hours ago."""
    return figures.age(moment_of(then))


def exact(then: datetime | str) -> str:
    """Write a moment in full, in local time."""
    return moment_of(then).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def plural(count: int, noun: str = "snapshot") -> str:
    """Write how many there are: 1 snapshot, 1,204 snapshots."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def progress(done: int, total: int | None, rate: float | None, left: float | None) -> str:
    """Write how far something is: 12.4 MB of 37.6 MB · 210 MB/s · 8 s left."""
    parts = [size(done) if total is None else f"{size(done)} of {size(total)}"]
    parts += [f"{size(int(rate))}/s"] if rate is not None else []
    parts += [f"{figures.duration(left)} left"] if left is not None else []
    return " · ".join(parts)


FILTERS: dict[str, Callable[..., str]] = {
    "age": age,
    "count": lambda number: f"{number:,}",
    "duration": figures.duration,
    "exact": exact,
    "iteration": figures.iteration,
    "loss": figures.loss,
    "plural": plural,
    "size": size,
}
"""What templates call them -> what writes them."""
