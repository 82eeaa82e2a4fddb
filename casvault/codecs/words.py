"""Numbers as words, and words turned so that what is not noise lies together.

A chunk of numbers is an array of little-endian unsigned words of 2, 4 or 8 bytes, whatever they mean: float16, bfloat16
(which numpy does not have), float32, float64, integers. `turn` subtracts a prediction from each word, where there is
one, adds a bias, and rotates the word to the left. Of numbers near each other the words are near each other too, since
the bits of IEEE 754 numbers of one sign are in their order. So with a bias just above most differences, a turned word
has in its highest byte where the difference begins, on either side of zero, and below it bits that are noise; what
the bias does not cover (a sign that changed) comes around to the lowest byte and is hardly ever there. All sums wrap
around, nothing is rounded: exact for every bit pattern.
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


def turn(words: Any, predicted: Any | None, rotation: int, out: Any, scratch: Any, left: int = 0) -> None:
    """Put ``words`` less what was ``predicted``, biased, rotated left by ``rotation`` bits, into ``out``.

    All are arrays of one length and dtype; ``scratch`` is overwritten. The bias is the bit that comes to be the
    highest; without a prediction there is none. ``left`` of the bits are left to be rotated by the caller.
    """
    kind, bits = out.dtype.type, _bits(out)
    source = words
    if predicted is not None:
        np.subtract(words, predicted, out=out)
        np.add(out, bias(out, rotation), out=out)
        source = out
    if rotation - left:
        np.left_shift(source, kind(rotation - left), out=scratch)
        np.right_shift(source, kind(bits - rotation + left), out=out)
        np.bitwise_or(out, scratch, out=out)
    elif source is words:
        np.copyto(out, words)


def turn_back(turned: Any, predicted: Any | None, rotation: int, scratch: Any, done: int = 0) -> None:
    """Undo `turn`, in place; ``scratch`` is overwritten. ``done`` of the bits have been turned back already."""
    kind, bits = turned.dtype.type, _bits(turned)
    left = (rotation - done) % bits
    if left:
        np.right_shift(turned, kind(left), out=scratch)
        np.left_shift(turned, kind(bits - left), out=turned)
        np.bitwise_or(turned, scratch, out=turned)
    if predicted is not None:
        np.add(turned, predicted, out=turned)
        np.subtract(turned, bias(turned, rotation), out=turned)


def bias(words: Any, rotation: int) -> Any:
    """Return what is added to differences, for words of the kind of ``words``."""
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
