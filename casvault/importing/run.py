"""The import: one copy after another becomes a snapshot, each with the one before as its parent.

Owns the invariants that the snapshots of a model's copies make one line, and that a copy which changed since it was
looked at is not taken for what it was.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from casvault.capture import Patience
from casvault.errors import Cancelled, CasvaultError, IncompleteSave, NoSpace, UsageError
from casvault.files.identity import FileIdentity
from casvault.importing.originals import remove_original
from casvault.importing.plan import Candidate, ImportPlan
from casvault.manifest.label import check_name
from casvault.models import Model, kind_named
from casvault.progress import Progress
from casvault.snapshot import Annotation, SnapshotResult, take_held
from casvault.snapshot.origin import Origin
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["ImportResult", "run_import"]


@dataclass
class ImportResult:
    """What an import did.

    ``imported`` are the copies that became snapshots; ``there`` those that were snapshots already; ``failed`` folders
    with the reason. ``removed`` are the originals that are gone, ``kept`` those that should have gone, with the reason.
    """

    imported: list[tuple[Candidate, SnapshotResult]] = field(default_factory=list)
    there: list[tuple[Candidate, Head]] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    empty: tuple[Path, ...] = ()
    removed: list[Path] = field(default_factory=list)
    kept: dict[Path, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def logical_bytes(self) -> int:
        """Plain bytes of what became snapshots."""
        return sum(result.head.size for _, result in self.imported)

    @property
    def stored_bytes_added(self) -> int:
        """What their objects take that were not in the vault before."""
        return sum(result.stored_bytes_added for _, result in self.imported)

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            "imported": [
                {**result.to_json(), "folder": str(candidate.copy.folder)} for candidate, result in self.imported
            ],
            "there": [{"folder": str(one.copy.folder), "snapshot": head.id} for one, head in self.there],
            "failed": [{"folder": str(place), "reason": why} for place, why in self.failed.items()],
            "empty": [str(place) for place in self.empty],
            "removed": [str(place) for place in self.removed],
            "kept": [{"folder": str(place), "reason": why} for place, why in self.kept.items()],
            "logical_bytes": self.logical_bytes,
            "stored_bytes_added": self.stored_bytes_added,
            "seconds": round(self.seconds, 3),
        }


def run_import(
    vault: Vault, plan: ImportPlan, *, delete_originals: bool = False, progress: Progress | None = None
) -> ImportResult:
    """Make a snapshot of each copy that the plan is to import; with ``delete_originals`` remove each folder of which
    every file is in a snapshot that was verified.

    What fails is in the result. Raises the error where nothing was imported and nothing was there, and Cancelled.
    """
    begun, progress = time.monotonic(), progress or Progress()
    result = ImportResult(failed=dict(plan.unreadable), empty=plan.empty)
    line = _Line(vault)
    error: CasvaultError | None = None
    for candidate in plan.candidates:
        if isinstance(error, NoSpace):
            result.failed[candidate.copy.folder] = "the disk was full before it came to this one."
            continue
        try:
            _import(vault, candidate, line, result, progress)
        except Cancelled:
            raise
        except CasvaultError as caught:
            error = caught
            result.failed[candidate.copy.folder] = str(caught)
    if not result.imported and not result.there and result.failed:
        place, why = next(iter(result.failed.items()))
        kind = type(error) if error is not None else IncompleteSave
        raise kind(f"none of {len(result.failed)} copies could be imported; {place}: {why}")
    if delete_originals:
        _remove(vault, plan, result, progress)
    result.seconds = time.monotonic() - begun
    return result


class _Line:
    """The newest snapshot of the copies of each model so far."""

    def __init__(self, vault: Vault) -> None:
        self._imported = [head for head in vault.heads() if head.kind == "imported"]
        self._newest: dict[tuple[str, str], str] = {}

    def before(self, candidate: Candidate, source: str) -> str | None:
        """Return the snapshot of the copy before, of this import or of an earlier one."""
        name = candidate.copy.name
        if (name, source) in self._newest:
            return self._newest[name, source]
        mine = [head for head in self._imported if (head.model_name, head.source) == (name, source)]
        older = [head for head in mine if (head.saved_at or "") <= (candidate.saved_at or "")]
        return max(older, key=lambda head: (head.saved_at or "", head.id)).id if older else None

    def append(self, candidate: Candidate, source: str, id: str) -> None:
        self._newest[candidate.copy.name, source] = id


def _import(vault: Vault, candidate: Candidate, line: _Line, result: ImportResult, progress: Progress) -> None:
    source = vault.source_of(candidate.copy.home)
    if candidate.problem is not None:
        raise IncompleteSave(candidate.problem)
    if candidate.existing is not None:
        line.append(candidate, source, candidate.existing.id)
        result.there.append((candidate, candidate.existing))
        return
    origin = Origin(candidate.copy.name, source, line.before(candidate, source))
    key = vault.live_key(candidate.copy.model)
    with vault.locks.model(key, "import"), vault.locks.shared("import"):
        taken = take_held(
            vault, lambda: _unchanged(candidate), _annotation(vault, candidate, origin), Patience(0.0), progress
        )
    line.append(candidate, source, taken.id)
    result.imported.append((candidate, taken))


def _unchanged(candidate: Candidate) -> Model:
    """Look the copy up; raises IncompleteSave where it is not what it was: a trainer moves its backups on."""
    copy = candidate.copy.model
    model = next(iter(kind_named(copy.kind).find(copy.folder, copy.name)), replace(copy, files=()))
    if {file.path: FileIdentity.at(model.folder / file.path) for file in model.files} != candidate.files:
        raise IncompleteSave("it changed since it was looked at; import once more.")
    return model


def _annotation(vault: Vault, candidate: Candidate, origin: Origin) -> Annotation:
    notes, folder = candidate.notes, candidate.copy.folder
    meta = {"imported_from": vault.source_of(folder)}
    if notes.created is not None:
        meta["created"] = notes.created
    return Annotation(
        name=notes.name or (_called(folder) if candidate.copy.number is None else None),
        notes=notes.notes,
        kind="imported",
        meta={key: "".join(letter if letter.isprintable() else "?" for letter in text) for key, text in meta.items()},
        origin=origin,
    )


def _called(folder: Path) -> str | None:
    """Return the folder's name as that of its snapshot: people say there what they kept the copy for."""
    try:
        return check_name(folder.name)
    except UsageError:
        return None


def _remove(vault: Vault, plan: ImportPlan, result: ImportResult, progress: Progress) -> None:
    held: dict[Path, list[tuple[Candidate, Head]]] = {candidate.copy.folder: [] for candidate in plan.candidates}
    for candidate, head in [*((one, taken.head) for one, taken in result.imported), *result.there]:
        held[candidate.copy.folder].append((candidate, head))
    for folder, snapshots in held.items():
        if folder in result.failed:
            result.kept[folder] = "it could not be imported."
            continue
        try:
            remove_original(vault, folder, snapshots, progress)
            result.removed.append(folder)
        except Cancelled:
            raise
        except CasvaultError as error:
            result.kept[folder] = str(error)
