"""Payloads written by hand, and what it costs to refuse one."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Sequence

import pytest

from casvault.codecs.codec import Codec, Layout
from casvault.errors import FormatError

__all__ = ["fitting_rows", "old_planes_of", "peak", "planes_of", "zstd_frame"]

Body = tuple[int, int, bytes]
"""A plane: its width, its method and the bytes that stand for it."""


def zstd_frame(claimed: int, run: int, blocks: int = 1) -> bytes:
    """Write a frame that claims ``claimed`` bytes and holds ``blocks`` runs of ``run`` equal bytes."""
    head = b"\x28\xb5\x2f\xfd" + bytes([0xC0, 0x50]) + claimed.to_bytes(8, "little")
    made = [((run << 3) | 2 | (number == blocks - 1)).to_bytes(3, "little") + b"z" for number in range(blocks)]
    return head + b"".join(made)


def planes_of(rotation: int, bodies: Sequence[Body], tail: bytes = b"") -> bytes:
    """Write planes with their heads."""
    heads = b"".join(struct.pack("<BBI", width, method, len(body)) for width, method, body in bodies)
    return bytes([rotation]) + heads + b"".join(body for _, _, body in bodies) + tail


def old_planes_of(bodies: Sequence[tuple[int, bytes]], tail: bytes = b"") -> bytes:
    """Write planes of one byte each as they were written before heads told width and rotation."""
    heads = b"".join(struct.pack("<BI", method, len(body)) for method, body in bodies)
    return heads + b"".join(body for _, body in bodies) + tail


def fitting_rows(data: bytes, layout: Layout) -> bytes:
    """Return ``data`` over and over as eight whole rows of numbers that are not negative."""
    size, length = layout
    whole = bytearray((data * (8 * size * length // len(data) + 1))[: 8 * size * length])
    for place in range(size - 1, len(whole), size):
        whole[place] &= 0x7F
    return bytes(whole)


def peak(codec: Codec, payload: bytes, length: int, layout: Layout, base: bytes | None = None) -> int:
    """Return the most bytes that were allocated while ``payload`` was refused."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            codec.decode(payload, length, layout, base)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
