"""Usage: what each snapshot, each model and the whole vault take, exactly.

Owns the invariant that the figures add up: what is needed and what gc would free are together what lies in the folder
of objects, to the byte.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from casvault.errors import UnsupportedVault
from casvault.objects import HEADER_SIZE, ObjectGraph, ObjectName
from casvault.objects.store import OBJECTS
from casvault.usage.holdings import Holding, Holdings, HoldingsReader
from casvault.usage.ledger import Ledger
from casvault.vault.head import Head
from casvault.vault.heads import LABELS, SNAPSHOTS
from casvault.vault.vault import Vault

__all__ = ["Growth", "ModelUsage", "SnapshotUsage", "Survey", "Usage", "VaultUsage", "survey", "usage"]


@dataclass(frozen=True)
class Survey:
    """Everything in the folder of objects: ``objects``, ``husks`` too short to be one, ``unfinished`` bytes."""

    objects: tuple[ObjectName, ...]
    husks: tuple[ObjectName, ...]
    unfinished_bytes: int

    @property
    def stored_bytes(self) -> int:
        """Bytes of all of it."""
        return sum(name.size for name in (*self.objects, *self.husks)) + self.unfinished_bytes


@dataclass(frozen=True)
class SnapshotUsage:
    """One snapshot: ``unique_bytes`` are freed if it alone is deleted, ``shared_bytes`` others need as well."""

    head: Head
    logical_bytes: int
    unique_bytes: int
    shared_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {
            "id": self.head.id,
            "name": self.head.name,
            "model": self.head.model_name,
            "iteration": self.head.iteration,
            "created": self.head.created,
            "logical_bytes": self.logical_bytes,
            "unique_bytes": self.unique_bytes,
            "shared_bytes": self.shared_bytes,
        }


@dataclass(frozen=True)
class ModelUsage:
    """All snapshots of one model; ``unique_bytes`` are freed if all of them are deleted."""

    name: str
    snapshots: int
    logical_bytes: int
    stored_bytes: int
    unique_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {
            "name": self.name,
            "snapshots": self.snapshots,
            "logical_bytes": self.logical_bytes,
            "stored_bytes": self.stored_bytes,
            "unique_bytes": self.unique_bytes,
        }


@dataclass(frozen=True)
class VaultUsage:
    """The whole vault, in bytes.

    ``stored_bytes`` is all that lies in the folder of objects; ``reclaimable_bytes`` of it is freed by gc,
    ``base_bytes`` of it is kept only since deltas lean on it, and ``document_bytes`` (manifests and labels) come on
    top. ``picture_bytes`` are those of the pictures that snapshots carry, each counted as often as it is carried.
    ``saved_by_dedup`` are plain bytes that are held more than once; ``saved_by_coding`` is what chunks that stand
    alone take less than their plain bytes, ``saved_by_deltas`` the same of those that lean on others.
    """

    logical_bytes: int
    picture_bytes: int
    stored_bytes: int
    reclaimable_bytes: int
    objects: int
    saved_by_dedup: int
    saved_by_coding: int
    saved_by_deltas: int
    base_bytes: int
    document_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return dict(vars(self))


@dataclass(frozen=True)
class Growth:
    """What the snapshots up to one of them hold and take, in bytes; ``created`` is when that was taken."""

    created: str
    logical_bytes: int
    stored_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return dict(vars(self))


@dataclass(frozen=True)
class Usage:
    """What `usage` found; ``set_bytes`` is what deleting the ``chosen`` snapshots together would free.

    ``growth`` tells how it came about, of the snapshots that are there today.
    """

    vault: VaultUsage
    models: tuple[ModelUsage, ...]
    snapshots: tuple[SnapshotUsage, ...]
    chosen: tuple[str, ...]
    set_bytes: int
    growth: tuple[Growth, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            "vault": self.vault.to_json(),
            "models": [one.to_json() for one in self.models],
            "snapshots": [one.to_json() for one in self.snapshots],
            "chosen": {"ids": list(self.chosen), "frees_together_bytes": self.set_bytes},
            "growth": [one.to_json() for one in self.growth],
        }


def usage(vault: Vault, chosen: Sequence[str] = ()) -> Usage:
    """Return what everything takes, and what deleting the ``chosen`` ids would free; without any, of all.

    Raises DamageError where a manifest cannot be read, Locked, StorageError.
    """
    with vault.locks.shared("usage"):
        ledger, found = account(vault)
        documents = sum(entry.size for folder in (SNAPSHOTS, LABELS) for entry in vault.backend.list(folder))
    wanted = [h for h in ledger.holdings.snapshots if not chosen or h.id in chosen]
    return Usage(
        vault=_whole(ledger, found, documents),
        models=_models(ledger),
        snapshots=tuple(_snapshot(ledger, holding) for holding in wanted),
        chosen=tuple(holding.id for holding in wanted),
        set_bytes=ledger.frees(holding.id for holding in wanted),
        growth=_growth(ledger),
    )


def account(vault: Vault, only: Collection[str] | None = None) -> tuple[Ledger, Survey]:
    """Return the ledger of a vault and what lies in it, for who holds the vault's lock; raises DamageError."""
    holdings = HoldingsReader(vault).read(only)
    check_decided(holdings)
    found = survey(vault)
    return Ledger(holdings, ObjectGraph(found.objects, holdings.held())), found


