"""The restore: stage, back up, journal, put in place.

Owns the invariants that the target is wholly old or wholly new, that a backup of what was there is durable before the
first byte changes, and that other models in the folder are never touched. Why a journal and renames of single files and
not one rename of a folder: docs/decisions/0004-restore-by-journal.md.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from casvault.capture import Patience
from casvault.errors import DamageError, NoSpace, StorageError, TrainerRunning
from casvault.files.identity import FileIdentity, is_plain_folder
from casvault.models import Model, ModelFile, generic_model, kind_named
from casvault.progress import Progress
from casvault.restore.journal import Journal, Step, Workplace, discard_interrupted, finish_interrupted
from casvault.restore.plan import RestorePlan, find_target, plan_restore
from casvault.restore.stage import stage_files
from casvault.restore.trained import check_not_trained, saved_meanwhile, trainers_of
from casvault.snapshot import Annotation, take_held
from casvault.vault.head import Head
from casvault.vault.live import LiveRecord
from casvault.vault.vault import Vault

__all__ = ["RestoreOptions", "RestoreResult", "restore"]

_MARGIN = 16 << 20
"""Bytes that must stay free beside what is written."""
_TRIES = 5
"""How often a restore that is to go over a running trainer is prepared anew, when a save comes in between."""


@dataclass(frozen=True)
class RestoreOptions:
    """Where to (None: where the model was), under which name, and whether to back up what is there first.

    ``allow_incomplete``: also restore a snapshot that holds an incomplete save. ``force``: also where a trainer runs.
    """

    to: Path | None = None
    as_name: str | None = None
    backup: bool = True
    allow_incomplete: bool = False
    force: bool = False


@dataclass(frozen=True)
class RestoreResult:
    """What a restore did. ``backup`` is the snapshot that holds what was there before, None where nothing was or none
    was wanted.
    """

    plan: RestorePlan
    backup: Head | None
    backup_existed: bool
    seconds: float

    @property
    def model_path(self) -> Path:
        """The model as it is typed: for `casvault undo`."""
        live, manifest = self.plan.live, self.plan.manifest
        if live.kind == "generic":
            return live.folder / manifest.files[0].path if manifest.single and manifest.files else live.folder
        return live.folder / live.name

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            **self.plan.to_json(),
            "backup": self.backup.to_json() if self.backup is not None else None,
            "backup_existed": self.backup_existed,
            "seconds": round(self.seconds, 3),
        }


def restore(
    vault: Vault,
    head: Head,
    options: RestoreOptions | None = None,
    progress: Progress | None = None,
) -> RestoreResult:
    """Bring snapshot ``head`` back.

    Raises what planning raises, TrainerRunning, NoSpace, DamageError, StorageError; then the target is as it was, or,
    after the journal was written, the next command finishes the restore.
    """
    options, progress = options or RestoreOptions(), progress or Progress()
    begun = time.monotonic()
    key = vault.live_key(find_target(vault, vault.manifest(head.id), options.to, options.as_name))
    with vault.locks.model(key, "restore"):
        finish_interrupted(vault, only=key, held=True)
        for left in reversed(range(_TRIES if options.force else 1)):
            plan = plan_restore(vault, head, options.to, options.as_name, options.allow_incomplete, progress)
            if plan.nothing_to_do:
                _remember(vault, plan)
                discard_interrupted(vault, plan.live)
                return RestoreResult(plan, None, False, time.monotonic() - begun)
            if not options.force:
                plan.check_not_trained()
            try:
                with vault.locks.shared("restore"):
                    vault.objects.forget()
                    backup, existed = _restore(vault, plan, options, progress)
            except TrainerRunning:
                # A save came in between, which the backup does not hold.
                if not left:
                    raise
                continue
            return RestoreResult(plan, backup, existed, time.monotonic() - begun)
    raise AssertionError("unreachable")


def _restore(vault: Vault, plan: RestorePlan, options: RestoreOptions, progress: Progress) -> tuple[Head | None, bool]:
    _check_space(vault, plan, options.backup)
    place = Workplace.begin(vault, plan.folder, vault.live_key(plan.live))
    try:
        staged = _stage(vault, plan, place, progress)
        backup, existed = _backup(vault, plan, progress) if options.backup else (None, False)
        progress.check()
        if not options.force:
            # Once more: staging a large model takes long enough to start a trainer.
            check_not_trained(plan.live.name, trainers_of(vault, plan.live))
        if existed and not _is_kept(vault, backup):
            # Somebody gave it up meanwhile.
            backup, existed = _backup(vault, plan, progress)
        _check_unchanged(plan)
        place.seal(journal := _journal(vault, plan, staged, place, backup))
    except OSError as error:
        place.clear()
        raise StorageError(f"cannot write to {plan.folder}: {error.strerror}; nothing was changed.") from error
    except BaseException:
        place.clear()
        raise
    try:
        place.check(journal)
    except DamageError as error:
        place.clear()
        raise saved_meanwhile(plan.live.name) from error
    try:
        try:
            place.complete(journal)
        except KeyboardInterrupt:
            # Too late to stop: every step can be repeated, and a few renames are all that is left.
            place.complete(journal)
            raise
    except OSError as error:
        raise StorageError(
            f"the restore into {plan.folder} was interrupted ({error.filename}: {error.strerror}); "
            "close what uses the file, and any casvault command on this vault finishes it."
        ) from error
    discard_interrupted(vault, plan.live)
    return backup, existed


def _stage(vault: Vault, plan: RestorePlan, place: Workplace, progress: Progress) -> dict[str, str]:
    """Build every file that changes; return path -> name in the workplace."""
    progress.start("restoring", plan.staged_bytes)
    staged = {}
    files = []
    for number, change in enumerate(plan.changes):
        if change.entry is not None and change.action in ("add", "replace"):
            staged[change.path] = f"files/{number}"
            files.append((change.entry, place.path / staged[change.path]))
    try:
        stage_files(vault, files, progress)
    except DamageError as error:
        raise type(error)(
            f"{plan.head.title!r} cannot be restored: {error} Nothing was changed; "
            "`casvault verify --read-data` tells which snapshots are hit, `casvault repair` heals what can be healed."
        ) from error
    place.sync()
    progress.finish()
    return staged


def _is_kept(vault: Vault, head: Head | None) -> bool:
    """Tell whether a snapshot is there still, with all its files."""
    found = next((one for one in vault.heads() if head is not None and one.id == head.id), None)
    return found is not None and not found.label.thinned


def _backup(vault: Vault, plan: RestorePlan, progress: Progress) -> tuple[Head | None, bool]:
    """Store what is there now, whole or not; return its snapshot and whether that existed before."""
    if not plan.live.files and not plan.live.leftovers:
        return None, False
    iteration = f" (iter {plan.head.iteration:,})" if plan.head.iteration is not None else ""
    name = f"Before restoring '{plan.head.title}'{iteration}"[:200]
    patience = Patience(0.0, allow_incomplete=True)
    try:
        result = take_held(vault, _finder(plan.live), Annotation(name, kind="auto-backup"), patience, progress)
    except NoSpace as error:
        size = sum(change.old.size for change in plan.changes if change.old is not None)
        raise NoSpace(
            f"there is no room for the automatic backup of up to {size:,} bytes; "
            "free some, or go without with --no-backup."
        ) from error
    return result.head, result.existing


def _finder(live: Model) -> Callable[[], Model]:
    """Return a function that looks the live model up, its temporary files included, since the restore removes those."""

    def find() -> Model:
        if live.kind == "generic":
            if live.single and not live.files:
                return live
            path = live.folder / live.files[0].path if live.single else live.folder
            return replace(generic_model(path), name=live.name)
        model = next(iter(kind_named(live.kind).find(live.folder, live.name)), live)
        extra = [ModelFile(path, path[len(live.name) + 1 :]) for path in model.leftovers]
        return replace(model, files=(*model.files, *extra), leftovers=())

    return find


def _check_unchanged(plan: RestorePlan) -> None:
    """Raise TrainerRunning where a file is not what was compared and backed up, or there is one more."""
    for change in plan.changes:
        path = plan.folder / change.path
        if change.action == "add" and is_plain_folder(path):
            continue
        if FileIdentity.at(path) != change.old:
            raise saved_meanwhile(plan.live.name, change.path)
    known = {change.path for change in plan.changes}
    for file in _finder(plan.live)().files:
        if file.path not in known:
            raise saved_meanwhile(plan.live.name, file.path)


def _journal(vault: Vault, plan: RestorePlan, staged: dict[str, str], place: Workplace, backup: Head | None) -> Journal:
    kind = kind_named(plan.manifest.model_kind)
    last = kind.path_of(kind.last_role, plan.live.name) if kind.last_role is not None else None
    steps = []
    for change in plan.changes:
        old = (change.old.size, change.old.mtime_ns) if change.old is not None else None
        if change.entry is not None and change.path in staged:
            # What stat says of it, since a file system may keep times coarser than they were recorded.
            made = FileIdentity.at(place.path / staged[change.path])
            new = (made.size, made.mtime_ns) if made is not None else None
            steps.append(Step(change.path, staged[change.path], old, new))
        elif change.action == "remove":
            steps.append(Step(change.path, None, old, None))
        elif change.path == last:
            # Right already; it still goes aside and comes back, so that the model cannot be started in between.
            steps.append(Step(change.path, "aside/0", old, old))
    return Journal(vault.live_key(plan.live), plan.head.id, backup.id if backup else None, last, tuple(steps))


def _check_space(vault: Vault, plan: RestorePlan, backup: bool) -> None:
    target = next(folder for folder in (plan.folder, *plan.folder.parents) if folder.is_dir())
    live = sum(change.old.size for change in plan.changes if change.old is not None) if backup else 0
    try:
        free = shutil.disk_usage(target).free
    except OSError as error:
        raise StorageError(f"cannot tell how much room {target} has: {error.strerror}.") from error
    if free < plan.staged_bytes + _MARGIN:
        raise NoSpace(
            f"restoring needs {plan.staged_bytes:,} bytes in {target} and {_MARGIN:,} to spare, "
            f"where {free:,} are free; nothing was changed."
        )
    same_disk = vault.path is not None and vault.path.stat().st_dev == target.stat().st_dev
    room = shutil.disk_usage(vault.path).free if vault.path is not None else live
    if room < live + (plan.staged_bytes if same_disk else 0) + _MARGIN and not _is_stored(vault, plan):
        raise NoSpace(
            f"the automatic backup may need {live:,} bytes beside what is restored, and {_MARGIN:,} to spare, where "
            f"{room:,} are free; "
            "free some, or go without with --no-backup. Nothing was changed."
        )


def _is_stored(vault: Vault, plan: RestorePlan) -> bool:
    """Tell whether a snapshot of what is there now is likely to exist, so that its backup costs nothing."""
    sizes = sum(change.old.size for change in plan.changes if change.old is not None)
    return any(head.size == sizes and head.model_name == plan.live.name for head in vault.heads())


def _remember(vault: Vault, plan: RestorePlan) -> None:
    """Remember what is in place, where a restore had nothing to do; what `undo` goes back to stays."""
    key = vault.live_key(plan.live)
    before = vault.live(key)
    record = LiveRecord(
        plan.head.id,
        restored=True,
        backup=before.backup if before is not None else None,
        place=plan.folder.stat().st_ino,
    )
    vault.remember(key, record, durable=True)
