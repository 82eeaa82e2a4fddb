"""Restoring: snapshots back into place, elsewhere, or into a zip file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from casvault.api.finding import Finding, path_or_none
from casvault.progress import Progress

if TYPE_CHECKING:
    from casvault.export import ExportResult
    from casvault.restore import RestoreOptions, RestorePlan, RestoreResult, SalvageResult

__all__ = ["Restoring"]


class Restoring(Finding):
    """Restoring: snapshots back into place, elsewhere, or into a zip file."""

    def restore(
        self, reference: str, options: RestoreOptions | None = None, *, progress: Progress | None = None
    ) -> RestoreResult:
        """Bring a snapshot back, to where its model was or as ``options`` say, after an automatic backup of
        what is there.

        Raises NotFound, AmbiguousError, UsageError, IncompleteSave, TrainerRunning, NoSpace, DamageError,
        StorageError, Locked.
        """
        from casvault.restore import restore

        self.finish_interrupted()
        return restore(self, self.find(reference), options, progress)

    def plan_restore(self, reference: str, options: RestoreOptions | None = None) -> RestorePlan:
        """Return what `restore` would do, without doing it."""
        from casvault.restore import RestoreOptions, plan_restore

        wanted = options or RestoreOptions()
        return plan_restore(self, self.find(reference), wanted.to, wanted.as_name, wanted.allow_incomplete)

    def undo(self, model: str | Path, *, force: bool = False, progress: Progress | None = None) -> RestoreResult:
        """Go back to what was in the place of ``model`` before the last restore, with ``force`` also where a trainer
        runs; raises NotFound and what `restore` raises.
        """
        from casvault.restore.undo import undo
        from casvault.vault.places import place_of

        self.finish_interrupted()
        return undo(self, place_of(self, model), progress, force=force)

    def plan_undo(self, model: str | Path) -> RestorePlan:
        """Return what `undo` would do, without doing it."""
        from casvault.restore.undo import plan_undo
        from casvault.vault.places import place_of

        return plan_undo(self, place_of(self, model))

    def salvage(
        self,
        reference: str,
        to: str | Path | None,
        *,
        as_name: str | None = None,
        progress: Progress | None = None,
    ) -> SalvageResult:
        """Write the files of a snapshot that are whole to the folder ``to``, which is new or empty; leave out others.

        Raises NotFound, AmbiguousError, UsageError for a place that it cannot be, DamageError where no file is whole,
        NoSpace, StorageError, Locked.
        """
        from casvault.restore import salvage

        return salvage(self, self.find(reference), path_or_none(to), as_name, progress)

    def plan_salvage(
        self,
        reference: str,
        to: str | Path | None,
        *,
        as_name: str | None = None,
        progress: Progress | None = None,
    ) -> SalvageResult:
        """Return what `salvage` would do, without doing it; reads the whole snapshot."""
        from casvault.restore import plan_salvage

        return plan_salvage(self, self.find(reference), path_or_none(to), as_name, progress)

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
        from casvault.export import export

        head = self.find(reference)
        return export(self, head, Path(path), weights_only=weights_only, overwrite=overwrite, progress=progress)
