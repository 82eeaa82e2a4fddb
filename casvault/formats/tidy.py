"""What every scanner's result goes through, so that nobody else has to doubt a region.

It owns the invariants: regions lie inside the file, are not empty, do not overlap and stand in the order of
their offsets; ``size`` follows from shape and dtype; names are short, printable and unique.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from casvault.formats.region import ITEM_SIZES, Region

__all__ = ["tidy"]

_MOST = 100_000
_LONGEST_NAME = 480  # with room for a "#2" below 500


def tidy(regions: Iterable[Region], size: int) -> list[Region]:
    """Return those of ``regions`` that hold together in a file of ``size`` bytes; of two that overlap, one."""
    kept: list[Region] = []
    names: dict[str, int] = {}
    end = 0
    for region in sorted(regions, key=lambda region: (region.offset, -region.size, region.name)):
        if len(kept) == _MOST:
            break
        if region.offset < end or not _sound(region, size):
            continue
        end = region.end
        kept.append(replace(region, name=_unique(_clean(region.name), names)))
    return kept


def _sound(region: Region, size: int) -> bool:
    item = ITEM_SIZES.get(region.dtype)
    shape = region.shape
    return (
        item is not None
        and region.offset >= 0
        and 0 < region.size <= size - region.offset
        and all(axis > 0 for axis in shape)
        and math.prod(shape) * item == region.size
    )


def _clean(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:_LONGEST_NAME])


def _unique(name: str, names: dict[str, int]) -> str:
    """Append ``#2``, ``#3`` ... to a name that was there before; ``names`` counts what was given out."""
    candidate = name
    count = names.get(name, 0) + 1
    while count > 1 and (candidate := f"{name}#{count}") in names:
        count += 1
    names[name] = count
    names.setdefault(candidate, 1)
    return candidate
