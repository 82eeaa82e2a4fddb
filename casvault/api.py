"""The Python interface: what ``import casvault`` offers.

Stable; every method does one operation of the same name and returns its result as a dataclass. A `Progress` that is
passed in
is told how far it is, and can cancel it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from casvault.capture import Patience
from casvault.check import VerifyResult, verify
from casvault.errors import AmbiguousError, NotFound
from casvault.manifest.manifest import Manifest
from casvault.models import Model, generic_model, kind_named, resolve
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
from casvault.vault.references import heads_of_model, is_model_name, resolve_snapshot
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
    ) -> SnapshotResult:
        """Take a snapshot of ``model``: a file of it, its folder and name, a folder with one model, or any
        folder or file.

        ``model_name`` names one whose trainer is not known; ``iteration``, ``loss`` and ``meta`` are recorded
        for it. Waits for a whole
        save as ``patience`` says. Raises NotFound, AmbiguousError, UsageError, IncompleteSave, NoSpace,
        StorageError, Locked.
        """
        self.finish_interrupted()
        return self.snapshot_of(
            self.model(model, model_name),
            name=name,
            notes=notes,
            iteration=iteration,
            loss=loss,
            meta=meta,
            patience=patience,
            progress=progress,
        )

    def snapshot_of(
        self,
        model: Model,
        *,
        name: str | None = None,
        notes: str | None = None,
        iteration: int | None = None,
        loss: Mapping[str, float] | None = None,
        meta: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        progress: Progress | None = None,
    ) -> SnapshotResult:
        """Do what `snapshot` does for one of the models that `models` returned."""
        annotation = Annotation(name, notes, iteration=iteration, loss=loss, meta=meta)
        return take(self, lambda: _again(model), annotation, patience or Patience(), progress)

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
        return undo(self, self.place_of(model), progress)

    def plan_undo(self, model: str | Path) -> RestorePlan:
        """Return what `undo` would do, without doing it."""
        return plan_undo(self, self.place_of(model))

    def status(self, model: str | Path) -> Status:
        """Return how a live model stands to its snapshots; raises NotFound, AmbiguousError, StorageError."""
        return status(self, self.model(model))

    def verify(self, *, read_data: bool = False, progress: Progress | None = None) -> VerifyResult:
        """Check the vault; with ``read_data`` every stored byte. Never raises for damage: it is in the result."""
        return verify(self, read_data=read_data, progress=progress)

    def finish_interrupted(self) -> list[str]:
        """Finish restores into which a crash came; return a sentence for each."""
        return finish_interrupted(self)

    def models(self, model: str | Path, name: str | None = None) -> list[Model]:
        """Return the live models that ``model`` stands for: a path as for `snapshot`, or the name of one that was
        snapshotted.
        """
        path = Path(model)
        if isinstance(model, str) and not path.exists() and path.name == model:
            known = self.known_places(model)
            if known:
                found: list[Model] = []
                for place in known:
                    found += [one for one in resolve(place) if one not in found]
                return found
        return resolve(path, name)

    def model(self, model: str | Path, name: str | None = None) -> Model:
        """Return the one live model that ``model`` stands for; raises AmbiguousError where there are several."""
        return _only(model, self.models(model, name))

    def place_of(self, model: str | Path) -> Model:
        """Return the model, or where it was: also when nothing of it is left but what the vault knows."""
        try:
            return self.model(model)
        except NotFound:
            wanted = Path(model).absolute()
            for head in reversed(self.heads(deleted=True)):
                folder = self.home / head.source
                if wanted in (folder / head.model_name, folder) or is_model_name(str(model), head.model_name):
                    kind = str(head.document["model"]["kind"])
                    return Model(kind, head.model_name, head.model_type, folder, ())
            raise

    def known_places(self, name: str) -> list[Path]:
        """Return where the models called ``name`` are, as far as snapshots tell and something is there."""
        places = []
        for head in self.heads():
            if is_model_name(name, head.model_name):
                folder = self.home / head.source
                place = folder if head.document["model"]["kind"] == "generic" else folder / head.model_name
                if head.document["model"]["single"]:
                    place = next((folder / file.path for file in self.manifest(head.id).files), folder)
                if place not in places and folder.is_dir():
                    places.append(place)
        return places

    def live_models(self) -> list[Model]:
        """Return the models that have snapshots and are in their places."""
        found = []
        for name in sorted({head.model_name for head in self.heads()}):
            for place in self.known_places(name):
                try:
                    found += [model for model in resolve(place) if model not in found]
                except NotFound:
                    continue
        return found


def _again(model: Model) -> Model:
    """Look ``model`` up anew: a trainer replaces its files all the time."""
    if model.kind == "generic":
        place = model.folder / model.files[0].path if model.single else model.folder
        return generic_model(place, model.name)
    return next(iter(kind_named(model.kind).find(model.folder, model.name)), model)


def _only(typed: str | Path, found: Sequence[Model]) -> Model:
    if len(found) > 1:
        names = ", ".join(model.name for model in found)
        raise AmbiguousError(
            f"{typed} holds several models ({names}); say which, as in {found[0].folder / found[0].name}."
        )
    return found[0]
