"""A picture of what a vault stores over time; needs matplotlib, an extra."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casvault.errors import StorageError, UsageError
from casvault.manifest.stamp import from_iso

if TYPE_CHECKING:
    from casvault.usage.usage import Growth

__all__ = ["draw"]

_FORMATS = (".png", ".svg")


def draw(points: Sequence[Growth], path: Path) -> None:
    """Draw logical against stored bytes over time to ``path``; raises UsageError, StorageError."""
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"{path} is neither a .png nor a .svg.")
    try:
        # Not every version of it has types.
        dates: Any = import_module("matplotlib.dates")
        figures: Any = import_module("matplotlib.figure")
    except ImportError:
        raise UsageError("--plot needs matplotlib: pip install 'casvault[plot]'.") from None
    figure = figures.Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    times = [dates.date2num(from_iso(point.created)) for point in points]
    for label, values, colour in (
        ("all snapshots, as they are", [point.logical_bytes for point in points], "#9aa5b1"),
        ("stored", [point.stored_bytes for point in points], "#0b6e99"),
    ):
        axes.plot(times, [value / 1e9 for value in values], label=label, color=colour, drawstyle="steps-post")
        axes.fill_between(times, [value / 1e9 for value in values], step="post", color=colour, alpha=0.15)
    axes.set_ylabel("GB")
    axes.set_ylim(bottom=0)
    axes.set_title("Snapshots over time")
    axes.grid(alpha=0.3)
    if points:
        axes.legend(loc="upper left")
    locator = dates.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}.") from error
