"""The losses of a run, judged: have they jumped, are they exactly zero?

A single row is noise, so means of 100 are compared: the last 100 rows with the best of those before, in blocks of 100
counted back from the end. A trainer begins its history anew when it begins a run, so a history is one run.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from casvault.formats import FloatRows

__all__ = ["LOSS_WINDOW", "loss_names", "told"]

LOSS_WINDOW = 100
"""Iterations that a mean loss is taken over."""

_JUMP = 2.0
"""How many times the best mean a mean must be above to be called a jump."""

_FEWEST = 10
"""Rows after a jump below which its place is not looked for."""


def loss_names(columns: int) -> list[str]:
    """Return what the columns of a history are called."""
    known = {1: ["loss"], 2: ["src", "dst"]}
    return known.get(columns) or [f"loss_{number}" for number in range(1, columns + 1)]


def told(rows: FloatRows, iteration: int | None) -> tuple[dict[str, float] | None, tuple[str, ...]]:
    """Return the best earlier mean by the loss's name, None where no row is early enough, and what is suspect.

    ``iteration`` is the one of the last row.
    """
    best: dict[str, float] = {}
    doubts = []
    names = loss_names(rows.columns)
    for column, name in enumerate(names):
        values = rows.values[column :: rows.columns]
        shown = "loss" if name == "loss" else f"{name} loss"
        now = _mean(values[-LOSS_WINDOW:])
        if now == 0:
            doubts.append(f"{shown} is exactly 0 over the last {min(LOSS_WINDOW, len(values))} iterations")
        means = _earlier(values)
        lowest = min(means, default=math.inf)
        if lowest == math.inf:
            continue
        best[name] = lowest
        if math.isfinite(now) and now > _JUMP * lowest:
            row = _place(values, means, lowest)
            after = row if iteration is None else max(0, iteration - len(values) + row)
            doubts.append(f"{shown} jumped {_short(lowest)} -> {_short(now)} after iteration {after:,}")
    return best or None, tuple(doubts)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _earlier(values: array[float]) -> list[float]:
    """Return the means of the blocks before the last one, the newest first; what is not above 0 is no loss."""
    starts = range(len(values) - 2 * LOSS_WINDOW, -1, -LOSS_WINDOW)
    means = (_mean(values[start : start + LOSS_WINDOW]) for start in starts)
    return [mean if math.isfinite(mean) and mean > 0 else math.inf for mean in means]


def _place(values: array[float], means: list[float], best: float) -> int:
    """Return the row before which the losses rose most, near the last block whose mean was not too high."""
    blocks = next(number for number, mean in enumerate(means, 2) if mean <= _JUMP * best)
    first = len(values) - blocks * LOSS_WINDOW
    last = min(first + 2 * LOSS_WINDOW, len(values) - _FEWEST)

    def rise(row: int) -> float:
        step = _mean(values[row : row + LOSS_WINDOW]) - _mean(values[max(0, row - LOSS_WINDOW) : row])
        return step if math.isfinite(step) else -math.inf

    return max(range(max(1, first), last + 1), key=rise)


def _short(loss: float) -> str:
    return f"{loss:.3g}" if loss < 1000 else f"{loss:,.0f}"
