"""The Python interface: what ``import casvault`` offers.

Stable; every method does one operation of the same name and returns its result as a dataclass. A `Progress` that is
passed in is told how far it is, and can cancel it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from casvault.capture import Patience
from casvault.check import VerifyResult, verify
from casvault.diff import Diff, diff
from casvault.errors import Cancelled, CasvaultError
from casvault.health.examine import Health, health
from casvault.manifest.manifest import Manifest
from casvault.models import Model, find_again
from casvault.progress import Progress
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
from casvault.vault.head import Head
from casvault.vault.places import all_in_place, models_at, only, place_of
from casvault.vault.references import heads_of_model, resolve_snapshot
from casvault.vault.vault import Vault as StoredVault
from casvault.vault.vault import open_vault

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
    ) -> SnapshotResult:
        """Take a snapshot of ``model``: a file of it, its folder and name, a folder with one model, or any
        folder or file.

        ``model_name`` names one whose trainer is not known; ``iteration``, ``loss`` and ``meta`` are recorded
        for it. Waits for a whole save as ``patience`` says; ``read_all`` also reads files that look unchanged.
        Raises NotFound, AmbiguousError, UsageError, IncompleteSave, NoSpace, StorageError, Locked.
        """
        self.finish_interrupted()
        annotation = Annotation(name, notes, iteration=iteration, loss=loss, meta=meta)
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
    ) -> tuple[list[SnapshotResult], dict[str, CasvaultError]]:
        """Take a snapshot of each of the ``models`` that `models` returned; return the results, and the errors
        by model.

        Raises the error where none was taken.
        """
        annotation = Annotation(name, notes, iteration=iteration, loss=loss, meta=meta)
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

    def snapshots(self, model: str | None = None) -> list[Head]:
        """Return the heads of all snapshots, oldest first, or of those of one model by its name or a path to it."""
        heads = self.heads()
        return heads if model is None else heads_of_model(heads, model, self.home)

    def find(self, reference: str) -> Head:
        """Return the snapshot that ``reference`` names; raises NotFound, AmbiguousError."""
        return resolve_snapshot(reference, self.heads())

    def show(self, reference: str) -> Manifest:
        """Return the whole manifest of a snapshot; raises NotFound, AmbiguousError, BadManifest."""
        return self.manifest(self.find(reference).id)

    def restore(
        self, reference: str, options: RestoreOptions | None = None, *, progress: Progress | None = None
    ) -> RestoreResult:
        """Bring a snapshot back, to where its model was or as ``options`` say, after an automatic backup of
        what is there.

        Raises NotFound, AmbiguousError, UsageError, IncompleteSave, NoSpace, DamageError, StorageError, Locked.
        """
        self.finish_interrupted()
        return restore(self, self.find(reference), options, progress)

    def plan_restore(self, reference: str, options: RestoreOptions | None = None) -> RestorePlan:
        """Return what `restore` would do, without doing it."""
        wanted = options or RestoreOptions()
        return plan_restore(self, self.find(reference), wanted.to, wanted.as_name, wanted.allow_incomplete)

    def undo(self, model: str | Path, *, progress: Progress | None = None) -> RestoreResult:
        """Go back to what was in the place of ``model`` before the last restore; raises NotFound and what `restore`
        raises.
        """
        self.finish_interrupted()
        return undo(self, place_of(self, model), progress)

    def plan_undo(self, model: str | Path) -> RestorePlan:
        """Return what `undo` would do, without doing it."""
        return plan_undo(self, place_of(self, model))

    def status(self, model: str | Path) -> Status:
        """Return how a live model stands to its snapshots; raises NotFound, AmbiguousError, StorageError."""
        return status(self, only(model, self.models(model)))

    def verify(self, *, read_data: bool = False, progress: Progress | None = None) -> VerifyResult:
        """Check the vault; with ``read_data`` every stored byte. Never raises for damage: it is in the result."""
        return verify(self, read_data=read_data, progress=progress)

    def health(self, what: str | Path, *, progress: Progress | None = None) -> Health:
        """Examine a snapshot, or a live model, which a `Path` always means; what is wrong with it is in the result.

        Raises NotFound, AmbiguousError, IncompleteSave, DamageError, StorageError, Locked.
        """
        return health(self, what, progress)

    def diff(self, a: str | Path, b: str | Path, *, progress: Progress | None = None) -> Diff:
        """Return how ``b`` differs from ``a``, each a snapshot or a live model; raises what `health` raises."""
        return diff(self, a, b, progress)

    def finish_interrupted(self) -> list[str]:
        """Finish restores into which a crash came; return a sentence for each."""
        return finish_interrupted(self)

    def models(self, model: str | Path, name: str | None = None) -> list[Model]:
        """Return the live models that ``model`` stands for: a path as for `snapshot`, or the name of a known one."""
        return models_at(self, model, name)

    def live_models(self) -> list[Model]:
        """Return the models that have snapshots and are in their places."""
        return all_in_place(self)
