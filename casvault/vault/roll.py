"""The roll: which snapshots verify found, and the newest label of each, so that what vanishes leaves a trace.

A snapshot that the listing does not have and that nobody deleted is missing where the roll names it, or where a live
record refers to it; a label, where the roll names a newer one than there is. The roll is derived: without it less is
missed, and whatever is wrong with it counts as nothing.

Owns the invariants that nobody is missed who was deleted, or never came to be, and that nothing is collected while
somebody is missed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from casvault.backends import Backend
from casvault.digest import digest_of
from casvault.errors import CasvaultError, DamageError
from casvault.manifest.stamp import Stamp
from casvault.vault.heads import LABELS, SNAPSHOTS, HeadIndex
from casvault.vault.live import LiveRecord

__all__ = ["Missing", "call_roll", "check_nothing_vanished", "missing", "vanished"]

_BLOB = "cache/roll"
_FIRST = "casvault roll 1"
_NONE = "-"
_MOST = 100_000
"""Snapshots that are remembered; of more the newest."""
_MAX_BYTES = 100 + 56 * _MOST


class Missing(NamedTuple):
    """Ids of ``snapshots`` whose manifests are gone, and of others whose newest ``labels`` are."""

    snapshots: list[str]
    labels: list[str]


def missing(backend: Backend, index: HeadIndex) -> Missing:
    """Return what was there, is not, and was not deleted."""
    return _missing(backend, index, _read(backend))


def call_roll(backend: Backend, index: HeadIndex) -> Missing:
    """Return what is `missing`, and remember what is there; for who holds the vault's lock.

    What was missing stays on the roll until it is back, deleted, or replaced. A full disk hinders nothing.
    """
    roll = _read(backend)
    gone = _missing(backend, index, roll)
    stamps = index.labels.stamps()
    now = {id: next(iter(stamps.get(id, ())), "") for id in index.ids()}
    now |= {id: roll.get(id, "") for id in (*gone.snapshots, *gone.labels)}
    with suppress(CasvaultError):
        if now != roll:
            # What another process has not flushed yet may be gone after a power cut, and is nobody's loss.
            with backend.batch(1) as batch:
                batch.flush([SNAPSHOTS, LABELS])
            _write(backend, now)
    return gone


def vanished(id: str) -> str:
    """Return the sentence that tells of a snapshot that is missing, and what can be done."""
    return (
        f"the manifest of snapshot {id} is gone, and nobody deleted it; `casvault pull` brings it back from a vault "
        f"that has it, `casvault delete {id}` gives it up."
    )


def check_nothing_vanished(backend: Backend, index: HeadIndex) -> None:
    """Refuse to tell garbage from what is needed while a snapshot is missing; raises DamageError."""
    for id in missing(backend, index).snapshots:
        raise DamageError(f"what snapshot {id} needs is not known: {vanished(id)}")


def _missing(backend: Backend, index: HeadIndex, roll: dict[str, str]) -> Missing:
    known = set(roll)
    for key in LiveRecord.keys(backend):
        record = LiveRecord.read(backend, key)
        if record is not None:
            known |= {record.snapshot} | ({record.backup} if record.backup is not None else set())
    there, stamps = set(index.ids()), index.labels.stamps()
    return Missing(
        sorted(id for id in known - there if not _may_be_deleted(index, id)),
        sorted(id for id in there.intersection(roll) if roll[id] > next(iter(stamps.get(id, ())), "")),
    )


def _may_be_deleted(index: HeadIndex, id: str) -> bool:
    try:
        return index.labels.newest(id).deleted
    except CasvaultError:
        return True


def _read(backend: Backend) -> dict[str, str]:
    """Return the stamp of the newest label of each snapshot on the roll, empty where it had none."""
    try:
        checksum, _, body = backend.read(_BLOB, _MAX_BYTES).partition(b"\n")
    except CasvaultError:
        return {}
    first, *lines = body.decode("ascii", "replace").splitlines() or [""]
    entries = [line.partition(" ") for line in lines]
    if checksum != digest_of(body).encode() or first != _FIRST:
        return {}
    if not all(Stamp.valid(id) and (stamp == _NONE or Stamp.valid(stamp)) for id, _, stamp in entries):
        return {}
    return {id: "" if stamp == _NONE else stamp for id, _, stamp in entries}


def _write(backend: Backend, roll: dict[str, str]) -> None:
    lines = [f"{id} {roll[id] or _NONE}" for id in sorted(roll)[-_MOST:]]
    body = "\n".join([_FIRST, *lines]).encode()
    backend.write(_BLOB, digest_of(body).encode() + b"\n" + body, durable=False)
