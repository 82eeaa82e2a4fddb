"""Moments: sums of squares of numbers, and of the differences of two slices of them, in float64.

Owns the invariant that memory follows the block and not the slice: numbers are widened a block at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Moved", "moved", "squares_of"]

_BLOCK = 1 << 18
"""Numbers in a block: 2 MiB as float64, few enough to stay in the cache of a core and many for one step of numpy."""

_NUMPY = {
    "float16": "<f2",
    "float32": "<f4",
    "float64": "<f8",
    "int8": "<i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "uint8": "<u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
    "bool": "<u1",
}


class Moved(NamedTuple):
    """How far ``numbers`` many moved: ``differing`` are those that have other bits, the rest are sums of squares, of
    what was there before and of the differences. A sum may be infinite or NaN.
    """

    numbers: int = 0
    differing: int = 0
    before: float = 0.0
    difference: float = 0.0

    def plus(self, other: Moved) -> Moved:
        """Return the sums over both."""
        return Moved(
            self.numbers + other.numbers,
            self.differing + other.differing,
            self.before + other.before,
            self.difference + other.difference,
        )


def squares_of(data: bytes | memoryview, dtype: str) -> float:
    """Return the sum of the squares of the whole numbers in ``data``, infinite or NaN where they are."""
    total = 0.0
    with np.errstate(all="ignore"):
        for block in _blocks(_numbers(data, dtype)):
            total += _squared(_wide(block, dtype))
    return total


def moved(before: bytes | memoryview, after: bytes | memoryview, dtype: str) -> Moved:
    """Return how far the numbers of ``before`` are from those of ``after``, which are as many bytes."""
    old, new = _numbers(before, dtype), _numbers(after, dtype)
    total = Moved()
    with np.errstate(all="ignore"):
        for one, other in zip(_blocks(old), _blocks(new), strict=True):
            bits = f"<u{one.dtype.itemsize}"
            differing = int(np.count_nonzero(one.view(bits) != other.view(bits)))
            wide = _wide(one, dtype)
            squares = _squared(wide)
            difference = 0.0
            if differing:
                wide -= _wide(other, dtype)
                difference = _squared(wide)
            total = total.plus(Moved(len(one), differing, squares, difference))
    return total


def _numbers(data: bytes | memoryview, dtype: str) -> Any:
    kind = np.dtype(_NUMPY.get(dtype, "<u2"))
    return np.frombuffer(data, kind, len(data) // kind.itemsize)


def _blocks(numbers: Any) -> Iterator[Any]:
    for start in range(0, len(numbers), _BLOCK):
        yield numbers[start : start + _BLOCK]


def _wide(numbers: Any, dtype: str) -> Any:
    """Return a copy as float64; a bfloat16, which numpy does not have, is the upper half of a float32."""
    if dtype == "bfloat16":
        numbers = (numbers.astype("<u4") << np.uint32(16)).view("<f4")
    return numbers.astype(np.float64)


def _squared(numbers: Any) -> float:
    # Not by np.dot: a library for linear algebra would start threads of its own for it.
    return float(np.einsum("i,i->", numbers, numbers))
