"""An object's frame: a header that says everything needed to decode it, a checksum, the payload.

The header is 96 bytes, little-endian::

    offset  bytes  field
    0       4      magic "CVOB"
    4       1      version, 1
    5       1      codec id (casvault.codecs.CODEC_IDS)
    6       2      flags; a reader refuses any bit of the upper byte that it does not know
    8       4      item size in bytes, 0 where the chunk is not numbers
    12      4      row length in items, 0 where there are no rows
    16      8      plain length in bytes
    24      8      stored length: the bytes of payload that follow the header
    32      32     digest of the base chunk, zeros without one
    64      32     BLAKE3-256 of header bytes 0 to 63 and the payload

Owns the invariant that a damaged frame is told from a whole one without its base.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from casvault.codecs import MAX_PLAIN_SIZE, Bytes, Layout
from casvault.digest import DIGEST_SIZE, raw_digest_of
from casvault.errors import DamageError, UnsupportedVault

__all__ = ["HEADER_SIZE", "Frame", "Outline"]

_FIELDS = struct.Struct("<4sBBHIIQQ32s")
_MAGIC = b"CVOB"
_VERSION = 1
_REQUIRED_FLAGS = 0xFF00
_NO_BASE = bytes(DIGEST_SIZE)

HEADER_SIZE = _FIELDS.size + DIGEST_SIZE
"""Bytes of a frame's header; an object of this size or less is not one."""


class Outline(NamedTuple):
    """What a header alone tells: the codec, and the plain size in bytes; nothing of it is checked."""

    codec: int
    plain_size: int

    @classmethod
    def read(cls, header: bytes) -> Outline | None:
        """Return what the first bytes of an object tell, None where they are not those of one."""
        if len(header) < HEADER_SIZE or header[:4] != _MAGIC:
            return None
        _, _, codec, _, _, _, plain_size, _, _ = _FIELDS.unpack(header[: _FIELDS.size])
        return cls(codec, plain_size)


@dataclass(frozen=True)
class Frame:
    """One object, parsed: its codec, its plain size in bytes, the base's digest or None, and the payload."""

    codec: int
    layout: Layout
    plain_size: int
    base: str | None
    payload: bytes | memoryview
    flags: int = 0

    def pieces(self) -> list[Bytes]:
        """Return the frame as bytes to be written one after another; the payload is not copied."""
        return self.around([self.payload])

    def around(self, payload: list[Bytes]) -> list[Bytes]:
        """Return the frame as `pieces` does, for a payload that is in pieces itself; the frame's own is not used."""
        base = bytes.fromhex(self.base) if self.base else _NO_BASE
        fields = _FIELDS.pack(
            _MAGIC,
            _VERSION,
            self.codec,
            self.flags,
            self.layout.item_size,
            self.layout.row_length,
            self.plain_size,
            sum(map(len, payload)),
            base,
        )
        return [fields, raw_digest_of([fields, *payload]), *payload]

    @classmethod
    def parse(cls, data: bytes, name: str, *, checked: bool = True) -> Frame:
        """Read a frame and check it; ``name`` is the object's, for the message.

        Without ``checked`` its checksum is not looked at: for who checks the bytes that come out of it. Raises
        DamageError for anything but a whole frame, and UnsupportedVault for one of a newer version.
        """
        if len(data) <= HEADER_SIZE or data[:4] != _MAGIC:
            raise DamageError(f"object {name} is not an object of a vault.")
        view = memoryview(data)
        fields, payload = view[: _FIELDS.size], view[HEADER_SIZE:]
        if checked and raw_digest_of([fields, payload]) != data[_FIELDS.size : HEADER_SIZE]:
            raise DamageError(f"object {name} is damaged: its checksum does not match.")
        _, version, codec, flags, item, row, plain_size, stored, base = _FIELDS.unpack(fields)
        if version != _VERSION or flags & _REQUIRED_FLAGS:
            raise UnsupportedVault(f"object {name} was written by a newer casvault; update this one to read it.")
        if stored != len(payload) or plain_size > MAX_PLAIN_SIZE:
            raise DamageError(f"object {name} is damaged: its lengths do not add up.")
        return cls(codec, Layout(item, row), plain_size, None if base == _NO_BASE else base.hex(), payload, flags)
