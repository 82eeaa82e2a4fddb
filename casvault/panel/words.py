"""Words: how sizes, times and losses are written on a page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

__all__ = ["FILTERS", "age", "size"]

_STEPS = (("year", 31_557_600), ("month", 2_629_800), ("day", 86_400), ("hour", 3_600), ("minute", 60))


def size(number: float) -> str:
    """Write a number of bytes: 312 MB."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit in ("B", "kB") or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def age(then: datetime | str) -> str:
    """Write how long ago a moment was, given as such or as ISO 8601: 2 hours ago."""
    moment = datetime.fromisoformat(then.replace("Z", "+00:00")) if isinstance(then, str) else then
    seconds = int((datetime.now(timezone.utc) - moment).total_seconds())
    for unit, length in _STEPS:
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


FILTERS: dict[str, Callable[..., str]] = {"size": size, "age": age}
"""What templates call them -> what writes them."""
