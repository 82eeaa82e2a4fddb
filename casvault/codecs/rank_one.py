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

from casvault.codecs.codec import Bytes, Layout, check_base
from casvault.codecs.planes import PlanesAttempt, Predict, read_planes, write_planes
from casvault.codecs.sample import NumbersCodec, Sample
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


class RankOne(NumbersCodec):
    """Byte planes of what rows and columns get wrong."""

    name = "rank-one"

    def weigh(self, sample: Sample) -> PlanesAttempt | None:
        """Size up a chunk, which must be whole rows of numbers that are not negative."""
        return _RankOneAttempt(sample, None) if _is_matrix(sample) else None

    def decode(self, payload: Bytes, plain_size: int, layout: Layout, base: Bytes | None = None) -> Bytes:
        """Return the words that rows, columns and the rest make; raises FormatError."""
        return _decode(payload, plain_size, layout, None)


class RankOneDelta(NumbersCodec):
    """The same for the difference to a base of the same length."""

    name = "rank-one-delta"
    needs_base = True

    def weigh(self, sample: Sample) -> PlanesAttempt | None:
        """Size up a chunk, which must be whole rows of numbers that are not negative, and have a base of its length."""
        before = sample.before
        return _RankOneAttempt(sample, before) if before is not None and _is_matrix(sample) else None

    def decode(self, payload: Bytes, plain_size: int, layout: Layout, base: Bytes | None = None) -> Bytes:
        """Return the words that base, rows, columns and the rest make; raises FormatError."""
        before = check_base(base, plain_size)
        return _decode(payload, plain_size, layout, words_of(before, checked_size(layout.item_size))[0])


class _RankOneAttempt(PlanesAttempt):
    def __init__(self, sample: Sample, before: Any | None) -> None:
        super().__init__(sample, _left(sample.lines if before is None else sample.differences))
        self._before, self._length = before, sample.layout.row_length

    @property
    def expected(self) -> int:
        """What the sample takes, times how many there would be, with rows and columns."""
        return super().expected + self._beside

    @property
    def _beside(self) -> int:
        """What rows and columns take, about."""
        lines = len(self._sample.words) // self._length + self._length
        return lines * self._sample.layout.item_size // 4

    def pieces(self) -> list[Any]:
        """Return the payload's parts."""
        words = self._sample.words
        matrix = words.reshape(-1, self._length)
        before = self._before
        rows, columns, shift = _vectors(matrix, before.reshape(matrix.shape) if before is not None else None)
        side = b"".join(write_planes(zigzag(np.concatenate([rows, columns])), None, 0, [1] * matrix.dtype.itemsize))
        predict = _predict(rows, columns, shift, before)
        made = write_planes(words, predict, self._rotation, self._widths, self._length)
        return [_SIDE.pack(shift, len(side)) + side, *made]


def _is_matrix(sample: Sample) -> bool:
    words, (size, length) = sample.words, sample.layout
    if not _LEAST <= length <= _MOST or sample.tail or len(words) % length or len(words) < _LEAST * length:
        return False
    # A few tell weights from moments.
    return not np.any(sample.lines.reshape(-1)[::8] >> words.dtype.type(size * 8 - 1))


def _left(lines: Any) -> Any:
    """Return what rows and columns of the sample leave of it, in words."""
    signed = lines.view(f"<i{lines.dtype.itemsize}")
    if lines.dtype.itemsize == 8:
        signed = signed >> 8
    rows = signed.sum(axis=1, dtype=np.int64) // lines.shape[1]
    columns = signed.sum(axis=0, dtype=np.int64) // lines.shape[0]
    columns -= int(rows.sum()) // len(rows)
    if lines.dtype.itemsize == 8:
        rows, columns = rows << 8, columns << 8
    return (lines - rows.astype(lines.dtype)[:, None]) - columns.astype(lines.dtype)


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

    def predict(start: int, stop: int, bias: Any, out: Any) -> None:
        # The bias is taken from the columns, which are few.
        np.add(rows[start // length : stop // length], columns - bias, out=out.reshape(-1, length))
        if before is not None:
            np.add(out, before[start:stop], out=out)

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
