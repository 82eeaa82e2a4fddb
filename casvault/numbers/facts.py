"""Facts: how many floats of a slice are NaN or infinite, and whether all of them are one number.

A snapshot asks for them while it codes, so a slice of ordinary numbers must cost next to nothing. The bits of IEEE 754
numbers of one sign are in their order, infinities above all numbers and NaN above those: so the largest word as a
signed integer, and the largest as an unsigned one, tell that nothing is wrong. That is two passes over a chunk that is
in the cache, an eighth of what its digest takes. Counting, and comparing every number with the first, only happens
where these or three numbers picked from the slice give a reason.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from casvault.numbers.moments import squares_of

__all__ = ["FLOATS", "Facts", "facts_of", "joined"]

FLOATS = {
    "float16": (2, 0x7C00),
    "bfloat16": (2, 0x7F80),
    "float32": (4, 0x7F80_0000),
    "float64": (8, 0x7FF0_0000_0000_0000),
}
"""The dtypes that have NaN: bytes per number, and the bits of infinity, which are those of the exponent."""


class Facts(NamedTuple):
    """What was found in so many ``numbers``.

    ``zero`` tells that all are 0, of either sign; ``flat`` that all have the bits ``first``. ``squares`` is the sum of
    their squares, or 0.0 where that was not asked for.
    """

    numbers: int = 0
    nan: int = 0
    inf: int = 0
    zero: bool = True
    flat: bool = True
    first: int = 0
    squares: float = 0.0

    @property
    def constant(self) -> bool:
        """Whether there are several numbers that are one and the same."""
        return self.numbers > 1 and (self.zero or self.flat)


def facts_of(data: bytes | memoryview, dtype: str, *, squares: bool = False) -> Facts:
    """Return the facts of the whole numbers of ``dtype``, a key of FLOATS, in ``data``."""
    size, infinity = FLOATS[dtype]
    words = np.frombuffer(data, f"<u{size}", len(data) // size)
    count = len(words)
    if not count:
        return Facts()
    sign = 1 << (8 * size - 1)
    nan = inf = 0
    if int(words.max()) >= sign | infinity or int(words.view(f"<i{size}").max()) >= infinity:
        magnitude = words & words.dtype.type(sign - 1)
        inf = int(np.count_nonzero(magnitude == infinity))
        nan = int(np.count_nonzero(magnitude > infinity))
    picked = {int(words[index]) for index in (0, count // 2, count - 1)}
    first = int(words[0])
    zero = picked <= {0, sign} and not (words & words.dtype.type(sign - 1)).any()
    flat = len(picked) == 1 and bool((words == first).all())
    return Facts(count, nan, inf, zero, flat, first, squares_of(data, dtype) if squares else 0.0)


def joined(one: Facts, other: Facts) -> Facts:
    """Return the facts of the numbers of both."""
    if not one.numbers or not other.numbers:
        return other if not one.numbers else one
    return Facts(
        one.numbers + other.numbers,
        one.nan + other.nan,
        one.inf + other.inf,
        one.zero and other.zero,
        one.flat and other.flat and one.first == other.first,
        one.first,
        one.squares + other.squares,
    )
