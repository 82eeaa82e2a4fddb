"""A sheet of faces: a small PNG made of the samples that a trainer keeps with its model.

Only whole numbers are averaged, so equal samples give equal bytes on every machine with the same zlib, and a vault
stores the sheet of a training once. A PNG is raw pixels through zlib: a library for pictures would bring a decoder for
each format there is, for these ten lines.

Owns the invariant that a picture costs no more than its bounds: `FACES` faces, each of at most `LARGEST_SIDE` pixels.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from casvault.files.source import ByteSource
from casvault.formats.region import Region

__all__ = ["FACES", "LARGEST_SIDE", "face_sheet"]

FACES = 8
LARGEST_SIDE = 1024
"""Pixels of a face's longer side above which it is left out; trainers go up to 640."""

_COLUMNS = 4
_TILE = 128
_COLOURS = 3
_GAP = 2
_TEXT = b"Title\0Training samples"


def face_sheet(source: ByteSource, batches: Sequence[Region]) -> bytes | None:
    """Return a PNG with faces from ``batches``, a row for each; None where there are none.

    A batch is float32 of the shape (count, height, width, 3) or (count, 3, height, width), in blue, green, red, with
    values clipped to 0..1: as DeepFaceLab keeps them. Faces are shrunk by a whole factor to at most 128 pixels. Raises
    OSError and EOFError as the source does.
    """
    batches = [batch for batch in batches if _is_drawable(batch)][:_COLUMNS]
    if not batches:
        return None
    columns = min(_COLUMNS, FACES // len(batches))
    rows = [[_face(source, batch, number) for number in range(min(columns, batch.shape[0]))] for batch in batches]
    tiles = [tile for row in rows for tile in row]
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    across = max(len(row) for row in rows)
    canvas = np.zeros((len(rows) * (height + _GAP) - _GAP, across * (width + _GAP) - _GAP, _COLOURS), np.uint8)
    for top, row in enumerate(rows):
        for left, tile in enumerate(row):
            y, x = top * (height + _GAP), left * (width + _GAP)
            canvas[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return _png(canvas)


def _is_drawable(batch: Region) -> bool:
    sides = _sides(batch.shape)
    return batch.dtype == "float32" and sides is not None and all(1 <= side <= LARGEST_SIDE for side in sides)


def _sides(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return height and width of the pictures in a batch, None where it holds no coloured ones."""
    if len(shape) != 4 or _COLOURS not in (shape[3], shape[1]):
        return None
    return (shape[1], shape[2]) if shape[3] == _COLOURS else (shape[2], shape[3])


def _face(source: ByteSource, batch: Region, number: int) -> Any:
    """Return one face as red, green and blue bytes: height x width x 3."""
    shape = batch.shape[1:]
    size = math.prod(shape) * batch.item_size
    data = source.read_at(batch.offset + number * size, size)
    if len(data) != size:
        raise EOFError("the samples end early")
    face = np.frombuffer(data, "<f4").reshape(shape)
    if shape[-1] != _COLOURS:
        face = face.transpose(1, 2, 0)
    # The trainer cuts off what is behind the point, too, when it writes a preview.
    pixels = (np.clip(np.nan_to_num(face), 0, 1) * np.float32(255)).astype(np.uint8)
    return _shrunk(pixels)[:, :, ::-1]


def _shrunk(pixels: Any) -> Any:
    height, width, _ = pixels.shape
    step = -(-max(height, width) // _TILE)
    if step == 1 or min(height, width) < step:
        return pixels[:_TILE, :_TILE]
    height, width = height // step, width // step
    blocks = pixels[: height * step, : width * step].reshape(height, step, width, step, _COLOURS)
    return (blocks.sum(axis=(1, 3), dtype=np.uint32) // step**2).astype(np.uint8)


def _png(canvas: Any) -> bytes:
    """Return the pixels as a PNG (ISO/IEC 15948): 8 bits a colour, each byte less the one a pixel to its left."""
    height, width, _ = canvas.shape
    rows = canvas.reshape(height, width * _COLOURS)
    lines = np.ones((height, 1 + width * _COLOURS), np.uint8)
    lines[:, 1:] = rows
    lines[:, 1 + _COLOURS :] -= rows[:, :-_COLOURS]
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"tEXt", _TEXT), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
