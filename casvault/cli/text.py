"""Text for terminals: sizes, ages, losses, tables. Nothing from outside reaches a terminal but through `plain`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from casvault.figures import age, clock, iteration, loss, size
from casvault.manifest.stamp import from_iso

if TYPE_CHECKING:
    from casvault.vault.head import Head

__all__ = ["age", "clock", "describe", "iteration", "losses", "plain", "size", "table"]

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\ud800-\udfff]")


def plain(text: str) -> str:
    """Return ``text`` with everything that could steer a terminal shown as a question mark."""
    return _UNSAFE.sub("?", text)


def losses(values: dict[str, Any] | None) -> str:
    """Write losses: src 0.2134 dst 0.1987."""
    if not values:
        return "-"
    return plain(" ".join(f"{name} {loss(value)}" for name, value in values.items()))


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
