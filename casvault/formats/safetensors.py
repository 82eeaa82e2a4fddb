"""Tensors in ``.safetensors`` files.

The format: the header's length as eight little-endian bytes, the header (JSON: name -> ``dtype``, ``shape``,
``data_offsets`` counted from the end of the header), then the tensors' bytes.
"""

from __future__ import annotations

import json
import math

from casvault.errors import FormatError
from casvault.files.source import ByteSource
from casvault.formats.region import ITEM_SIZES, Region

__all__ = ["header_length", "scan_safetensors"]

_LONGEST_HEADER = 4 << 20
_DTYPES = {
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "BOOL": "bool",
}


def header_length(start: bytes, size: int) -> int | None:
    """Return the length in bytes that the first nine bytes of a file give for its header.

    None when they cannot begin a safetensors file of ``size`` bytes; there is no magic number to go by.
    """
    length = int.from_bytes(start[:8], "little")
    plausible = start[8:9] == b"{" and 2 <= length <= min(_LONGEST_HEADER, size - 8)
    return length if plausible else None


def scan_safetensors(source: ByteSource) -> list[Region]:
    """Find the tensors of a safetensors file; those of other dtypes are left out. FormatError when it is none."""
    length = header_length(source.read_at(0, 9), source.size)
    if length is None:
        raise FormatError("this is not a safetensors file")
    try:
        header = json.loads(source.read_at(8, length), parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise FormatError("the header of a safetensors file is not JSON") from error
    if not isinstance(header, dict):
        raise FormatError("the header of a safetensors file is not an object")
    found = [_region(name, entry, 8 + length, source.size) for name, entry in header.items()]
    return [region for region in found if region is not None]


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("an integer that is too long")
    return int(digits)


def _region(name: str, entry: object, start: int, size: int) -> Region | None:
    if not isinstance(entry, dict):
        return None
    dtype = _DTYPES.get(str(entry.get("dtype")))
    shape, offsets = _numbers(entry.get("shape")), _numbers(entry.get("data_offsets"))
    if dtype is None or shape is None or len(shape) > 64 or offsets is None or len(offsets) != 2:
        return None
    first, end = offsets
    if end - first != math.prod(shape) * ITEM_SIZES[dtype] or start + end > size:
        return None
    return Region(name, start + first, end - first, dtype, shape)


def _numbers(value: object) -> tuple[int, ...] | None:
    if isinstance(value, list) and all(type(number) is int and number >= 0 for number in value):
        return tuple(value)
    return None
