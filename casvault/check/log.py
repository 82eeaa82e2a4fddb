"""The check log: when each object was last read and found whole.

It is derived: without it, or where it is wrong, the next sample reads other objects first, and nothing else. So it is
written without fsync, and what does not hold together counts as nothing.

Owns the invariant that its size is bounded: 12 bytes for each object that is there, and no more than a million of them.
"""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, NamedTuple

from casvault.backends import Backend
from casvault.digest import digest_of
from casvault.errors import CasvaultError
from casvault.manifest.stamp import to_iso
from casvault.objects import ObjectName

__all__ = ["CheckLog", "LastChecked"]

_BLOB = "cache/checked"
_MAGIC = b"CVCK\x01\0\0\0"
_ENTRY = struct.Struct("<QI")
_MOST = 1 << 20
"""Objects that are remembered; of more those that were checked last."""
_MAX_BYTES = 65 + len(_MAGIC) + _ENTRY.size * _MOST
_HOUR = 3600


class LastChecked(NamedTuple):
    """Of ``objects`` objects ``never`` were not checked yet; ``oldest`` is when the check of another is longest ago,
    ``newest`` when one was last checked, in seconds since 1970, None where there is none.
    """

    objects: int
    never: int
    oldest: int | None
    newest: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "objects": self.objects,
            "never_checked": self.never,
            "oldest_check": _iso(self.oldest),
            "newest_check": _iso(self.newest),
        }


class CheckLog:
    """When the objects of a vault were last checked, in whole hours."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._dropped: set[int] = set()
        self._noted: dict[int, int] = {}
        self._hours = _read(backend)

    def note(self, name: ObjectName) -> None:
        """Remember that an object was just found whole."""
        self._noted[_key(name)] = _now()

    def drop(self, name: ObjectName) -> None:
        """Forget an object that was found damaged, so that it is among the next that are read."""
        self._dropped.add(_key(name))

    def sample(self, names: Sequence[ObjectName], share: float) -> list[ObjectName]:
        """Return objects with at least this share of all stored bytes, those first that were not checked for longest.

        Objects of one hour, and those that were never checked, come in random order.
        """
        order = list(names)
        random.shuffle(order)
        order.sort(key=lambda name: self._hours.get(_key(name), 0))
        wanted, taken, chosen = share * sum(name.size for name in names), 0, []
        for name in order:
            if taken >= wanted:
                break
            chosen.append(name)
            taken += name.size
        return chosen

    def told(self, names: Iterable[ObjectName]) -> LastChecked:
        """Return what is known of these objects, those included that were noted since."""
        known = self._merged(self._hours)
        count, hours = 0, []
        for name in names:
            count += 1
            hour = known.get(_key(name))
            if hour is not None:
                hours.append(hour)
        if not hours:
            return LastChecked(count, count, None)
        return LastChecked(count, count - len(hours), min(hours) * _HOUR, max(hours) * _HOUR)

    def save(self, names: Iterable[ObjectName]) -> None:
        """Keep what is known of these objects, and what others wrote meanwhile; a disk that is full hinders nothing."""
        if not self._noted and not self._dropped:
            return
        there = {_key(name) for name in names}
        known = {key: hour for key, hour in self._merged(_read(self._backend)).items() if key in there}
        if len(known) > _MOST:
            known = dict(sorted(known.items(), key=lambda item: -item[1])[:_MOST])
        body = _MAGIC + b"".join(_ENTRY.pack(key, known[key]) for key in sorted(known))
        with suppress(CasvaultError):
            self._backend.write(_BLOB, digest_of(body).encode() + b"\n" + body, durable=False)

    def _merged(self, hours: dict[int, int]) -> dict[int, int]:
        kept = {key: hour for key, hour in hours.items() if key not in self._dropped}
        return {**kept, **{key: hour for key, hour in self._noted.items() if key not in self._dropped}}


def _iso(seconds: int | None) -> str | None:
    return None if seconds is None else to_iso(datetime.fromtimestamp(seconds, timezone.utc))


def _key(name: ObjectName) -> int:
    """Return the first 64 bits of the digest, and of the base's beside it: two have it alike by chance only."""
    key = int(name.digest[:16], 16)
    return key if name.base is None else key ^ int(name.base[:16], 16)


def _now() -> int:
    return int(time.time()) // _HOUR


def _read(backend: Backend) -> dict[int, int]:
    try:
        checksum, _, body = backend.read(_BLOB, _MAX_BYTES).partition(b"\n")
    except CasvaultError:
        return {}
    if checksum != digest_of(body).encode() or not body.startswith(_MAGIC):
        return {}
    entries = memoryview(body)[len(_MAGIC) :]
    if len(entries) % _ENTRY.size:
        return {}
    # What was checked in the future was checked by a clock that was wrong.
    now = _now()
    return {key: hour for key, hour in _ENTRY.iter_unpack(entries) if 0 < hour <= now}
