"""Repair: damaged objects go to the quarantine, and chunks that are lost come back from whatever has the bytes.

It can be interrupted anywhere and done again. Objects are moved first: then what is damaged counts as absent, which any
snapshot of the same bytes heals as well. Then documents, since they tell what is needed; chunks last.

Owns the invariant that nothing is lost by a repair: what is moved gave nothing before, and is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from casvault.check import Damage, Hit
from casvault.check.examine import Fault, examine_all
from casvault.check.log import CheckLog
from casvault.check.verify import read_through
from casvault.errors import UnsupportedVault
from casvault.objects import ObjectName
from casvault.progress import Progress
from casvault.repair.documents import found_elsewhere, put_back
from casvault.repair.heal import Healer, Writer
from casvault.repair.quarantine import move_away
from casvault.repair.sources import offer_live, offer_remains, offer_vault, open_other
from casvault.vault.vault import Vault

__all__ = ["RepairResult", "plan_repair", "repair"]


@dataclass(frozen=True)
class RepairResult:
    """What a repair did, or with ``dry_run`` would do.

    ``hit`` are the files that could not be restored before, by snapshot. ``quarantined`` are names of objects, without
    their folder; ``healed`` digest -> what gave the bytes; ``lost`` what nothing gives. ``documents`` are the damaged
    manifests and labels that are left, name -> a sentence. ``unreadable`` says what cannot be read now, or only by a
    newer casvault.
    """

    hit: Mapping[str, tuple[str, ...]]
    quarantined: tuple[str, ...]
    healed: Mapping[str, str]
    lost: tuple[Hit, ...]
    documents_healed: tuple[str, ...]
    documents: Mapping[str, str]
    unreadable: tuple[str, ...]
    dry_run: bool = False
    faults: Mapping[ObjectName, Fault] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether every snapshot can be restored in the end."""
        return not (self.lost or self.documents or self.unreadable)

    @property
    def nothing_to_do(self) -> bool:
        """Whether there was nothing to move and nothing to heal."""
        return not (self.quarantined or self.healed or self.documents_healed)

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "hit": [{"snapshot": id, "files": list(files)} for id, files in sorted(self.hit.items())],
            "quarantined": list(self.quarantined),
            "healed": [{"digest": digest, "source": source} for digest, source in sorted(self.healed.items())],
            "lost": [{"digest": h.digest, "snapshots": list(h.snapshots), "files": list(h.files)} for h in self.lost],
            "documents_healed": list(self.documents_healed),
            "documents_damaged": [{"name": name, "told": told} for name, told in sorted(self.documents.items())],
            "unreadable": list(self.unreadable),
        }


def plan_repair(vault: Vault, source: Path | None = None, progress: Progress | None = None) -> RepairResult:
    """Read the whole vault, and what may heal it, and return what `repair` would do.

    ``source`` is another vault to heal from. Raises NoVault, UsageError, Locked, StorageError, Cancelled.
    """
    progress = progress or Progress()
    other = open_other(vault, source) if source is not None else None
    with vault.locks.shared("repair"):
        faults = _read(vault, progress)
        documents = found_elsewhere(vault, other, Damage(vault, faults).documents)
        manifests = {name: data for name, data in documents.items() if "." not in name[20:]}
        damage = Damage(vault, faults, manifests)
        healed, lost = _heal(damage, other, None, progress)
        moved = [name for name, fault in faults.items() if fault.damaged]
        return _result(damage, damage, healed, lost, moved, documents, dry_run=True)


