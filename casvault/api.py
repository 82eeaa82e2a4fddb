"""The Python interface: what ``import casvault`` offers.

Stable; every method does one operation of the same name and returns its result as a dataclass. A `Progress` that is
passed in is told how far it is, and can cancel it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from casvault.capture import Patience
from casvault.check import VerifyResult, verify
from casvault.delete import DeleteResult, delete, plan_delete, undelete
from casvault.diff import Diff, diff
from casvault.edit import Edit, edit
from casvault.errors import Cancelled, CasvaultError, NotFound
from casvault.export import ExportResult, export
from casvault.gc import GcResult, collect
from casvault.health.examine import Health, health
from casvault.importing import ImportPlan, ImportResult, plan_import, run_import
from casvault.manifest.manifest import Manifest
from casvault.manifest.stamp import Stamp
from casvault.models import Model, Trainer, find_again, find_trainers
from casvault.progress import Progress
from casvault.prune import PrunePlan, Rules, plan_prune, prune
from casvault.restore import (
    RestoreOptions,
    RestorePlan,
    RestoreResult,
    finish_interrupted,
    plan_restore,
    restore,
)
from casvault.restore.undo import plan_undo, undo
from casvault.snapshot import Annotation, SnapshotResult, take
from casvault.snapshot.status import Status, status
from casvault.thin import ThinResult, old_snapshots, plan_thin, thin, unthin
from casvault.usage.usage import Usage, usage
from casvault.vault.head import Head
from casvault.vault.places import all_in_place, models_at, only, place_of
from casvault.vault.references import heads_of_model, resolve_snapshot
from casvault.vault.vault import Vault as StoredVault
from casvault.vault.vault import open_vault
from casvault.watch import RETENTION, Event, Rhythm, Watcher
from casvault.watch.events import Hook

__all__ = ["Vault", "init", "open"]


def init(path: str | Path) -> Vault:
    """Make a vault in the folder ``path``, or take the one that is there, and open it.

    Raises UsageError for a folder that holds something else, or lies in a model's folder or a workspace.
    """
    StoredVault.create_at(Path(path))
    return open(path)


def open(path: str | Path, *, threads: int | None = None) -> Vault:
    """Open the vault in the folder ``path``; it works with ``threads`` threads, by default one per core.

    Raises NoVault, UnsupportedVault.
    """
    folder = Path(path).absolute()
    backend, config = open_vault(folder)
    return Vault(backend, config, folder, threads)


class Vault(StoredVault):
    """An open vault."""

    def snapshot(
        self,
        model: str | Path,
        *,
        name: str | None = None,
        notes: str | None = None,
        model_name: str | None = None,
        iteration: int | None = None,
        loss: Mapping[str, float] | None = None,
        meta: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        progress: Progress | None = None,
        read_all: bool = False,
        preview: str | Path | None = None,
    ) -> SnapshotResult:
        """Take a snapshot of ``model``: a file of it, its folder and name, a folder with one model, or any
        folder or file.

        ``model_name`` names one whose trainer is not known; ``iteration``, ``loss`` and ``meta`` are recorded
        for it. Waits for a whole save as ``patience`` says; ``read_all`` also reads files that look unchanged.
        ``preview`` is the file of a picture, a JPEG or a PNG, in place of the trainer's own.
        Raises NotFound, AmbiguousError, UsageError, IncompleteSave, NoSpace, StorageError, Locked.
        """
        self.finish_interrupted()
        annotation = Annotation(name, notes, iteration=iteration, loss=loss, meta=meta, preview=_path(preview))
        return self._take(only(model, self.models(model, model_name)), annotation, patience, progress, read_all)

    def snapshot_each(
        self,
        models: Sequence[Model],
        *,
        name: str | None = None,
        notes: str | None = None,
        iteration: int | None = None,
        loss: Mapping[str, float] | None = None,
        meta: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        progress: Progress | None = None,
        read_all: bool = False,
        preview: str | Path | None = None,
    ) -> tuple[list[SnapshotResult], dict[str, CasvaultError]]:
        """Take a snapshot of each of the ``models`` that `models` returned; return the results, and the errors
        by model.

        Raises the error where none was taken.
        """
        annotation = Annotation(name, notes, iteration=iteration, loss=loss, meta=meta, preview=_path(preview))
        results: list[SnapshotResult] = []
        failures: dict[str, CasvaultError] = {}
        for model in models:
            try:
                results.append(self._take(model, annotation, patience, progress, read_all))
            except Cancelled:
                raise
            except CasvaultError as error:
                failures[model.name] = error
        if not results:
            raise next(iter(failures.values()))
        return results, failures

    def _take(
        self,
        model: Model,
        annotation: Annotation,
        patience: Patience | None,
        progress: Progress | None,
        read_all: bool,
    ) -> SnapshotResult:
        return take(self, lambda: find_again(model), annotation, patience or Patience(), progress, read_all=read_all)

    def snapshots(self, model: str | None = None, *, deleted: bool = False) -> list[Head]:
        """Return the heads of all snapshots, oldest first, or of those of one model by its name or a path to it.

        With ``deleted`` of those instead that were deleted and that gc has not collected.
        """
        heads = [head for head in self.heads(deleted=deleted) if head.label.deleted == deleted]
        return heads if model is None else heads_of_model(heads, model, self.home)

    def find(self, reference: str) -> Head:
        """Return the snapshot that ``reference`` names; raises NotFound, AmbiguousError."""
        return resolve_snapshot(reference, self.heads())

    def show(self, reference: str) -> Manifest:
        """Return the whole manifest of a snapshot; raises NotFound, AmbiguousError, BadManifest."""
        return self.manifest(self.find(reference).id)

    def preview(self, reference: str) -> bytes | None:
        """Return the picture of a snapshot, None where it has none; `show` tells its media type.

        Raises NotFound, AmbiguousError, BadManifest, DamageError.
        """
        return self.picture(self.show(reference))

    def restore(
        self, reference: str, options: RestoreOptions | None = None, *, progress: Progress | None = None
    ) -> RestoreResult:
        """Bring a snapshot back, to where its model was or as ``options`` say, after an automatic backup of
        what is there.

        Raises NotFound, AmbiguousError, UsageError, IncompleteSave, TrainerRunning, NoSpace, DamageError,
        StorageError, Locked.
        """
        self.finish_interrupted()
        return restore(self, self.find(reference), options, progress)

    def plan_restore(self, reference: str, options: RestoreOptions | None = None) -> RestorePlan:
        """Return what `restore` would do, without doing it."""
        wanted = options or RestoreOptions()
        return plan_restore(self, self.find(reference), wanted.to, wanted.as_name, wanted.allow_incomplete)

    def undo(self, model: str | Path, *, force: bool = False, progress: Progress | None = None) -> RestoreResult:
        """Go back to what was in the place of ``model`` before the last restore, with ``force`` also where a trainer
        runs; raises NotFound and what `restore` raises.
        """
        self.finish_interrupted()
        return undo(self, place_of(self, model), progress, force=force)

    def plan_undo(self, model: str | Path) -> RestorePlan:
        """Return what `undo` would do, without doing it."""
        return plan_undo(self, place_of(self, model))

    def status(self, model: str | Path) -> Status:
        """Return how a live model stands to its snapshots; raises NotFound, AmbiguousError, StorageError."""
        return status(self, only(model, self.models(model)))

    def plan_import(self, folder: str | Path, *, source: str | Path | None = None) -> ImportPlan:
        """Return what `import_copies` would do, without doing it."""
        return plan_import(self, Path(folder), _path(source))

    def import_copies(
        self,
        folder: str | Path,
        *,
        source: str | Path | None = None,
        delete_originals: bool = False,
        progress: Progress | None = None,
    ) -> ImportResult:
        """Make snapshots of the copies of models in ``folder``: a trainer's backups, or folders with copies.

        ``source`` is the folder where the models are or were, None to find it out. ``delete_originals`` removes each
        folder of which every file is in a snapshot that was verified. Copies that fail are in the result. Raises
        NotFound, UsageError, StorageError, and where nothing could be imported what that failed with.
        """
        plan = plan_import(self, Path(folder), _path(source), progress)
        return run_import(self, plan, delete_originals=delete_originals, progress=progress)

    def trainers(self, model: str | Path) -> tuple[Trainer, ...] | None:
        """Return the processes that may be training ``model``; None where that cannot be known."""
        return find_trainers(only(model, self.models(model)))

    def verify(self, *, read_data: bool = False, progress: Progress | None = None) -> VerifyResult:
        """Check the vault; with ``read_data`` every stored byte. Never raises for damage: it is in the result."""
        return verify(self, read_data=read_data, progress=progress)

    def delete(self, *references: str, gc: bool = False) -> DeleteResult:
        """Delete snapshots, which `undelete` can undo until gc frees their space; with ``gc`` at once.

        Raises NotFound, AmbiguousError, UsageError for a pinned one, Locked, NoSpace, StorageError.
        """
        result = delete(self, [self._id(reference) for reference in references])
        if gc:
            self.gc()
        return result

    def plan_delete(self, *references: str) -> DeleteResult:
        """Return what `delete` would do, and what gc would free for it."""
        return plan_delete(self, [self._id(reference) for reference in references])

    def undelete(self, reference: str) -> Head:
        """Bring a deleted snapshot back; raises NotFound, also where gc has freed its space, AmbiguousError, Locked."""
        if Stamp.valid(reference):
            return undelete(self, reference)
        try:
            found = resolve_snapshot(reference, self.snapshots(deleted=True))
        except NotFound as error:
            raise NotFound(
                f"no deleted snapshot is called {reference!r}; `casvault list --deleted` shows those there are."
            ) from error
        return undelete(self, found.id)

    def gc(self, *, dry_run: bool = False, recode: bool = True, progress: Progress | None = None) -> GcResult:
        """Free what no snapshot needs, and ``recode`` what only props up deltas; with ``dry_run`` only tell.

        Raises Locked, DamageError where a manifest cannot be read, StorageError.
        """
        return collect(self, dry_run=dry_run, recoding=recode, progress=progress)

    def usage(self, *references: str) -> Usage:
        """Return what snapshots, models and the vault take, and what deleting the named ones together would free.

        Raises NotFound, AmbiguousError, DamageError where a manifest cannot be read, Locked, StorageError.
        """
        return usage(self, [self.find(reference).id for reference in references])

    def plan_prune(self, rules: Rules, *, model: str | None = None, include_manual: bool = False) -> PrunePlan:
        """Return which snapshots, of all or of one model, ``rules`` keep and why, and what `prune` would free.

        Raises UsageError without any rule, NotFound, DamageError, Locked, StorageError.
        """
        among = None if model is None else {head.id for head in self.snapshots(model)}
        return plan_prune(self, rules, among=among, include_manual=include_manual)

    def prune(
        self, rules: Rules, *, model: str | None = None, include_manual: bool = False, gc: bool = False
    ) -> PrunePlan:
        """Delete the snapshots that ``rules`` do not keep; raises what `plan_prune` raises, NoSpace."""
        plan = prune(self, self.plan_prune(rules, model=model, include_manual=include_manual))
        if gc:
            self.gc()
        return plan

    def thin(self, *references: str, gc: bool = False) -> ThinResult:
        """Let snapshots give up their optimizers; `unthin` can undo it until gc, not with ``gc``.

        Raises NotFound, AmbiguousError, UsageError for a pinned one and one without an optimizer, Locked, NoSpace.
        """
        result = thin(self, [self.find(reference).id for reference in references])
        if gc:
            self.gc()
        return result

    def plan_thin(self, *references: str) -> ThinResult:
        """Return what `thin` would do, and what gc would free for it."""
        return plan_thin(self, [self.find(reference).id for reference in references])

    def unthin(self, reference: str) -> Head:
        """Let a snapshot have back what it was thinned of; raises NotFound where gc has freed it, Locked."""
        return unthin(self, self.find(reference).id)

    def old_snapshots(self, older_than: timedelta, keep_last: int = 0) -> list[str]:
        """Return ids of snapshots older than so much that could be thinned, but for the last few of each model."""
        return old_snapshots(self, older_than, keep_last)

    def edit(
        self,
        reference: str,
        *,
        name: str | None = None,
        notes: str | None = None,
        pinned: bool | None = None,
        tag: Sequence[str] = (),
        untag: Sequence[str] = (),
    ) -> Head:
        """Change a snapshot's name, notes, tags, or pin; None leaves each as it is, an empty text takes it away.

        Raises NotFound, AmbiguousError, UsageError, Locked, NoSpace, StorageError.
        """
        return edit(self, self.find(reference).id, Edit(name, notes, pinned, tag, untag))

    def export(
        self,
        reference: str,
        path: str | Path,
        *,
        weights_only: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> ExportResult:
        """Write a snapshot to a zip file, with ``weights_only`` without optimizers.

        Raises NotFound, AmbiguousError, UsageError where something is there already, DamageError, NoSpace.
        """
        head = self.find(reference)
        return export(self, head, Path(path), weights_only=weights_only, overwrite=overwrite, progress=progress)

    def _id(self, reference: str) -> str:
        """Return the id that is meant, also of a snapshot whose manifest is damaged, which has nothing but its id."""
        return reference if Stamp.valid(reference) else self.find(reference).id

    def health(self, what: str | Path, *, progress: Progress | None = None) -> Health:
        """Examine a snapshot, or a live model, which a `Path` always means; what is wrong with it is in the result.

        Raises NotFound, AmbiguousError, IncompleteSave, DamageError, StorageError, Locked.
        """
        return health(self, what, progress)

    def diff(self, a: str | Path, b: str | Path, *, progress: Progress | None = None) -> Diff:
        """Return how ``b`` differs from ``a``, each a snapshot or a live model; raises what `health` raises."""
        return diff(self, a, b, progress)

    def watch(
        self,
        model: str | Path,
        *,
        model_name: str | None = None,
        rhythm: Rhythm | None = None,
        retention: Rules | None = RETENTION,
        poll: float = 5.0,
        command: str | None = None,
        tell: Callable[[Event], None] | None = None,
    ) -> Watcher:
        """Return a watch over ``model``: its ``run`` takes snapshots as ``rhythm`` says until ``stop`` is called.

        ``retention`` is applied to snapshots that a watch took, None keeps all. ``command`` is run for events, ``tell``
        is called with each. ``poll`` are the seconds between two looks.
        """
        return Watcher(
            self,
            model,
            model_name,
            (rhythm or Rhythm()).checked(),
            retention,
            poll,
            tell=tell or (lambda event: None),
            hook=Hook(command, str(self.path)) if command is not None else None,
        )

    def finish_interrupted(self) -> list[str]:
        """Finish restores into which a crash came; return a sentence for each."""
        return finish_interrupted(self)

    def models(self, model: str | Path, name: str | None = None) -> list[Model]:
        """Return the live models that ``model`` stands for: a path as for `snapshot`, or the name of a known one."""
        return models_at(self, model, name)

    def live_models(self) -> list[Model]:
        """Return the models that have snapshots and are in their places."""
        return all_in_place(self)


def _path(path: str | Path | None) -> Path | None:
    return Path(path) if path is not None else None
