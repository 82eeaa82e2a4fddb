"""Prediction by rows and columns, for matrices that are nearly an outer product: the second moments of an optimizer.

The logarithm of such a matrix is the sum of a row and a column vector, and the bits of a positive float, read as an
integer, are nearly its logarithm. So each word of a chunk of whole rows is predicted as one integer of its row plus one
of its column, and of the base besides where there is one (a second moment decays alike everywhere between two saves, so
rows and columns also tell much of the difference). The integers stand in the payload, rounded to what is worth keeping:
a decoder adds the very same ones on every machine, however they were found. The payload's layout is in docs/format.md.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from casvault.codecs.codec import Attempt, Bytes, Codec, Layout, check_base
from casvault.codecs.planes import PlanesAttempt, Predict, read_planes, write_planes
from casvault.codecs.words import WORD_SIZES, checked_size, unzigzag, words_of, zigzag
from casvault.errors import FormatError

__all__ = ["RankOne", "RankOneDelta"]

_SIDE = struct.Struct("<BI")
_LEAST, _MOST = 8, 1 << 15
"""Rows and columns below and words per row above which a chunk is no matrix worth the side information."""

_LINES, _FEW = 32, 8
"""How many rows tell the columns, and the other way round: more would find nearly the same."""

_SPARE_BITS = 3
"""Bits kept below the size of what is left over: coarser vectors would be seen in it, finer ones cost for nothing."""


class RankOne(Codec):
    """Byte planes of what rows and columns get wrong."""

    name = "rank-one"

    def attempt(self, data: Bytes, layout: Layout, base: Bytes | None = None) -> Attempt | None:
        """Size up ``data``, which must be whole rows of numbers that are not negative."""
        matrix = _matrix(data, layout)
        return None if matrix is None else _attempt(matrix, None)

    def decode(self, payload: Bytes, plain_size: int, layout: Layout, base: Bytes | None = None) -> Bytes:
        """Return the words that rows, columns and the rest make; raises FormatError."""
        return _decode(payload, plain_size, layout, None)


class RankOneDelta(Codec):
    """The same for the difference to a base of the same length."""

    name = "rank-one-delta"
    needs_base = True

    def attempt(self, data: Bytes, layout: Layout, base: Bytes | None = None) -> Attempt | None:
        """Size up ``data``, which must be whole rows of numbers that are not negative, against ``base``."""
        matrix = _matrix(data, layout)
        if matrix is None or base is None or len(base) != len(data):
            return None
        return _attempt(matrix, words_of(base, layout.item_size)[0])

    def decode(self, payload: Bytes, plain_size: int, layout: Layout, base: Bytes | None = None) -> Bytes:
        """Return the words that base, rows, columns and the rest make; raises FormatError."""
        before = check_base(base, plain_size)
        return _decode(payload, plain_size, layout, words_of(before, checked_size(layout.item_size))[0])


def _matrix(data: Bytes, layout: Layout) -> Any | None:
    size, length = layout
    if size not in WORD_SIZES or not _LEAST <= length <= _MOST or len(data) % (size * length):
        return None
    words, _ = words_of(data, size)
    picked, sign = words[:: max(1, len(words) // 256)], words.dtype.type(size * 8 - 1)
    # Each costs a wait for the memory, and the first few tell weights.
    if len(words) < _LEAST * length or np.any(picked[:8] >> sign) or np.any(picked >> sign):
        return None
    return words.reshape(-1, length)


def _attempt(matrix: Any, before: Any | None) -> Attempt:
    rows, columns, shift = _vectors(matrix, before.reshape(matrix.shape) if before is not None else None)
    side = b"".join(write_planes(zigzag(np.concatenate([rows, columns])), None, 0, [1] * matrix.dtype.itemsize))
    predict = _predict(rows, columns, shift, before)
    before_planes = _SIDE.pack(shift, len(side)) + side
    return PlanesAttempt(matrix.reshape(-1), b"", predict, unit=matrix.shape[1], before=before_planes)


def _decode(payload: Bytes, plain_size: int, layout: Layout, before: Any | None) -> Bytes:
    size, length = layout
    if size not in WORD_SIZES or not 0 < length <= _MOST or plain_size % (size * length):
        raise FormatError("rows and columns of a chunk that is not whole rows")
    view = memoryview(payload)
    if len(view) < _SIDE.size:
        raise FormatError("rows and columns that end early")
    shift, side_size = _SIDE.unpack_from(view)
    if shift >= size * 8:
        raise FormatError("rows and columns rounded by more bits than a word has")
    row_count = plain_size // (size * length)
    side = read_planes(view[_SIDE.size : _SIDE.size + side_size], (row_count + length) * size, size, None)
    vectors = unzigzag(words_of(side, size)[0])
    predict = _predict(vectors[:row_count], vectors[row_count:], shift, before)
    return read_planes(view[_SIDE.size + side_size :], plain_size, size, predict, length)


def _predict(rows: Any, columns: Any, shift: int, before: Any | None) -> Predict:
    by = rows.dtype.type(shift)
    rows, columns = (rows << by)[:, None], (columns << by)[None, :]
    length = columns.shape[1]

    def predict(start: int, stop: int) -> Any:
        matrix = rows[start // length : -(-stop // length)] + columns
        flat = matrix.reshape(-1)[: stop - start]
        if before is not None:
            np.add(flat, before[start:stop], out=flat)
        return flat

    return predict


def _vectors(matrix: Any, before: Any | None) -> tuple[Any, Any, int]:
    """Return an integer for each row and each column, divided by a power of two, and that power.

    Their sums, times the power, come near the words of ``matrix``, or near its difference to ``before``. They only
    have to be near, so a sample of lines is enough; all is in whole numbers, so every machine finds the same.
    """
    size = matrix.dtype.itemsize
    # A sum of eight-byte words would overflow; their lowest bits are no loss to a prediction.
    spare = 8 if size == 8 else 0
    row_step = max(1, len(matrix) // _LINES)
    some = _signed(matrix[::row_step], before[::row_step] if before is not None else None) >> spare
    columns = some.sum(axis=0, dtype=np.int64) // len(some)
    # Neighbouring columns: to read them costs a row hardly more than to read one.
    start = max(0, matrix.shape[1] - _LINES) // 2
    band = slice(start, start + _LINES)
    part = _signed(matrix[:, band], before[:, band] if before is not None else None) >> spare
    rows = part.sum(axis=1, dtype=np.int64) // part.shape[1]
    columns -= int(columns[band].sum()) // part.shape[1]
    left = np.abs(some[:_FEW] - rows[::row_step][: len(some[:_FEW]), None] - columns)
    shift = max(0, (int(left.sum()) // left.size).bit_length() + spare - _SPARE_BITS)
    return _rounded(rows << spare, shift, size), _rounded(columns << spare, shift, size), shift


def _signed(matrix: Any, before: Any | None) -> Any:
    return (matrix - before if before is not None else matrix).view(f"<i{matrix.dtype.itemsize}")


def _rounded(values: Any, shift: int, size: int) -> Any:
    half = (1 << shift) >> 1
    return ((values + half) >> shift).astype(f"<i{size}").view(f"<u{size}")
