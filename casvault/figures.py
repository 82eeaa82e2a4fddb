"""Figures as people read them: sizes, ages, times, durations, iterations, losses.

Owns the promise that a figure looks the same wherever it is shown, on a terminal or in a browser.
"""

from __future__ import annotations

from datetime import datetime, timezone

__all__ = ["AGES", "age", "clock", "duration", "iteration", "loss", "size"]

AGES = (("year", 31_557_600), ("month", 2_629_800), ("day", 86_400), ("hour", 3_600), ("minute", 60))
"""The units that an age is told in, and their seconds; an age is told in the largest of which it has one."""


def size(number: int) -> str:
    """Write a number of bytes: 312 MB."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit in ("B", "kB") or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def age(then: datetime, now: datetime | None = None) -> str:
    """Write how long ago ``then`` was: 2 hours ago."""
    seconds = int(((now or datetime.now(timezone.utc)) - then).total_seconds())
    for unit, length in AGES:
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def clock(then: datetime, now: datetime | None = None) -> str:
    """Write the local time of ``then``, with its date where that is not today's."""
    local = then.astimezone()
    today = (now or datetime.now(timezone.utc)).astimezone().date()
    return local.strftime("%H:%M" if local.date() == today else "%Y-%m-%d %H:%M")


def duration(seconds: float) -> str:
    """Write how long something takes: 8 s, 3 min, 2 h 5 min."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def iteration(number: int | None) -> str:
    """Write an iteration: Iter 50,000."""
    return "-" if number is None else f"Iter {number:,}"


def loss(value: float | None) -> str:
    """Write one loss, a question mark for one that is no finite number: 0.2134."""
    return "?" if value is None else f"{value:.4f}"
