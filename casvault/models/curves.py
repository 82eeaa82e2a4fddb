"""Curves of losses: a history of any length as so few points that a picture of it can be drawn, and nothing missed.

A point stands for one or more iterations. Owns the invariant that the lowest and the highest loss of these are kept, so
that a spike of one iteration in a million shows; and that a mean over `LOSS_WINDOW` iterations is the very number that
a snapshot of that iteration has.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from casvault.formats import FloatRows
from casvault.models.losses import loss_names

__all__ = ["Curve", "curves", "mean_at"]


@dataclass(frozen=True)
class Curve:
    """One loss by its ``name``: for each point the lowest and the highest value, and the mean of what led up to it.

    None stands where no value is finite, and of a mean where one of its values is not.
    """

    name: str
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    mean: tuple[float | None, ...]


def curves(
    rows: FloatRows, start: int, stop: int, points: int, window: int
) -> tuple[tuple[int, ...], tuple[Curve, ...]]:
    """Return the rows that end the at most ``points`` points between two rows, and a curve for each column.

    A mean is taken over ``window`` rows up to the end of its point, or over the whole point where that has more.
    """
    edges = _edges(start, stop, points)
    made = []
    for column, name in enumerate(loss_names(rows.columns)):
        spans = [_span(_part(rows, column, first, end)) for first, end in pairwise(edges)]
        means = tuple(_mean(rows, column, end, max(window, end - first)) for first, end in pairwise(edges))
        made.append(Curve(name, tuple(low for low, _ in spans), tuple(high for _, high in spans), means))
    return tuple(end - 1 for end in edges[1:]), tuple(made)


def mean_at(rows: FloatRows, end: int, window: int) -> dict[str, float | None]:
    """Return the mean of each loss over the last ``window`` of the first ``end`` rows, by its name."""
    return {name: _mean(rows, column, end, window) for column, name in enumerate(loss_names(rows.columns))}


def _edges(start: int, stop: int, points: int) -> list[int]:
    """Return where each point begins, and where the last one ends."""
    count = min(points, stop - start)
    return [start + (stop - start) * number // count for number in range(count + 1)] if count > 0 else [start]


def _part(rows: FloatRows, column: int, start: int, stop: int) -> array[float]:
    """Return what a column has between two rows; the rest of a history, which may be long, is not copied."""
    return rows.values[start * rows.columns + column : stop * rows.columns : rows.columns]


def _span(values: Sequence[float]) -> tuple[float | None, float | None]:
    if not math.isfinite(sum(values)):
        values = [value for value in values if math.isfinite(value)]
    return (min(values), max(values)) if values else (None, None)


def _mean(rows: FloatRows, column: int, end: int, window: int) -> float | None:
    count = min(window, end)
    mean = sum(_part(rows, column, end - count, end)) / count
    return mean if math.isfinite(mean) else None
