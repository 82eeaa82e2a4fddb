"""Frames: what goes over a connection between two vaults, and never more of it than was agreed.

A frame is two lengths (4 bytes each, little-endian), a head, which is a JSON object, and a body, which is bytes.

Owns the invariant that nothing is read without a bound: a stranger at the other end can end the connection, and no
more.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

from casvault.codecs import Bytes
from casvault.errors import RemoteError
from casvault.objects import ObjectName

__all__ = ["GREETING", "MAX_BODY", "Frame", "Wire", "pack_digests", "pack_names", "unpack_digests", "unpack_names"]

GREETING = b"casvault serve 1\n"
"""What a server says first; another number is another protocol."""

_LENGTHS = struct.Struct("<II")
MAX_HEAD = 4 << 20
MAX_BODY = 66 << 20
"""More than any object, manifest, or portion of objects has."""

_MAX_LINE = 200
_RAW = 32
_NAME = struct.Struct("<32s32sQ")
_NONE = bytes(_RAW)


class Frame(NamedTuple):
    """One frame, taken apart."""

    head: dict[str, Any]
    body: bytes


class Wire:
    """Two streams, one to read and one to write; counts the bytes of both. Raises RemoteError, also at the end."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer
        self.moved = 0

    def send(self, head: dict[str, Any], pieces: Sequence[Bytes] = ()) -> None:
        """Write one frame, with the pieces one after another as its body."""
        text = json.dumps(head, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
        size = sum(map(len, pieces))
        if len(text) > MAX_HEAD or size > MAX_BODY:
            raise RemoteError("what was to be sent is larger than the protocol allows.")
        try:
            for piece in (_LENGTHS.pack(len(text), size) + text, *pieces):
                self._writer.write(piece)
            self._writer.flush()
        except (OSError, ValueError) as error:
            raise RemoteError("the connection ended.") from error
        self.moved += _LENGTHS.size + len(text) + size

    def receive(self) -> Frame | None:
        """Read one frame; None where the other side ended the connection between two frames."""
        lengths = self.exactly(_LENGTHS.size, may_end=True)
        if not lengths:
            return None
        head_size, body_size = _LENGTHS.unpack(lengths)
        if head_size > MAX_HEAD or body_size > MAX_BODY:
            raise RemoteError("something was sent that is no part of the protocol.")
        try:
            head = json.loads(self.exactly(head_size))
        except (ValueError, RecursionError) as error:
            raise RemoteError("something was sent that is no part of the protocol.") from error
        if not isinstance(head, dict):
            raise RemoteError("something was sent that is no part of the protocol.")
        return Frame(head, self.exactly(body_size))

    def line(self) -> bytes:
        """Read one line, or as much of it as anybody would read."""
        try:
            data = self._reader.readline(_MAX_LINE)
        except (OSError, ValueError) as error:
            raise RemoteError("the connection ended.") from error
        self.moved += len(data)
        return data

    def exactly(self, size: int, *, may_end: bool = False) -> bytes:
        """Read so many bytes; none where the stream ended before the first and ``may_end``."""
        try:
            data = self._reader.read(size)
        except (OSError, ValueError) as error:
            raise RemoteError("the connection ended.") from error
        self.moved += len(data)
        if len(data) < size and (data or not may_end):
            raise RemoteError("the connection ended in the middle of something.")
        return data


def pack_digests(digests: Sequence[str]) -> bytes:
    """Return digests as 32 bytes each."""
    return b"".join(map(bytes.fromhex, digests))


def unpack_digests(data: bytes) -> list[str]:
    """Read what `pack_digests` wrote; raises RemoteError."""
    if len(data) % _RAW:
        raise RemoteError("digests were sent that are none.")
    return [data[at : at + _RAW].hex() for at in range(0, len(data), _RAW)]


def pack_names(names: Sequence[ObjectName]) -> bytes:
    """Return names of objects as 72 bytes each: digest, base or zeros, size."""
    return b"".join(
        _NAME.pack(bytes.fromhex(name.digest), bytes.fromhex(name.base) if name.base else _NONE, name.size)
        for name in names
    )


def unpack_names(data: bytes) -> list[ObjectName]:
    """Read what `pack_names` wrote; raises RemoteError."""
    if len(data) % _NAME.size:
        raise RemoteError("names of objects were sent that are none.")
    return [
        ObjectName(digest.hex(), None if base == _NONE else base.hex(), size)
        for digest, base, size in _NAME.iter_unpack(data)
    ]
