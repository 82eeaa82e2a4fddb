"""A region: a span of a file with a meaning, which is to say a tensor.

Regions only hint at where to cut a file and how to code the pieces; a wrong one costs size, never bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ITEM_SIZES", "Region"]

ITEM_SIZES = {
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "bool": 1,
}
"""Bytes per item of every dtype that a region may have; all are little-endian."""


@dataclass(frozen=True)
class Region:
    """One tensor's bytes in a file.

    ``offset`` and ``size`` are bytes from the start of the file; ``dtype`` is a key of ITEM_SIZES;
    ``shape`` is in storage order, the slowest axis first. ``size`` is the product of shape and item size.
    """

    name: str
    offset: int
    size: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def item_size(self) -> int:
        """Bytes per item."""
        return ITEM_SIZES[self.dtype]

    @property
    def end(self) -> int:
        """First byte after the region."""
        return self.offset + self.size
