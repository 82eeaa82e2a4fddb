"""A pair: one tensor in two files, and how far its numbers moved.

Owns the invariants that bytes with equal digests are never decoded to find out that they are equal, and that a pair
takes no more memory than a chunk of each side: where the two were cut at different places, what lies between the cuts
of the first is read from both.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from casvault.formats.region import Region
from casvault.subject import SubjectFile

if TYPE_CHECKING:
    from casvault.numbers.moments import Moved

__all__ = ["Pair", "Span", "spans"]

_LONGEST = 4 << 20
"""Bytes that are compared at a time where a chunk is longer."""


@dataclass(frozen=True)
class Span:
    """What one chunk has of a tensor: from ``start`` to ``stop`` in the tensor, ``within`` the chunk, in bytes."""

    start: int
    stop: int
    digest: str
    within: int


def spans(file: SubjectFile, region: Region) -> list[Span]:
    """Return the spans of a tensor, in order."""
    found = []
    for index in range(bisect_right(file.starts, region.offset) - 1, len(file.parts)):
        part, position = file.parts[index], file.starts[index]
        if position >= region.end:
            break
        first, last = max(position, region.offset), min(position + part.size, region.end)
        found.append(Span(first - region.offset, last - region.offset, part.digest, first - position))
    return found


@dataclass(frozen=True)
class Pair:
    """A tensor of one dtype and shape in the files ``a`` and ``b``."""

    a: SubjectFile
    b: SubjectFile
    region_a: Region
    region_b: Region

    @property
    def same(self) -> bool:
        """Whether digests tell that the bytes are the same; False does not tell that they are not."""
        if self.a.digest and self.a.digest == self.b.digest and self.region_a.offset == self.region_b.offset:
            return True
        return spans(self.a, self.region_a) == spans(self.b, self.region_b)

    @property
    def readable(self) -> bool:
        """Whether the bytes of both are kept."""
        return self.a.source is not None and self.b.source is not None

    def moved(self) -> Moved:
        """Return how far the numbers moved; raises MissingObject, DamageError, StorageError."""
        from casvault.numbers.moments import Moved, moved, squares_of

        assert self.a.source is not None
        assert self.b.source is not None
        dtype, item = self.region_a.dtype, self.region_a.item_size
        known = set(spans(self.b, self.region_b))
        total = Moved()
        for start, stop, span in self._pieces():
            before = self.a.source.read_at(self.region_a.offset + start, stop - start)
            if span in known:
                total = total.plus(Moved((stop - start) // item, 0, squares_of(before, dtype), 0.0))
                continue
            after = self.b.source.read_at(self.region_b.offset + start, stop - start)
            total = total.plus(moved(before, after, dtype))
        return total

    def _pieces(self) -> Iterator[tuple[int, int, Span | None]]:
        """Yield from where to where to compare: whole numbers, by the cuts of A, and the span where it is one."""
        item = self.region_a.item_size
        done = 0
        for span in spans(self.a, self.region_a):
            end = math.ceil(span.stop / item) * item
            if (done, end) == (span.start, span.stop) and end - done <= _LONGEST:
                yield done, end, span
                done = end
            while done < end:
                stop = min(end, done + _LONGEST)
                yield done, stop, None
                done = stop
