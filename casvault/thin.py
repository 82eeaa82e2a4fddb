"""Thin: old snapshots give up their optimizer, which is half of a model or more.

The trainer starts an optimizer that is missing afresh, and merging needs none. Owns the invariants that only files
that hold nothing else are given up, that a label says so, and that it can be undone until gc.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from casvault.errors import NotFound, UsageError
from casvault.manifest.label import Label
from casvault.models import kind_named
from casvault.objects import is_there
from casvault.usage.holdings import Holding
from casvault.usage.ledger import Ledger
from casvault.usage.usage import account
from casvault.vault.head import Head
from casvault.vault.live import LiveRecord
from casvault.vault.vault import Vault

__all__ = ["ThinResult", "old_snapshots", "plan_thin", "thin", "unthin"]


@dataclass(frozen=True)
class ThinResult:
    """What was thinned, or would be: id -> paths that go. ``frees_bytes`` is what gc frees for it.

    ``leaned_bytes`` besides are bases of other snapshots' deltas, which stay until gc codes those anew.
    """

    heads: tuple[Head, ...]
    files: dict[str, tuple[str, ...]]
    frees_bytes: int
    leaned_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            "thinned": {id: list(paths) for id, paths in self.files.items()},
            "frees_bytes": self.frees_bytes,
            "leaned_bytes": self.leaned_bytes,
        }


def old_snapshots(vault: Vault, older_than: timedelta, keep_last: int = 0, now: datetime | None = None) -> list[str]:
    """Return the ids of snapshots that may be thinned by age, oldest first; raises UsageError below 0.

    Pinned ones are none of them, nor are the last ``keep_last`` of a model, broken ones not counted, nor the newest
    that is whole and healthy: training could not go on from the vault.
    """
    if keep_last < 0 or older_than < timedelta():
        raise UsageError("say 0 or more for how many are kept whole, and for how old the others are.")
    now = now or datetime.now(timezone.utc)
    by_model: dict[tuple[str, str], list[Head]] = {}
    for head in vault.heads():
        by_model.setdefault((head.model_name, head.place), []).append(head)
    backups = LiveRecord.backups(vault.backend)
    found = []
    for heads in by_model.values():
        newest_first = sorted(heads, key=lambda head: (head.moment, head.id), reverse=True)
        sound = [head for head in newest_first if head.healthy and not head.incomplete]
        kept = {head.id for head in (*newest_first[:keep_last], *sound[: max(keep_last, 1)])}
        for head in heads:
            free = not head.label.pinned and not head.doubtful and head.id not in backups
            old = now - head.moment > older_than and head.id not in kept and free
            # A model of a kind that only a newer casvault knows is left alone.
            with suppress(UsageError):
                if old and _optimizers(vault, head):
                    found.append(head.id)
    return sorted(found)


def plan_thin(vault: Vault, ids: Sequence[str]) -> ThinResult:
    """Return what thinning these snapshots would do.

    Raises NotFound, UsageError for a pinned one and for one without an optimizer that it still has, Locked.
    """
    heads = {id: vault.head(id) for id in dict.fromkeys(ids)}
    files = {}
    for id, head in heads.items():
        if head.label.deleted:
            raise NotFound(f"snapshot '{head.title}' was deleted.")
        head.label.check_unpinned()
        files[id] = _optimizers(vault, head)
        if not files[id]:
            raise UsageError(f"snapshot '{head.title}' of {head.model_name} has no optimizer to give up.")
    with vault.locks.shared("thin"):
        vault.objects.forget()
        ledger, _ = account(vault)
        then = tuple(_without(vault, one, files.get(one.id, ())) for one in ledger.holdings.snapshots)
    after = Ledger(replace(ledger.holdings, snapshots=then), ledger.graph)
    freed = ledger.stored_in_all() - after.stored_in_all()
    return ThinResult(tuple(heads.values()), files, freed, max(0, after.leaned_bytes() - ledger.leaned_bytes()))


def thin(vault: Vault, ids: Sequence[str]) -> ThinResult:
    """Let these snapshots give up their optimizers; raises what `plan_thin` raises, NoSpace, StorageError."""
    plan = plan_thin(vault, ids)
    for id, paths in plan.files.items():

        def give_up(label: Label, paths: tuple[str, ...] = paths) -> Label:
            label.check_unpinned()
            return replace(label, thinned=tuple(dict.fromkeys((*label.thinned, *paths))))

        vault.relabel(id, "thin", give_up)
    return plan


def unthin(vault: Vault, id: str) -> Head:
    """Let a snapshot have its files back, which works until gc; raises NotFound where it is too late."""
    head = vault.head(id)

    def take_back(label: Label) -> Label:
        # Under the vault's lock: no sweep can come in between.
        vault.objects.forget()
        if not all(is_there(vault.objects, chunk.digest) for chunk in vault.manifest(id).chunks()):
            raise NotFound(f"gc has freed what snapshot '{head.title}' was thinned of; it cannot come back.")
        return replace(label, thinned=())

    return replace(head, label=vault.relabel(id, "thin", take_back))


def _optimizers(vault: Vault, head: Head) -> tuple[str, ...]:
    """Return the paths of the optimizer files that a snapshot still has."""
    kind = kind_named(str(head.document["model"]["kind"]))
    files = vault.manifest(head.id).files
    return tuple(f.path for f in files if kind.is_optimizer(f.role) and f.path not in head.label.thinned)


def _without(vault: Vault, holding: Holding, paths: Sequence[str]) -> Holding:
    """Return what a snapshot holds once these files are gone as well."""
    if not paths:
        return holding
    manifest = vault.manifest(holding.id)
    gone = {*holding.head.label.thinned, *paths}
    size = sum(file.size for file in manifest.files if file.path not in gone)
    return Holding(holding.head, {chunk.digest: chunk.size for chunk in manifest.chunks(gone)}, size)
