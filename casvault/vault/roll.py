"""The roll: which snapshots verify found, so that one whose manifest vanishes leaves a trace.

What the listing does not have and nobody deleted is missing where the roll names it, or where a live record refers to
it. The roll is derived: without it fewer are missed, and whatever is wrong with it counts as nothing.

Owns the invariant that nobody is missed who was deleted, or never came to be.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from casvault.backends import Backend
from casvault.digest import digest_of
from casvault.errors import CasvaultError
from casvault.manifest.stamp import Stamp
from casvault.vault.heads import SNAPSHOTS, HeadIndex
from casvault.vault.live import LiveRecord

__all__ = ["call_roll", "missing"]

_BLOB = "cache/roll"
_FIRST = "casvault roll 1"
_MOST = 100_000
"""Snapshots that are remembered; of more the newest."""
_MAX_BYTES = 100 + 28 * _MOST


def missing(backend: Backend, index: HeadIndex) -> list[str]:
    """Return the ids of snapshots that were there, are not, and were not deleted."""
    known = set(_read(backend))
    for key in LiveRecord.keys(backend):
        record = LiveRecord.read(backend, key)
        if record is not None:
            known |= {record.snapshot} | ({record.backup} if record.backup is not None else set())
    return sorted(id for id in known.difference(index.ids()) if not _may_be_deleted(index, id))


def call_roll(backend: Backend, index: HeadIndex) -> list[str]:
    """Return what is `missing`, and remember who is there; for who holds the vault's lock. A full disk hinders nothing.

    Who was missing stays on the roll until it is back, or deleted.
    """
    there, gone = index.ids(), missing(backend, index)
    with suppress(CasvaultError):
        if sorted({*there, *gone}) != _read(backend):
            # A manifest that another process has not flushed yet may be gone after a power cut, and nobody's loss.
            with backend.batch(1) as batch:
                batch.flush([SNAPSHOTS])
            _write(backend, {*there, *gone})
    return gone


def _may_be_deleted(index: HeadIndex, id: str) -> bool:
    try:
        return index.labels.newest(id).deleted
    except CasvaultError:
        return True


def _read(backend: Backend) -> list[str]:
    try:
        checksum, _, body = backend.read(_BLOB, _MAX_BYTES).partition(b"\n")
    except CasvaultError:
        return []
    first, *ids = body.decode("ascii", "replace").splitlines() or [""]
    if checksum != digest_of(body).encode() or first != _FIRST or not all(map(Stamp.valid, ids)):
        return []
    return ids


def _write(backend: Backend, ids: Collection[str]) -> None:
    body = "\n".join([_FIRST, *sorted(ids)[-_MOST:]]).encode()
    backend.write(_BLOB, digest_of(body).encode() + b"\n" + body, durable=False)
