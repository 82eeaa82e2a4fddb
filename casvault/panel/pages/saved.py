"""Saved: what a vault's snapshots would take, what they take, and what saves the difference, as parts of one bar.

Owns the invariant that the parts add up to the whole, to the byte, as long as every header was read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from casvault.api import Coding, VaultUsage

__all__ = ["Part", "Saved", "saved_by"]

_WAYS = (
    ("zstd", "zstd", "What is no array of numbers, compressed as it is", ("zstd", "raw", "unknown", "pack")),
    ("planes", "byte planes", "Numbers by the bytes that they are made of", ("planes", "turned-planes", "rank-one")),
)
_WIDTH = 1000


@dataclass(frozen=True)
class Part:
    """A part of the bar: ``kind`` says its colour, ``x`` and ``width`` are in thousandths of the bar."""

    kind: str
    name: str
    why: str
    size: int
    share: float
    x: float
    width: float


@dataclass(frozen=True)
class Saved:
    """All parts of the bar; ``whole`` are the bytes of all snapshots with their pictures, ``stored`` what they take.

    ``ratio`` is how many bytes of a model there are for each that is stored, 0 where there are none.
    """

    whole: int
    stored: int
    parts: tuple[Part, ...]
    exact: bool

    @property
    def ratio(self) -> float:
        """How many bytes there are for each that is stored."""
        return self.whole / self.stored if self.stored else 0.0


def saved_by(usage: VaultUsage, coding: Coding) -> Saved:
    """Return what saves how much."""
    whole = usage.logical_bytes + usage.picture_bytes
    told = [("dedup", "dedup", "What was there already, in another snapshot or file", usage.saved_by_dedup)]
    for kind, name, why, codecs in _WAYS:
        told.append((kind, name, why, _sum(coding, False, codecs)))
    told.append(("deltas", "deltas", "Numbers by their differences to an earlier snapshot", usage.saved_by_deltas))
    stored = whole - sum(size for *_, size in told)
    told.insert(0, ("stored", "Stored", "What these snapshots take on the disk", stored))
    return Saved(whole, stored, tuple(_parts(told, whole)), coding.exact)


def _sum(coding: Coding, leaning: bool, codecs: Iterable[str]) -> int:
    return sum(one.saved_bytes for one in coding.codecs if one.leaning == leaning and one.codec in codecs)


def _parts(told: Iterable[tuple[str, str, str, int]], whole: int) -> Iterable[Part]:
    """Place the parts one after another; one that saves nothing, or costs a header, has no width."""
    at = 0.0
    for kind, name, why, size in told:
        width = max(0, size) / whole * _WIDTH if whole else 0.0
        yield Part(kind, name, why, size, size / whole if whole else 0.0, round(at, 2), round(width, 2))
        at += width