def repair(
    vault: Vault, source: Path | None = None, progress: Progress | None = None, plan: RepairResult | None = None
) -> RepairResult:
    """Quarantine what is damaged, and heal what can be healed from live models, the vault itself, and ``source``.

    ``plan`` is what `plan_repair` just returned: then the vault is not read once more. Raises NoVault, UsageError,
    Locked, NoSpace, StorageError, DamageError where the disk does not keep what is written, Cancelled; whatever was
    done then, the next repair goes on.
    """
    progress = progress or Progress()
    other = open_other(vault, source) if source is not None else None
    with vault.locks.one("repair"):
        with vault.locks.shared("repair"):
            faults = plan.faults if plan is not None else _read(vault, progress)
            before = Damage(vault, faults)
        moved = move_away(vault, [name for name, fault in faults.items() if fault.damaged], progress)
        documents: dict[str, bytes] = {}
        if before.documents and other is not None:
            with vault.locks.one("labels"), vault.locks.shared("repair"):
                documents = found_elsewhere(vault, other, Damage(vault, {}).documents)
                put_back(vault, documents)
        with vault.locks.shared("repair"):
            vault.objects.forget()
            log = CheckLog(vault.backend)
            healed, _ = _heal(Damage(vault, _again(vault, faults, log)), other, log, progress)
            vault.objects.forget()
            after = Damage(vault, _again(vault, faults, log))
            log.save(after.objects)
            return _result(before, after, healed, after.lost, moved, documents, dry_run=False)


def _read(vault: Vault, progress: Progress) -> dict[ObjectName, Fault]:
    vault.objects.forget()
    every = list(vault.objects.every())
    return read_through(vault, every, every, CheckLog(vault.backend), progress)


def _again(vault: Vault, faults: Mapping[ObjectName, Fault], log: CheckLog) -> dict[ObjectName, Fault]:
    """Return what is wrong now with objects that something was wrong with: others may have written them anew."""
    suspects = {name.blob for name in faults}
    digests = {name.digest for name in faults}
    names = [name for digest in digests for name in vault.objects.encodings(digest) if name.blob in suspects]
    return examine_all(vault.objects, names, vault.threads, log, Progress())


def _heal(
    damage: Damage, other: Vault | None, log: CheckLog | None, progress: Progress
) -> tuple[dict[str, str], set[str]]:
    """Heal what is lost, the nearest source first; without a ``log`` only tell what could be.

    Return digest -> what gave the bytes, and the chunks that nothing gives.
    """
    if not damage.lost:
        return {}, set()
    with ExitStack() as stack:
        writer = None
        if log is not None:
            batch = stack.enter_context(damage.vault.backend.batch(damage.vault.threads))
            writer = Writer(damage.vault, batch, log)
        healer = Healer(damage, writer)
        _look_within(damage, healer, writer)
        if healer.lost:
            offer_live(damage, healer, progress)
        if healer.lost and other is not None:
            offer_vault(other, healer, progress)
        _look_within(damage, healer, writer)
        return healer.healed, healer.lost


def _look_within(damage: Damage, healer: Healer, writer: Writer | None) -> None:
    """Heal from what the vault has, as long as what was healed just now helps with something else."""
    while True:
        if writer is not None:
            writer.flush()
        before = len(healer.healed)
        if healer.lost:
            offer_remains(damage, healer)
            healer.look_within()
        if len(healer.healed) == before:
            return


def _result(
    before: Damage,
    after: Damage,
    healed: Mapping[str, str],
    lost: set[str],
    moved: list[ObjectName],
    documents: Mapping[str, bytes],
    *,
    dry_run: bool,
) -> RepairResult:
    return RepairResult(
        hit=before.files_of(before.lost) if before.lost else {},
        quarantined=tuple(sorted(name.blob.rpartition("/")[2] for name in moved)),
        healed=dict(healed),
        lost=tuple(after.hits(lost).values()) if lost else (),
        documents_healed=tuple(sorted(documents)),
        documents={
            name: str(error)
            for name, error in after.documents.items()
            if name not in documents and not isinstance(error, UnsupportedVault)
        },
        unreadable=(
            *(fault.told for fault in after.faults.values() if not fault.damaged and not fault.stranded),
            *(str(error) for error in after.documents.values() if isinstance(error, UnsupportedVault)),
        ),
        dry_run=dry_run,
        faults=before.faults,
    )
