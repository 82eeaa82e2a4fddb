"""Parts: the beginnings of objects whose transfer broke off, so that only the rest has to come.

Owns the invariant that a part counts for nothing by itself: what it is completed to is checked as a whole, as anything
is that arrives from elsewhere.
"""

from __future__ import annotations

import struct
import time
from contextlib import suppress

from casvault.backends import Backend
from casvault.codecs import Bytes
from casvault.digest import is_digest, raw_digest_of
from casvault.errors import CasvaultError
from casvault.objects import ObjectName
from casvault.objects.store import MAX_STORED

__all__ = ["Parts"]

_FOLDER = "tmp"
_PREFIX = "part-"
_HEAD = struct.Struct("<32s32sQd32s")
_NONE = bytes(32)
_SMALLEST = 32 << 10
"""Bytes below which it is not worth a file."""

_MOST = 16
_LIFETIME = 86_400.0
"""Seconds after which nobody is expected to send the rest."""


class Parts:
    """The parts in one vault."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def keep(self, name: ObjectName, data: Bytes) -> None:
        """Keep the beginning of an object, where that is of use; a disk that is full is none of its business."""
        if not _SMALLEST <= len(data) < name.size or len(self.every()) >= _MOST:
            return
        base = bytes.fromhex(name.base) if name.base is not None else _NONE
        head = _HEAD.pack(bytes.fromhex(name.digest), base, name.size, time.time(), raw_digest_of([data]))
        with suppress(CasvaultError):
            self._backend.write(_blob(name.digest), head + data, durable=False)

    def every(self) -> dict[ObjectName, int]:
        """Return the objects of which there are parts, and how many bytes."""
        return self.clear()

    def clear(self) -> dict[ObjectName, int]:
        """Remove those whose rest never came, and return the others."""
        found = {}
        for entry in self._backend.list(_FOLDER):
            digest = entry.name.removeprefix(_PREFIX)
            if entry.name.startswith(_PREFIX) and is_digest(digest):
                name, data, since = self._read(digest)
                if name is None or not 0 <= time.time() - since <= _LIFETIME:
                    with suppress(CasvaultError):
                        self._backend.delete(_blob(digest))
                else:
                    found[name] = len(data)
        return found

    def take(self, name: ObjectName, size: int) -> bytes | None:
        """Return the first ``size`` bytes of an object and forget them; None where there are not just these."""
        found, data, _ = self._read(name.digest)
        self._backend.delete(_blob(name.digest))
        return data if found == name and len(data) == size else None

    def _read(self, digest: str) -> tuple[ObjectName | None, bytes, float]:
        try:
            data = self._backend.read(_blob(digest), MAX_STORED + _HEAD.size)
            raw, base, size, since, checksum = _HEAD.unpack_from(data)
        except (CasvaultError, struct.error):
            return None, b"", 0.0
        name, part = ObjectName(raw.hex(), None if base == _NONE else base.hex(), size), data[_HEAD.size :]
        # It was not flushed: a power cut may have left anything.
        whole = name.digest == digest and 0 < len(part) < size and raw_digest_of([part]) == checksum
        return (name if whole else None), part, since


def _blob(digest: str) -> str:
    return f"{_FOLDER}/{_PREFIX}{digest}"
