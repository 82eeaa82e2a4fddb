"""A picture of what a vault stores over time; needs matplotlib, an extra."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
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
    """Draw logical against stored bytes over (local) time to ``path``; raises UsageError, StorageError."""
    figures, dates = _matplotlib(path)
    if not points:
        raise UsageError("there are no snapshots to draw.")
    figure = figures.Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    zone = datetime.now().astimezone().tzinfo
    times = [dates.date2num(from_iso(point.created)) for point in points]
    divisor, unit = _unit(max(point.logical_bytes for point in points))
    for label, values, colour in (
        ("all snapshots, as they are", [point.logical_bytes for point in points], "#9aa5b1"),
        ("stored", [point.stored_bytes for point in points], "#0b6e99"),
    ):
        heights = [value / divisor for value in values]
        # The dots show a single snapshot, of which there is no line yet.
        axes.plot(times, heights, label=label, color=colour, drawstyle="steps-post", marker=".")
        axes.fill_between(times, heights, step="post", color=colour, alpha=0.15)
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.set_title("Snapshots over time")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    locator = dates.AutoDateLocator(tz=zone)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=zone))
    _write(figure, path)


def _matplotlib(path: Path) -> tuple[Any, Any]:
    """Return matplotlib's modules of figures and dates; raises UsageError where they, or a format, are not there."""
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"{path} is neither a .png nor a .svg.")
    try:
        # Not every version of it has types.
        return import_module("matplotlib.figure"), import_module("matplotlib.dates")
    except ImportError:
        raise UsageError("--plot needs matplotlib: install 'casvault[plot]' in place of casvault.") from None


def _unit(most: int) -> tuple[float, str]:
    return next(((10.0**power, unit) for power, unit in ((12, "TB"), (9, "GB")) if most >= 10**power), (1e6, "MB"))


def _write(figure: Any, path: Path) -> None:
    image = io.BytesIO()
    figure.savefig(image, dpi=150, format=path.suffix.lower().removeprefix("."))
    try:
        path.write_bytes(image.getvalue())
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}.") from error
