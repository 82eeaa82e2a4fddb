"""Delete and undelete: a label says that a snapshot is not wanted any more; gc frees the space.

Owns the invariants that deleting frees nothing yet, so that it can be undone until gc, and that what it says will be
freed is told before anything is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from casvault.errors import CasvaultError, DamageError, NotFound, StorageError, UnsupportedVault
from casvault.manifest.label import Label
from casvault.objects import is_there
from casvault.usage.usage import account
from casvault.vault.head import Head
from casvault.vault.roll import missing
from casvault.vault.vault import Vault

__all__ = ["DeleteResult", "delete", "mark_deleted", "plan_delete", "undelete"]


@dataclass(frozen=True)
class DeleteResult:
    """What was deleted, or would be: ``frees_bytes`` is what gc frees for it, None where that cannot be told.

    ``leaned_bytes`` of it stay as bases of other snapshots' deltas, until gc codes those anew; ``reclaimable_bytes`` gc
    frees besides. ``unreadable`` are ids of snapshots whose manifests are damaged, or gone.
    """

    heads: tuple[Head, ...]
    unreadable: tuple[str, ...]
    frees_bytes: int | None
    leaned_bytes: int | None
    reclaimable_bytes: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            "deleted": [*(head.id for head in self.heads), *self.unreadable],
            "frees_bytes": self.frees_bytes,
            "leaned_bytes": self.leaned_bytes,
            "reclaimable_bytes": self.reclaimable_bytes,
        }


def plan_delete(vault: Vault, ids: Sequence[str]) -> DeleteResult:
    """Return what deleting these snapshots would do; raises NotFound, UsageError for a pinned one, Locked."""
    with vault.locks.shared("delete"):
        heads, unreadable = _chosen(vault, ids)
        vault.objects.forget()
        try:
            ledger, found = account(vault)
        except (DamageError, StorageError, UnsupportedVault):
            # While a manifest cannot be read nobody can tell what is needed; deleting that one is a way out.
            return DeleteResult(heads, unreadable, None, None, None)
    reclaimable = found.stored_bytes - ledger.stored_in_all()
    leaned = ledger.leaned_bytes()
    frees = ledger.frees(head.id for head in heads)
    for head in heads:
        ledger.remove(head.id)
    more = ledger.leaned_bytes() - leaned
    return DeleteResult(heads, unreadable, frees, more, reclaimable)


def delete(vault: Vault, ids: Sequence[str]) -> DeleteResult:
    """Delete these snapshots; raises NotFound, UsageError for a pinned one, Locked, NoSpace, StorageError."""
    plan = plan_delete(vault, ids)
    for id in (*(head.id for head in plan.heads), *plan.unreadable):
        mark_deleted(vault, id)
    return plan


def mark_deleted(vault: Vault, id: str) -> None:
    """Write the label that deletes one snapshot; raises UsageError for a pinned one, Locked, NoSpace, StorageError."""
    vault.relabel(id, "delete", _deleted)


def undelete(vault: Vault, id: str) -> Head:
    """Bring a deleted snapshot back, which works until gc; raises NotFound where it is too late."""
    head = next((head for head in vault.heads(deleted=True) if head.id == id), None)
    if head is None:
        raise _too_late(id) if _is_tombstone(vault, id) else NotFound(f"there is no snapshot {id}.")

    def bring_back(label: Label) -> Label:
        # Under the vault's lock: no sweep can come in between.
        vault.objects.forget()
        try:
            whole = all(is_there(vault.objects, chunk.digest) for chunk in vault.manifest(id).chunks(label.thinned))
        except NotFound:
            whole = False
        if label.deleted and not whole:
            raise _too_late(id)
        return replace(label, deleted=False)

    return replace(head, label=vault.relabel(id, "undelete", bring_back))


def _chosen(vault: Vault, ids: Sequence[str]) -> tuple[tuple[Head, ...], tuple[str, ...]]:
    known = {head.id: head for head in vault.heads()}
    heads, unreadable = [], []
    for id in dict.fromkeys(ids):
        if id in known:
            heads.append(known[id])
            _deleted(known[id].label)
        elif id in vault.index.damaged or id in missing(vault.backend, vault.index).snapshots:
            unreadable.append(id)
        else:
            raise NotFound(f"there is no snapshot {id}.")
    return tuple(heads), tuple(unreadable)


def _deleted(label: Label) -> Label:
    label.check_unpinned()
    return replace(label, deleted=True)


def _is_tombstone(vault: Vault, id: str) -> bool:
    try:
        return vault.index.labels.newest(id).deleted
    except CasvaultError:
        return False


def _too_late(id: str) -> NotFound:
    return NotFound(f"snapshot {id} was deleted and gc has freed its space since; it cannot come back.")
