"""Arrays in numpy's own format, as ``.npy`` files or as members of an ``.npz``.

The format is numpy's ``numpy.lib.format``: ``\\x93NUMPY``, two bytes of version, the length of the header (two
bytes, or four from version 2) and the header, a dict literal with ``descr``, ``fortran_order`` and ``shape``.
The header is matched, not evaluated: Python's literal parser can be made to exhaust the C stack, and
whatever does not match (fields, objects) has no region anyway.
"""

from __future__ import annotations

import math
import re

from casvault.errors import FormatError
from casvault.files.source import ByteSource
from casvault.formats.pickle_numpy import simple_dtype
from casvault.formats.region import ITEM_SIZES, Region

__all__ = ["array_at", "scan_npy"]

_MAGIC = b"\x93NUMPY"

_LONGEST_HEADER = 10_000  # numpy's own limit for headers that it trusts
_ENTRY = re.compile(
    r"""\s*(?:'descr'\s*:\s*'(?P<descr>[^']*)'"""
    r"""|'fortran_order'\s*:\s*(?P<order>True|False)"""
    r"""|'shape'\s*:\s*\((?P<shape>[\d\sL,]*)\))\s*(?:,|(?=\}))"""
)


def scan_npy(source: ByteSource) -> list[Region]:
    """Find the array of a ``.npy`` file; its name is empty. FormatError when it is none."""
    region = array_at(source, 0, source.size, "")
    return [] if region is None else [region]


def array_at(source: ByteSource, offset: int, size: int, name: str) -> Region | None:
    """Find the array of the ``size`` bytes at ``offset``, which are a ``.npy`` file of their own.

    None for a dtype that no region has (big-endian, structured, objects, text); FormatError when the
    bytes are not in this format or fewer than the header says.
    """
    start = source.read_at(offset, min(size, 12))
    if len(start) < 12 or not start.startswith(_MAGIC) or start[6] not in (1, 2, 3):
        raise FormatError("this is not numpy's file format")
    head, width = (10, 2) if start[6] == 1 else (12, 4)
    length = int.from_bytes(start[8 : 8 + width], "little")
    if length > min(_LONGEST_HEADER, size - head):
        raise FormatError("the header of a numpy file is too long")
    header = _parse(source.read_at(offset + head, length).decode("latin-1"))
    if header is None:
        return None
    dtype, shape = header
    region = Region(name, offset + head + length, math.prod(shape) * ITEM_SIZES[dtype], dtype, shape)
    if region.end > offset + size:
        raise FormatError("a numpy file ends early")
    return region


def _parse(header: str) -> tuple[str, tuple[int, ...]] | None:
    """Return dtype and shape in storage order, or None when there is more to the header than a region has."""
    text = header.strip()
    found: dict[str, str] = {}
    at = 1
    while text[:1] == "{" and (entry := _ENTRY.match(text, at)):
        found.update({key: value for key, value in entry.groupdict().items() if value is not None})
        at = entry.end()
    if text[at:].strip() != "}" or found.keys() != {"descr", "order", "shape"}:
        return None
    dtype = simple_dtype(found["descr"])
    axes = [axis.strip().rstrip("L") for axis in found["shape"].split(",")]
    digits = [axis for axis in axes if axis]
    if dtype is None or len(digits) > 64 or not all(axis.isdecimal() and len(axis) < 20 for axis in digits):
        return None
    shape = tuple(int(axis) for axis in digits)
    return dtype, shape[::-1] if found["order"] == "True" else shape
