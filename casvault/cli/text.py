"""Text for terminals: sizes, ages, losses, tables. Nothing from outside reaches a terminal but through `plain`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from casvault.manifest.stamp import from_iso

if TYPE_CHECKING:
    from casvault.vault.head import Head

__all__ = ["age", "clock", "describe", "iteration", "losses", "plain", "size", "table"]

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\ud800-\udfff]")
_STEPS = (("year", 31_557_600), ("month", 2_629_800), ("day", 86_400), ("hour", 3_600), ("minute", 60))


def plain(text: str) -> str:
    """Return ``text`` with everything that could steer a terminal shown as a question mark."""
    return _UNSAFE.sub("?", text)


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
    for unit, length in _STEPS:
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def clock(then: datetime, now: datetime | None = None) -> str:
    """Write the local time of ``then``, with its date where that is not today's."""
    local = then.astimezone()
    today = (now or datetime.now(timezone.utc)).astimezone().date()
    return local.strftime("%H:%M" if local.date() == today else "%Y-%m-%d %H:%M")


def iteration(number: int | None) -> str:
    """Write an iteration: Iter 50,000."""
    return "-" if number is None else f"Iter {number:,}"


def losses(values: dict[str, Any] | None) -> str:
    """Write losses: src 0.2134 dst 0.1987."""
    if not values:
        return "-"
    parts = [f"{name} {value:.4f}" if value is not None else f"{name} ?" for name, value in values.items()]
    return plain(" ".join(parts))


def describe(head: Head) -> str:
    """Write one snapshot on a line: 'before GAN' of new_SAEHD, Iter 50,000, src 0.2134 dst 0.1987, 2 hours ago."""
    when = age(from_iso(head.saved_at or head.created))
    return plain(
        f"'{head.title}' ({head.id[-6:]}) of {head.model_name}: "
        f"{iteration(head.iteration)}, {losses(head.loss)}, {when}, {size(head.size)}"
    )


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), indent: str = "") -> str:
    """Return rows as aligned columns, those in ``right`` flush right; the last column is not padded."""
    if not rows:
        return ""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for column, cell in enumerate(row):
            room = widths[column] - _width(cell) + len(cell)
            cells.append(cell.rjust(room) if column in right else cell.ljust(room))
        lines.append(indent + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