def check_decided(holdings: Holdings) -> None:
    """Refuse to tell garbage from what is needed while a manifest cannot be read; raises its error."""
    for id, error in holdings.undecided.items():
        way = "" if isinstance(error, UnsupportedVault) else f"; heal it, or give it up with `casvault delete {id}`"
        raise type(error)(f"{error} So what snapshot {id} needs is not known{way}.") from error


def survey(vault: Vault) -> Survey:
    """Return everything that lies in the folder of objects; raises StorageError."""
    every = list(vault.objects.every(husks=True))
    unfinished = sum(
        entry.size for folder in (OBJECTS, *vault.objects.folders()) for entry in vault.backend.unfinished(folder)
    )
    return Survey(
        tuple(name for name in every if name.size > HEADER_SIZE),
        tuple(name for name in every if name.size <= HEADER_SIZE),
        unfinished,
    )


def _whole(ledger: Ledger, found: Survey, documents: int) -> VaultUsage:
    plain: dict[str, int] = {}
    for holding in ledger.holdings.snapshots:
        plain.update(holding.chunks)
    saved = {True: 0, False: 0}
    for digest, size in plain.items():
        chosen = ledger.graph.chosen.get(digest)
        if chosen is not None:
            saved[chosen.base is not None] += size - chosen.size
    logical = sum(holding.logical_bytes for holding in ledger.holdings.snapshots)
    pictures = sum(holding.picture_bytes for holding in ledger.holdings.snapshots)
    stored = found.stored_bytes
    return VaultUsage(
        logical_bytes=logical,
        picture_bytes=pictures,
        stored_bytes=stored,
        reclaimable_bytes=stored - ledger.stored_in_all(),
        objects=len(found.objects),
        saved_by_dedup=logical + pictures - sum(plain.values()),
        saved_by_coding=saved[False],
        saved_by_deltas=saved[True],
        base_bytes=ledger.leaned_bytes(),
        document_bytes=documents,
    )


def _models(ledger: Ledger) -> tuple[ModelUsage, ...]:
    groups: dict[str, list[Holding]] = {}
    for holding in ledger.holdings.snapshots:
        groups.setdefault(holding.head.model_name, []).append(holding)
    found = []
    for name, group in sorted(groups.items()):
        ids = [holding.id for holding in group]
        logical = sum(holding.logical_bytes for holding in group)
        found.append(ModelUsage(name, len(group), logical, ledger.stored(ids), ledger.frees(ids)))
    return tuple(found)


def _snapshot(ledger: Ledger, holding: Holding) -> SnapshotUsage:
    unique = ledger.frees([holding.id])
    return SnapshotUsage(holding.head, holding.logical_bytes, unique, ledger.stored([holding.id]) - unique)


def _growth(ledger: Ledger) -> tuple[Growth, ...]:
    logical, points = 0, []
    for holding, stored in zip(ledger.holdings.snapshots, ledger.stored_up_to(), strict=True):
        logical += holding.logical_bytes
        points.append(Growth(holding.head.created, logical, stored))
    return tuple(points)
