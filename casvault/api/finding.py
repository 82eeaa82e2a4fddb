"""Finding: which snapshots and models there are, and what each is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from casvault.manifest.stamp import Stamp
from casvault.vault.head import Head
from casvault.vault.interrupted import pointers
from casvault.vault.references import heads_of_model, resolve_snapshot
from casvault.vault.vault import Vault as StoredVault

if TYPE_CHECKING:
    from casvault.manifest.manifest import Manifest
    from casvault.models import Model, Trainer
    from casvault.snapshot.status import Status

__all__ = ["Finding", "path_or_none"]


class Finding(StoredVault):
    """Finding: which snapshots and models there are, and what each is."""

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

    def status(self, model: str | Path | Model) -> Status:
        """Return how a live model stands to its snapshots; raises NotFound, AmbiguousError, StorageError."""
        from casvault.snapshot.status import status

        return status(self, self._model(model))

    def trainers(self, model: str | Path | Model) -> tuple[Trainer, ...] | None:
        """Return the processes that may be training ``model``; None where that cannot be known."""
        from casvault.models import find_trainers

        return find_trainers(self._model(model))

    def fingerprint(self, *models: Model) -> str:
        """Return a text that changes when a snapshot, a label or a file of ``models`` comes, goes or is written anew.

        Reads names and times only. Raises StorageError.
        """
        from casvault.vault.fingerprint import fingerprint

        return fingerprint(self, models)

    def finish_interrupted(self) -> list[str]:
        """Finish restores into which a crash came; return a sentence for each."""
        if not pointers(self):
            return []
        from casvault.restore.journal import finish_interrupted

        return finish_interrupted(self)

    def models(self, model: str | Path, name: str | None = None) -> list[Model]:
        """Return the live models that ``model`` stands for: a path as for `snapshot`, or the name of a known one."""
        from casvault.vault.places import models_at

        return models_at(self, model, name)

    def live_models(self) -> list[Model]:
        """Return the models that have snapshots and are in their places."""
        from casvault.vault.places import all_in_place

        return all_in_place(self)

    def _model(self, model: str | Path | Model) -> Model:
        from casvault.models import Model
        from casvault.vault.places import only

        return model if isinstance(model, Model) else only(model, self.models(model))

    def _id(self, reference: str) -> str:
        """Return the id that is meant, also of a snapshot whose manifest is damaged, which has nothing but its id."""
        return reference if Stamp.valid(reference) else self.find(reference).id


def path_or_none(path: str | Path | None) -> Path | None:
    """Return ``path`` as a Path, None as None."""
    return Path(path) if path is not None else None
