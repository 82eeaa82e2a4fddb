"""What pickles hold for us: tensors (DeepFaceLab's ``.npy`` are pickles) and ``data.dat``'s plain values."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from casvault.errors import FormatError
from casvault.files.source import ByteSource
from casvault.formats.pickle_machine import run
from casvault.formats.region import Region
from casvault.formats.values import FloatRows, InlineBytes, Opaque, Span, Tensor
from casvault.formats.walk import named_parts

__all__ = ["float_rows", "load_plain", "scan_pickle"]

_MOST = 3_000_000
_DEEPEST = 200
_LEAVES = frozenset({str, int, float, bool, type(None), bytes, InlineBytes, Tensor, Span, FloatRows, Opaque})


def load_plain(source: ByteSource) -> object:
    """Read a pickle of plain values and numpy arrays without running anything of it.

    The result is made of dict, list, tuple, set, frozenset, str, int, float, bool, None and bytes, and of
    Tensor (an array), Span (a payload of bytes over 4 KiB or text over 64 KiB, left in the file), Opaque (an
    array or scalar of a dtype that no region has, or one whose bytes are not in one piece) and FloatRows (as
    an element of a list: many rows of floats). It may share parts but does not contain itself, is at most
    200 deep, and walking all of it visits at most 3,000,000 values. Raises FormatError for everything else,
    OSError where the source cannot be read.
    """
    value = run(source, strict=True)
    _check_plain(value)
    return value


def _check_plain(value: object) -> None:
    """Refuse what would hang or surprise a caller: cycles, explosions by sharing, half-made objects."""
    pending: list[Iterator[object]] = [iter([value])]
    for _ in range(_MOST):
        while pending and (entry := next(pending[-1], pending)) is pending:
            pending.pop()
        if not pending:
            return
        if type(entry) in _LEAVES:
            continue
        if not isinstance(entry, (dict, list, tuple, set, frozenset)):
            raise FormatError("the pickle holds something that is not plain data")
        if len(pending) > _DEEPEST:
            raise FormatError("the pickle is nested too deeply")
        pending.append(iter(entry.values()) if isinstance(entry, dict) else iter(entry))
    raise FormatError("the pickle unfolds to too many values")


def float_rows(value: object) -> FloatRows:
    """Join a list of rows of numbers, as load_plain returns it, into one FloatRows.

    The list's elements are FloatRows and lists of numbers, all of one length; an empty list gives no rows
    of no columns. Raises FormatError for anything else.
    """
    if isinstance(value, FloatRows):
        return value
    if not isinstance(value, list):
        raise FormatError("rows of numbers are not a list")
    if len(value) == 1 and isinstance(value[0], FloatRows):
        return value[0]
    columns = 0
    values = array("d")
    for row in value:
        width, numbers = (row.columns, row.values) if isinstance(row, FloatRows) else _one_row(row)
        if columns not in (0, width):
            raise FormatError("rows of numbers differ in length")
        columns = width
        values.extend(numbers)
    return FloatRows(columns, values)


def _one_row(row: object) -> tuple[int, array[float]]:
    if not isinstance(row, (list, tuple)) or not row:
        raise FormatError("a row of numbers is no list of numbers")
    if not all(type(number) in (int, float) for number in row):
        raise FormatError("a row of numbers has something else in it")
    try:
        return len(row), array("d", row)
    except OverflowError as error:
        raise FormatError("a row of numbers has one that is too large") from error


def scan_pickle(source: ByteSource) -> list[Region]:
    """Find the numpy arrays of a pickle; each is named by its dict keys and list indices, joined with "/".

    Raises FormatError where the bytes are no pickle that can be followed within bounds.
    """
    parts = named_parts(run(source, strict=False), "/")
    return [
        Region(name, part.offset, part.size, part.dtype, part.shape) for name, part in parts if isinstance(part, Tensor)
    ]
