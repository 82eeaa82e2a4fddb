"""Upkeep: what a watch deletes again, and how much room it leaves on the disk.

Owns the invariants that only snapshots that a watch took are deleted, that gc gives up nothing else for it, that none
is deleted where that does not make room enough, and no healthy one for a model that is not; and that a snapshot is only
taken where max(2 x the model, 2 GB) stay free: a full disk would break the trainer's own save.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from casvault.errors import Cancelled, CasvaultError, StorageError
from casvault.gc import collect
from casvault.progress import Progress
from casvault.prune import PrunePlan, Rules, plan_prune, prune
from casvault.prune.prune import judge
from casvault.prune.rules import is_sound
from casvault.usage.usage import account
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["Room", "Upkeep"]

_LEAST_FREE = 2_000_000_000
_KINDS = ("scheduled",)


@dataclass(frozen=True)
class Room:
    """What came of making room: how many snapshots were deleted for it, and what is missing still, None for nothing."""

    deleted: int = 0
    missing: str | None = None


@dataclass
class Upkeep:
    """Keeps the scheduled snapshots of one model within ``rules``, None for keeping all."""

    vault: Vault
    rules: Rules | None
    progress: Progress = field(default_factory=Progress)
    _owed: set[str] = field(default_factory=set)
    """Snapshots that were deleted, and that gc has not collected yet: it may have been kept from it."""

    def tidy(self, heads: Sequence[Head]) -> PrunePlan | None:
        """Delete what the rules do not keep among ``heads`` and free its space; return what went, None for nothing.

        ``heads`` are all snapshots of the model. Raises Locked, DamageError, StorageError, Cancelled.
        """
        if self.rules is None:
            return None
        verdicts = judge(heads, self.rules, _KINDS, False, datetime.now(timezone.utc))
        plan = None
        if not all(verdict.stays for verdict in verdicts):
            plan = self._delete(plan_prune(self.vault, self.rules, among=_ids(heads), kinds=_KINDS))
        self._collect()
        return plan if plan is not None and plan.goes else None

    def make_room(self, heads: Sequence[Head], size: int, is_well: Callable[[], bool]) -> Room:
        """See to it that a model of ``size`` bytes can be stored; ``is_well`` tells whether it is in good health.

        Where there is no room, scheduled snapshots among ``heads`` go, though rules keep them: those that are not whole
        or not healthy, then the oldest, but never the newest. Raises StorageError, Cancelled.
        """
        missing = self._missing(size)
        if missing <= 0:
            return Room()
        why, mine = f"{_told(missing)} of room are missing on the disk of the vault", _scheduled(heads)
        if self.rules is None or not mine:
            return Room(missing=why)
        try:
            deleted = self._free(mine, missing, is_well)
        except Cancelled:
            raise
        except CasvaultError as error:
            return Room(missing=f"{why}, and nothing could be freed: {error}")
        if not deleted:
            return Room(missing=f"{why}, and there is nothing to delete for it")
        missing = self._missing(size)
        return Room(deleted, None if missing <= 0 else f"{_told(missing)} of room are missing still")

    def _missing(self, size: int) -> int:
        """Return the bytes that lack for storing ``size`` bytes and leaving enough; what is stored may be as large."""
        if self.vault.path is None:
            return 0
        try:
            free = shutil.disk_usage(self.vault.path).free
        except OSError as error:
            raise StorageError(f"{os.fspath(self.vault.path)}: {error.strerror or error}.") from error
        return size + max(2 * size, _LEAST_FREE) - free

    def _free(self, heads: Sequence[Head], missing: int, is_well: Callable[[], bool]) -> int:
        """Delete as few as will do; return how many that were, 0 where all would not do."""
        with self.vault.locks.shared("watch"):
            self.vault.objects.forget()
            stored = account(self.vault)[0].stored_in_all()
        if stored < missing:
            return 0
        rules = Rules(max_bytes=stored - missing)
        plans = [plan_prune(self.vault, rules, among=ids, kinds=_KINDS) for ids in (_unsound(heads), _ids(heads))]
        if plans[0].excess_bytes == 0:
            gone = self._delete(plans[0]).goes
        elif plans[1].excess_bytes == 0 and is_well():
            gone = self._delete(plans[0]).goes
            gone += self._delete(plan_prune(self.vault, rules, among=_ids(heads), kinds=_KINDS)).goes
        else:
            return 0
        self._collect()
        return len(gone)

    def _delete(self, plan: PrunePlan) -> PrunePlan:
        self._owed.update(plan.goes)
        return prune(self.vault, plan)

    def _collect(self) -> None:
        if self._owed:
            collect(self.vault, only=set(self._owed), progress=self.progress)
            self._owed.clear()


def _scheduled(heads: Sequence[Head]) -> list[Head]:
    return [head for head in heads if head.kind in _KINDS]


def _ids(heads: Sequence[Head]) -> list[str]:
    return [head.id for head in heads]


def _unsound(heads: Sequence[Head]) -> list[str]:
    return [head.id for head in heads if not is_sound(head)]


def _told(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
