"""Runs of uniform rows of floats in a pickle, found without interpreting every opcode.

A trainer's loss history has one small list per iteration, millions in the end. As pickled, such a row is
``]`` (a list), its memo opcode (``q`` + 1 byte, ``r`` + 4 bytes or 0x94; none when optimised), and
``( G<8> ... e`` or, for one float, ``G<8> a``. Rows of one shape have one length, so strided slices
check and collect a thousand of them at a time.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from dataclasses import dataclass

from casvault.formats.values import FloatRows

__all__ = ["BUFFER", "RowRun", "find_run"]

_ROW = re.compile(rb"\](?:\x94|q.|r.{4})?(?:\((?:G.{8}){1,8}e|G.{8}a)", re.DOTALL)
_FEWEST = 4
_MOST = 1000  # picklers close a batch after as many

BUFFER = _FEWEST * (1 + 5 + 1 + 9 * 8 + 1)
"""Bytes to have at hand, so that no run worth the name is missed."""


@dataclass(frozen=True)
class RowRun:
    """Some rows: ``length`` bytes of pickle; ``memo`` is the memo opcode (0: none), ``index`` its first."""

    rows: FloatRows
    length: int
    memo: int
    index: int | None


def find_run(data: bytes, at: int) -> RowRun | None:
    """Find a run of at least four uniform rows at ``data[at]``, else None."""
    row = _ROW.match(data, at)
    if row is None:
        return None
    stride = row.end() - at
    memo = data[at + 1] if data[at + 1] in b"\x94qr" else 0
    head = 1 + {0: 0, 0x94: 1, 0x71: 2, 0x72: 5}[memo]
    body = head + (data[at + head] == 0x28)
    columns = (stride - body) // 9
    fixed = [0, head, stride - 1, *range(body, stride - 1, 9)] + ([1] if memo else [])
    for limit in (_FEWEST, _MOST):
        count = _count(data, at, stride, fixed, limit)
        if count < _FEWEST:
            return None
    index = None
    if memo in b"qr":
        index = int.from_bytes(data[at + 2 : at + head], "little")
        if _indices(data, at, stride, head, count) != tuple(range(index, index + count)):
            return None
    values = _collect(data, at + body, stride, columns, count)
    return RowRun(FloatRows(columns, values), count * stride, memo, index)


def _count(data: bytes, at: int, stride: int, fixed: list[int], limit: int) -> int:
    count = min(limit, (len(data) - at) // stride)
    for offset in fixed:
        first = at + offset
        column = data[first : at + count * stride : stride]
        count = len(column) - len(column.lstrip(data[first : first + 1]))
    return count


def _indices(data: bytes, at: int, stride: int, head: int, count: int) -> tuple[int, ...]:
    packed = bytearray(4 * count)
    for byte in range(head - 2):
        packed[byte::4] = data[at + 2 + byte : at + count * stride : stride]
    return struct.unpack(f"<{count}I", packed)


def _collect(data: bytes, first: int, stride: int, columns: int, count: int) -> array[float]:
    packed = bytearray(8 * columns * count)
    for column in range(columns):
        for byte in range(8):
            start = first + 9 * column + 1 + byte
            packed[8 * column + byte :: 8 * columns] = data[start : start + (count - 1) * stride + 1 : stride]
    values = array("d", bytes(packed))
    if sys.byteorder == "little":
        values.byteswap()
    return values
