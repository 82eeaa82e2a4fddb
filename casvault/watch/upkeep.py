"""Upkeep: what a watch deletes again, and how much room it leaves on the disk.

Owns the invariants that only snapshots that a watch took are deleted, that gc gives up nothing else for it, and that a
snapshot is only taken where max(2 x the model, 2 GB) stay free: a full disk would break the trainer's own save.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace

from casvault.errors import CasvaultError, StorageError
from casvault.gc import collect
from casvault.prune import PrunePlan, Rules, plan_prune, prune
from casvault.usage.usage import account
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["RETENTION", "Upkeep"]

RETENTION = Rules(last=6, hourly=24, daily=14, best=3)
"""What is kept of the snapshots that a watch took, unless something else is said."""

_LEAST_FREE = 2_000_000_000


@dataclass
class Upkeep:
    """Keeps the scheduled snapshots of one model within ``rules``, None for keeping all."""

    vault: Vault
    rules: Rules | None

    def tidy(self, heads: Sequence[Head]) -> PrunePlan | None:
        """Delete what the rules do not keep among ``heads`` and free its space; return what went, None for nothing.

        Raises Locked, DamageError, StorageError.
        """
        return self._prune(heads, self.rules) if self.rules is not None else None

    def make_room(self, heads: Sequence[Head], size: int) -> str | None:
        """See to it that a model of ``size`` bytes can be stored; say what is missing, None where there is room.

        Where there is none, the oldest scheduled snapshots go, though rules keep them. Raises StorageError.
        """
        missing = self._missing(size)
        if missing <= 0:
            return None
        try:
            with self.vault.locks.shared("watch"):
                needed = account(self.vault)[0].stored_in_all()
            rules = replace(self.rules or Rules(), max_bytes=max(0, needed - missing))
            self._prune(heads, rules)
        except CasvaultError as error:
            return f"{_told(missing)} of room are missing, and nothing could be freed: {error}"
        missing = self._missing(size)
        return f"{_told(missing)} of room are missing on the disk of the vault" if missing > 0 else None

    def _missing(self, size: int) -> int:
        """Return the bytes that lack for storing ``size`` bytes and leaving enough; what is stored may be as large."""
        if self.vault.path is None:
            return 0
        try:
            free = shutil.disk_usage(self.vault.path).free
        except OSError as error:
            raise StorageError(f"{os.fspath(self.vault.path)}: {error.strerror or error}.") from error
        return size + max(2 * size, _LEAST_FREE) - free

    def _prune(self, heads: Sequence[Head], rules: Rules) -> PrunePlan | None:
        ids = [head.id for head in heads]
        plan = plan_prune(self.vault, rules, among=ids, kinds=("scheduled",))
        if not plan.goes:
            return None
        done = prune(self.vault, plan)
        collect(self.vault, only=set(done.goes))
        return done


def _told(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
