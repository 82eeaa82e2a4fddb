"""Figures of several rounds: collecting them as they will stand in JSON, and what tables say of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.process import Usage

__all__ = ["Log", "add", "megabytes", "median", "ratio", "row", "spread", "table"]

Log = dict[str, dict[str, dict[str, list[float]]]]
"""operation -> tool -> "wall", "cpu" (seconds) and "peak" (bytes) -> one figure of each round."""


def add(log: Log, operation: str, tool: str, usage: Usage) -> None:
    """Add what a tool took for an operation in this round."""
    figures = log.setdefault(operation, {}).setdefault(tool, {"wall": [], "cpu": [], "peak": []})
    figures["wall"].append(usage.wall)
    figures["cpu"].append(usage.cpu)
    figures["peak"].append(usage.peak)


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median with the smallest and the largest value, as tables show it."""
    middle = f"{median(values):.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def ratio(values: Sequence[float], rivals: Sequence[float]) -> float:
    """Return the median of the ratios within rounds, so that a machine that drifts drifts for both."""
    return median([one / other for one, other in zip(values, rivals, strict=True)])


def megabytes(size: float) -> str:
    """Return a size in MB."""
    return f"{size / 1e6:,.0f}" if size >= 1e7 else f"{size / 1e6:,.1f}"


def row(*cells: Any) -> str:
    """Return one row of a Markdown table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table; all columns but the first are figures."""
    lines = [row(*head), "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *(row(*cells) for cells in rows)])
