"""Byte planes: the bytes of equal weight of all numbers, one plane after another.

Each little-endian word of 2, 4 or 8 bytes is rotated left by one bit, which brings a float's sign to the bottom and its
exponent into one byte (bf16, float32) of its own; then the words are split into planes, the lowest byte first, and each
plane is stored raw or as a zstd frame, whichever is smaller. Only integer operations: exact for every bit pattern. The
payload's layout is in docs/format.md.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from casvault.codecs.codec import Codec, Layout
from casvault.codecs.zstd import compress_entropy, decompress
from casvault.errors import FormatError

__all__ = ["WORD_SIZES", "Planes"]

WORD_SIZES = (2, 4, 8)
"""Item sizes, in bytes, that can be split into planes."""

_PLANE = struct.Struct("<BI")
_RAW, _ZSTD = 0, 1


class Planes(Codec):
    """Rotated words as byte planes."""

    name = "planes"

    def encode(self, data: bytes | memoryview, layout: Layout, base: bytes | None = None) -> bytes:
        """Return the planes of ``data``, whose item size must be in WORD_SIZES."""
        size = layout.item_size
        count = len(data) // size
        words: Any = np.frombuffer(data, dtype=f"<u{size}", count=count)
        return join_planes(rotate_left(words), bytes(data[count * size :]))

    def decode(self, payload: bytes | memoryview, plain_size: int, layout: Layout, base: bytes | None = None) -> bytes:
        """Return the words that the planes were made of; raises FormatError."""
        size = layout.item_size
        if size not in WORD_SIZES:
            raise FormatError(f"byte planes of {size}-byte words")
        words, tail = split_planes(payload, plain_size, size)
        plain: bytes = rotate_right(words).tobytes()
        return plain + tail


def rotate_left(words: Any) -> Any:
    """Rotate each unsigned word of the array by one bit to the left."""
    one = words.dtype.type(1)
    top = words.dtype.type(words.dtype.itemsize * 8 - 1)
    return (words << one) | (words >> top)


def rotate_right(words: Any) -> Any:
    """Undo `rotate_left`."""
    one = words.dtype.type(1)
    top = words.dtype.type(words.dtype.itemsize * 8 - 1)
    return (words >> one) | (words << top)


def join_planes(words: Any, tail: bytes) -> bytes:
    """Return the payload for an array of unsigned words and the ``tail`` bytes that are no whole word."""
    size = words.dtype.itemsize
    columns = words.view(np.uint8).reshape(-1, size)
    heads, bodies = [], []
    for weight in range(size):
        plane = columns[:, weight].tobytes()
        packed = compress_entropy(plane)
        method, body = (_ZSTD, packed) if len(packed) < len(plane) else (_RAW, plane)
        heads.append(_PLANE.pack(method, len(body)))
        bodies.append(body)
    return b"".join([*heads, *bodies, tail])


def split_planes(payload: bytes | memoryview, plain_size: int, size: int) -> tuple[Any, bytes]:
    """Return the words and the tail of a payload that `join_planes` made; raises FormatError."""
    count, tail_size = divmod(plain_size, size)
    view = memoryview(payload)
    offset = _PLANE.size * size
    if len(view) < offset:
        raise FormatError("byte planes that end in their heads")
    words = np.empty(count, dtype=f"<u{size}")
    columns = words.view(np.uint8).reshape(-1, size)
    for weight in range(size):
        method, length = _PLANE.unpack_from(view, _PLANE.size * weight)
        body = view[offset : offset + length]
        offset += length
        columns[:, weight] = np.frombuffer(_plane(method, body, count), dtype=np.uint8)
    if len(view) - offset != tail_size:
        raise FormatError("byte planes whose lengths do not add up")
    return words, bytes(view[offset:])


def _plane(method: int, body: memoryview, count: int) -> bytes | memoryview:
    if method == _ZSTD:
        return decompress(body, count)
    if method != _RAW or len(body) != count:
        raise FormatError("a byte plane of an unknown kind or a wrong length")
    return body
