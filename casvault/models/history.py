"""The history of a training: its losses, iteration by iteration, as the trainer noted them down."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from casvault.models.losses import LOSS_WINDOW

__all__ = ["POINTS", "LossHistory"]

POINTS = 2000
"""Points that a curve is told in where nothing else is asked for: more than a screen is wide."""


@dataclass(frozen=True)
class LossHistory:
    """``values`` are rows of as many losses as there are ``names``, row after row; ``first`` is the iteration of the
    first row. A trainer begins its history anew when it begins a run, so a history is one run.
    """

    names: tuple[str, ...]
    first: int
    values: array[float]

    def __len__(self) -> int:
        """Return the number of rows, which are iterations."""
        return len(self.values) // len(self.names)

    def column(self, name: str) -> array[float]:
        """Return one loss, iteration by iteration; raises ValueError for a name that it has not."""
        return self.values[self.names.index(name) :: len(self.names)]

    def to_json(self, points: int = POINTS) -> dict[str, Any]:
        """Return the curves in at most ``points`` points, each of which stands for as many iterations.

        A point has its last iteration, and of each loss the ``mean``, ``low`` and ``high`` of its own iterations, and
        ``smoothed``, the mean of the 100 iterations up to it, as snapshots tell it. What is not finite is None.
        """
        count = len(self)
        step = max(1, math.ceil(count / max(1, points)))
        own = [(start, min(start + step, count)) for start in range(0, count, step)]
        wide = [(max(0, end - LOSS_WINDOW), end) for _, end in own]
        curves = {name: self.column(name) for name in self.names}
        return {
            "names": list(self.names),
            "first": self.first,
            "rows": count,
            "step": step,
            "iterations": [self.first + end - 1 for _, end in own],
            "mean": {name: _means(values, own) for name, values in curves.items()},
            "smoothed": {name: _means(values, wide) for name, values in curves.items()},
            "low": {name: _extremes(min, values, own) for name, values in curves.items()},
            "high": {name: _extremes(max, values, own) for name, values in curves.items()},
        }


def _means(values: array[float], spans: list[tuple[int, int]]) -> list[float | None]:
    """Return the means of ``spans`` of values, as differences of sums from the start."""
    sums = [0.0, *accumulate(value if math.isfinite(value) else 0.0 for value in values)]
    strange = [0, *accumulate(not math.isfinite(value) for value in values)]
    return [None if strange[b] > strange[a] else _finite((sums[b] - sums[a]) / (b - a)) for a, b in spans]


def _extremes(
    which: Callable[[Iterable[float]], float], values: array[float], spans: list[tuple[int, int]]
) -> list[float | None]:
    # Compared with NaN nothing is less or more, so that it would depend on the order.
    return [_finite(which(values[a:b])) if all(map(math.isfinite, values[a:b])) else None for a, b in spans]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
