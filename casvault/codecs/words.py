"""Numbers as words, and words turned so that what is not noise lies together.

A chunk of numbers is an array of little-endian unsigned words of 2, 4 or 8 bytes, whatever they mean: float16, bfloat16
(which numpy does not have), float32, float64, integers. `turn` rotates each word to the left: a number, or what a
prediction leaves of it with a `bias` added. Of numbers near each other the words are near each other too, since the
bits of IEEE 754 numbers of one sign are in their order. So with a bias just above most differences, a turned word has
in its highest byte where the difference begins, on either side of zero, and below it bits that are noise; what the bias
does not cover (a sign that changed) comes around to the lowest byte and is hardly ever there. All sums wrap around,
nothing is rounded: exact for every bit pattern.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from casvault.errors import FormatError

__all__ = ["WORD_SIZES", "bias", "checked_size", "turn", "turn_back", "unzigzag", "words_of", "zigzag"]

WORD_SIZES = (2, 4, 8)
"""Item sizes, in bytes, of the words that can be coded as numbers."""


def checked_size(size: int) -> int:
    """Return ``size``, which comes from outside; raises FormatError where there are no words of so many bytes."""
    if size not in WORD_SIZES:
        raise FormatError(f"numbers of {size} bytes")
    return size


def words_of(data: bytes | memoryview, size: int) -> tuple[Any, bytes]:
    """Return the whole words of ``size`` bytes in ``data``, as a view, and the bytes that are left over."""
    count = len(data) // size
    return np.frombuffer(data, dtype=f"<u{size}", count=count), bytes(data[count * size :])


def turn(words: Any, rotation: int, out: Any, scratch: Any) -> None:
    """Put ``words``, rotated left by ``rotation`` bits, into ``out``, which may be the same array.

    All are arrays of one length and dtype; ``scratch`` is overwritten.
    """
    kind = out.dtype.type
    if rotation:
        np.left_shift(words, kind(rotation), out=scratch)
        np.right_shift(words, kind(_bits(out) - rotation), out=out)
        np.bitwise_or(out, scratch, out=out)
    elif out is not words:
        np.copyto(out, words)


def turn_back(turned: Any, rotation: int, scratch: Any) -> None:
    """Undo `turn`, in place; ``scratch`` is overwritten."""
    kind = turned.dtype.type
    if rotation:
        np.right_shift(turned, kind(rotation), out=scratch)
        np.left_shift(turned, kind(_bits(turned) - rotation), out=turned)
        np.bitwise_or(turned, scratch, out=turned)


def bias(words: Any, rotation: int) -> Any:
    """Return what is added to differences, for words of the kind of ``words``: the bit that comes to be the highest."""
    return words.dtype.type(1 << (_bits(words) - 1 - rotation))


def zigzag(words: Any) -> Any:
    """Fold differences that wrap around to words that are small on either side: 0, -1, 1, -2 -> 0, 1, 2, 3."""
    signed = words.view(f"<i{words.dtype.itemsize}")
    return ((signed << 1) ^ (signed >> (_bits(words) - 1))).view(words.dtype)


def unzigzag(folded: Any) -> Any:
    """Undo `zigzag`."""
    one = folded.dtype.type(1)
    return (folded >> one) ^ np.negative(folded & one)


def _bits(words: Any) -> int:
    bits: int = words.dtype.itemsize * 8
    return bits
