"""A comparison of two vaults: what is only here, only there, newer on one side, or in conflict.

Owns the invariant that it says what push, pull and sync would do: it is told by the same plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from casvault.errors import UsageError
from casvault.progress import Progress
from casvault.sync.local import LocalRemote
from casvault.sync.plan import Plan, plan_snapshots
from casvault.sync.remote import Remote, State
from casvault.sync.transfer import SyncOptions, pull, push
from casvault.vault.head import Head

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """How two vaults stand to each other, newest snapshots first.

    ``both`` says how many both have. ``only_here`` and ``only_there`` are what push and pull would bring over.
    ``newer_here`` and ``newer_there`` have the same bytes on both sides and a newer label on one. ``deleted_here`` and
    ``deleted_there`` were deleted on that side and are there on the other: they stay as they are, but with ``delete``.
    ``refused`` says why else something stays where it is, ``conflicts`` where the sides disagree. ``unreadable`` are
    ids of snapshots whose manifests cannot be read on one side.

    ``bytes_to_send`` and ``bytes_to_receive`` are of stored objects, None where they were not asked for.
    """

    remote: str
    uuid: str
    both: int
    only_here: tuple[Head, ...]
    only_there: tuple[Head, ...]
    newer_here: tuple[Head, ...]
    newer_there: tuple[Head, ...]
    deleted_here: tuple[Head, ...]
    deleted_there: tuple[Head, ...]
    refused: dict[str, str]
    conflicts: dict[str, str]
    unreadable: tuple[str, ...]
    bytes_to_send: int | None = None
    bytes_to_receive: int | None = None

    @property
    def same(self) -> bool:
        """Whether a sync would change nothing, and nothing is in its way."""
        kinds = (self.only_here, self.only_there, self.newer_here, self.newer_there, self.deleted_here)
        return not any((*kinds, self.deleted_there, self.refused, self.conflicts, self.unreadable))

    def to_json(self) -> dict[str, Any]:
        """Return it for `--json`; snapshots are heads."""
        heads = ("only_here", "only_there", "newer_here", "newer_there", "deleted_here", "deleted_there")
        return {
            "remote": self.remote,
            "uuid": self.uuid,
            "same": self.same,
            "both": self.both,
            **{name: [head.to_json() for head in getattr(self, name)] for name in heads},
            "refused": self.refused,
            "conflicts": self.conflicts,
            "unreadable": list(self.unreadable),
            "bytes_to_send": self.bytes_to_send,
            "bytes_to_receive": self.bytes_to_receive,
        }


def compare(
    here: Remote, there: Remote, name: str, *, sizes: bool = False, progress: Progress | None = None
) -> Comparison:
    """Return how ``here`` and ``there`` stand to each other; with ``sizes`` also how many bytes have to travel.

    Sizes take a look at every chunk of what would travel. Raises UsageError, RemoteError, BadManifest, StorageError,
    Cancelled.
    """
    if isinstance(here, LocalRemote) and here.is_same_as(there):
        raise UsageError(f"{here.title} is both ends; a vault is compared with another one.")
    ours, theirs = here.state(), there.state()
    every = {*ours.snapshots, *theirs.snapshots, *ours.tombstones, *theirs.tombstones}
    out, back = plan_snapshots(ours, theirs, every, delete=False), plan_snapshots(theirs, ours, every, delete=False)
    deleted_here, deleted_there = _given_up(ours, theirs), _given_up(theirs, ours)
    told = {head.id for head in (*deleted_here, *deleted_there)}
    sending = receiving = None
    if sizes:
        sending = push(here, there, SyncOptions(dry_run=True), progress).object_bytes
        receiving = pull(here, there, SyncOptions(dry_run=True), progress).object_bytes
    return Comparison(
        name,
        there.uuid,
        len(_alive(ours).keys() & _alive(theirs).keys()),
        _heads(ours, out, new=True),
        _heads(theirs, back, new=True),
        _heads(ours, out, new=False),
        _heads(theirs, back, new=False),
        deleted_here,
        deleted_there,
        {id: why for id, why in {**back.refused, **out.refused}.items() if id not in told},
        {**back.conflicts, **out.conflicts},
        tuple(sorted(ours.damaged | theirs.damaged)),
        sending,
        receiving,
    )


def _alive(state: State) -> dict[str, Head]:
    return {id: known.head for id, known in state.snapshots.items() if not known.head.label.deleted}


def _heads(source: State, plan: Plan, *, new: bool) -> tuple[Head, ...]:
    return tuple(source.snapshots[each.id].head for each in plan.sendings if each.new == new)


def _given_up(deleting: State, other: State) -> tuple[Head, ...]:
    """Return what was deleted on one side and is still there on the other."""
    dead = {*deleting.tombstones, *deleting.snapshots.keys() - _alive(deleting).keys()}
    found = (head for id, head in _alive(other).items() if id in dead)
    return tuple(sorted(found, key=lambda head: head.id, reverse=True))
