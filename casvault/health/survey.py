"""A survey: the facts of the tensors of one file, gathered chunk by chunk.

Chunks may be looked at by any thread and in any order, but are added up in the order of the file. Owns the invariant
that every number of a tensor counts once, however the file is cut: a tensor may be many chunks, many tensors one, and a
cut may go through a number.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from casvault.formats.region import Region

if TYPE_CHECKING:
    from casvault.numbers.facts import Facts

__all__ = ["Part", "Survey"]

_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})


class Part(NamedTuple):
    """What one chunk holds of the tensor ``place``: bytes that end a number, the facts of whole ones, the rest."""

    place: int
    head: bytes
    facts: Facts
    tail: bytes


class Survey:
    """The tensors of floats among ``regions``, which are sorted by offset and do not overlap.

    With ``squares`` the sums of squares are gathered too.
    """

    def __init__(self, regions: Iterable[Region], *, squares: bool = False) -> None:
        self.regions = [region for region in regions if region.dtype in _FLOATS]
        self._ends = [region.end for region in self.regions]
        self._squares = squares
        self._totals: dict[int, Facts] = {}
        self._carried: dict[int, bytes] = {}

    def look(self, offset: int, data: bytes | memoryview) -> list[Part]:
        """Return what the bytes ``data`` at ``offset`` of the file hold; changes nothing, so threads may share it."""
        parts: list[Part] = []
        index, end = bisect_right(self._ends, offset), offset + len(data)
        if index == len(self.regions) or self.regions[index].offset >= end:
            return parts
        # numpy takes as long to import as all the rest: only who meets numbers pays for it.
        from casvault.numbers.facts import facts_of

        view = memoryview(data)
        for number in range(index, len(self.regions)):
            region = self.regions[number]
            if region.offset >= end:
                break
            start, stop = max(offset, region.offset), min(end, region.end)
            # Where a cut goes through a number, its bytes are carried until they are together.
            first = min(start + (region.offset - start) % region.item_size, stop)
            last = stop - (stop - first) % region.item_size
            facts = facts_of(view[first - offset : last - offset], region.dtype, squares=self._squares)
            head, tail = (bytes(view[a - offset : b - offset]) for a, b in ((start, first), (last, stop)))
            parts.append(Part(number, head, facts, tail))
        return parts

    def add(self, parts: list[Part]) -> None:
        """Count what `look` returned for the next chunk of the file."""
        if not parts:
            return
        from casvault.numbers.facts import Facts, facts_of, joined

        for place, head, facts, tail in parts:
            region, total = self.regions[place], self._totals.get(place, Facts())
            number = self._carried.pop(place, b"") + head
            if len(number) == region.item_size:
                total = joined(total, facts_of(number, region.dtype, squares=self._squares))
                number = b""
            self._totals[place] = joined(total, facts)
            if number + tail:
                self._carried[place] = number + tail

    def found(self) -> list[tuple[Region, Facts]]:
        """Return the tensors with what was added up of them."""
        return [(self.regions[place], self._totals[place]) for place in sorted(self._totals)]
