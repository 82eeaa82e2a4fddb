"""A second reader of objects, written from docs/format.md alone, with nothing of casvault in it.

In plain integers of Python, one word at a time: slow, and as near to the page as can be.
"""

from __future__ import annotations

import struct
from pathlib import Path

import zstandard
from blake3 import blake3

__all__ = ["read_chunk", "read_object"]


def read_chunk(vault: Path, digest: str) -> bytes:
    """Return the plain bytes of a chunk: the object that stands alone, else the first with a base."""
    folder = vault / "objects" / digest[:3]
    names = sorted(path for path in folder.iterdir() if path.name.partition(".")[0] == digest)
    assert names, digest
    return read_object(vault, names[0])[1]


def read_object(vault: Path, path: Path) -> tuple[int, bytes]:
    """Return codec id and plain bytes of one object, whose every field is checked."""
    digest, _, named = path.name.partition(".")
    data = path.read_bytes()
    assert len(data) > 96
    magic, version, codec, flags, item, row, plain, stored, base = struct.unpack_from("<4sBBHIIQQ32s", data)
    assert (magic, version, flags) == (b"CVOB", 1, 0)
    assert base == (bytes.fromhex(named) if named else bytes(32))
    payload = data[96:]
    assert blake3(data[:64] + payload).digest() == data[64:96]
    assert stored == len(payload)
    before = read_chunk(vault, named) if named else None
    assert (codec in (4, 6)) == (before is not None)
    found = _decode(codec, payload, plain, item, row, before)
    assert len(found) == plain
    assert blake3(found).hexdigest() == digest
    return codec, found


def _decode(codec: int, payload: bytes, plain: int, item: int, row: int, before: bytes | None) -> bytes:
    if codec == 1:
        return payload
    if codec == 2:
        return _unzstd(payload, plain)
    if codec == 3:
        return _old_planes(payload, item, plain)
    predicted = None
    if codec in (4, 6):
        assert before is not None
        assert len(before) == plain
        predicted = _words(before, item)
    if codec in (5, 6):
        vectors, payload = _rows_and_columns(payload, plain, item, row)
        count = plain // item
        sums = [vectors[0][index // row] + vectors[1][index % row] for index in range(count)]
        predicted = [one + other for one, other in zip(sums, predicted or [0] * count, strict=True)]
    else:
        assert codec in (4, 8)
    return _planes(payload, item, plain, predicted)


def _rows_and_columns(payload: bytes, plain: int, item: int, row: int) -> tuple[tuple[list[int], list[int]], bytes]:
    shift, length = struct.unpack_from("<BI", payload)
    count = plain // (item * row)
    assert count * item * row == plain
    folded = _words(_planes(payload[5 : 5 + length], item, (count + row) * item, None), item)
    vectors = [(word >> 1 if word % 2 == 0 else -(word >> 1) - 1) << shift for word in folded]
    return (vectors[:count], vectors[count:]), payload[5 + length :]


def _planes(payload: bytes, item: int, plain: int, predicted: list[int] | None) -> bytes:
    rotation, at, count, bits = payload[0], 1, plain // item, 8 * item
    heads: list[tuple[int, int, int]] = []
    while sum(width for width, _, _ in heads) < item:
        heads.append(struct.unpack_from("<BBI", payload, at))
        at += 6
    turned, place = [0] * count, 0
    for width, method, length in heads:
        body = payload[at : at + length]
        at += length
        plane = body if method == 0 else _unzstd(body, count * width)
        assert len(plane) == count * width
        turned = [word | part << place for word, part in zip(turned, _words(plane, width), strict=True)]
        place += 8 * width
    everything = (1 << bits) - 1
    words = [(word >> rotation | word << (bits - rotation)) & everything for word in turned]
    if predicted is not None:
        bias = 1 << (bits - 1 - rotation)
        words = [(word - bias + guess) & everything for word, guess in zip(words, predicted, strict=True)]
    assert len(payload) - at == plain % item
    return b"".join(word.to_bytes(item, "little") for word in words) + payload[at:]


def _old_planes(payload: bytes, item: int, plain: int) -> bytes:
    heads = [struct.unpack_from("<BI", payload, 5 * plane) for plane in range(item)]
    now = b"".join(struct.pack("<BBI", 1, *head) for head in heads)
    return _planes(b"\x01" + now + payload[5 * item :], item, plain, None)


def _words(data: bytes, size: int) -> list[int]:
    return [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data) - size + 1, size)]


def _unzstd(data: bytes, size: int) -> bytes:
    assert zstandard.frame_content_size(data) == size
    return zstandard.ZstdDecompressor().decompress(data)
