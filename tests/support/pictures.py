"""Pictures for tests: a small JPEG and PNG, faces as the trainer keeps them, and a reader of PNGs from the standard."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from casvault.demo.model import SampleModel

__all__ = ["JPEG", "add_faces", "faces", "jpeg", "pixels_of", "put"]


def jpeg(number: int = 0, size: int = 1000) -> bytes:
    """Return bytes that begin and end as a JPEG does; those of another number are others."""
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes((number + i) % 251 for i in range(size)) + b"\xff\xd9"


JPEG = jpeg()


def faces(count: int, side: int, seed: int = 1) -> Any:
    """Return a batch of noise with a bright blue corner: count x side x side x 3 of float32, in blue, green, red."""
    made = np.random.default_rng(seed).random((count, side, side, 3), dtype=np.float32)
    made[:, : side // 4, : side // 4] = (1, 0, 0)
    return made


def add_faces(model: SampleModel, side: int = 64, seed: int = 1) -> SampleModel:
    """Give the model samples as the trainer keeps them: for src and for dst a warped face, the face, and a mask."""
    made: list[Any] = []
    for number in (10, 20):
        mask = np.full((4, side, side, 1), number / 20, np.float32)
        made.append([faces(4, side, seed + number), faces(4, side, seed + number + 1), mask])
    model._previews = made
    return model


def put(path: Path, data: bytes = JPEG) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def pixels_of(png: bytes) -> Any:
    """Read a PNG of 8-bit RGB, with every checksum checked: height x width x 3."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, {}
    while at < len(png):
        (length,), kind = struct.unpack_from(">I", png, at), png[at + 4 : at + 8]
        data = png[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + data) == struct.unpack_from(">I", png, at + 8 + length)[0]
        parts[kind] = data
        at += 12 + length
    assert kind == b"IEND"
    width, height, *rest = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert rest == [8, 2, 0, 0, 0]
    raw = zlib.decompress(parts[b"IDAT"])
    assert len(raw) == height * (1 + 3 * width)
    lines = []
    for row in range(height):
        method, *line = raw[row * (1 + 3 * width) : (row + 1) * (1 + 3 * width)]
        assert method in (0, 1)
        for index in range(3, len(line) if method else 0):
            line[index] = (line[index] + line[index - 3]) % 256
        lines.append(line)
    return np.array(lines, np.uint8).reshape(height, width, 3)
