"""Taking: snapshots of live models and of copies, one at a time or as a watch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from casvault.api.finding import Finding, path_or_none
from casvault.errors import Cancelled, CasvaultError
from casvault.progress import Progress
from casvault.prune.rules import RETENTION, Rules

if TYPE_CHECKING:
    from casvault.capture import Patience
    from casvault.importing import ImportPlan, ImportResult
    from casvault.models import Model
    from casvault.snapshot import Annotation, SnapshotResult
    from casvault.watch import Event, Rhythm, Watcher

__all__ = ["Taking"]


class Taking(Finding):
    """Taking: snapshots of live models and of copies, one at a time or as a watch."""

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
        from casvault.snapshot import Annotation
        from casvault.vault.places import only

        self.finish_interrupted()
        annotation = Annotation(name, notes, iteration=iteration, loss=loss, meta=meta, preview=path_or_none(preview))
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
        from casvault.snapshot import Annotation

        annotation = Annotation(name, notes, iteration=iteration, loss=loss, meta=meta, preview=path_or_none(preview))
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
        from casvault.capture import Patience
        from casvault.models import find_again
        from casvault.snapshot import take

        return take(self, lambda: find_again(model), annotation, patience or Patience(), progress, read_all=read_all)

    def plan_import(self, folder: str | Path, *, source: str | Path | None = None) -> ImportPlan:
        """Return what `import_copies` would do, without doing it."""
        from casvault.importing import plan_import

        return plan_import(self, Path(folder), path_or_none(source))

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
        from casvault.importing import plan_import, run_import

        plan = plan_import(self, Path(folder), path_or_none(source), progress)
        return run_import(self, plan, delete_originals=delete_originals, progress=progress)

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
        push: str | None = None,
        limit_rate: int | None = None,
    ) -> Watcher:
        """Return a watch over ``model``: its ``run`` takes snapshots as ``rhythm`` says until ``stop`` is called.

        ``retention`` is applied to snapshots that a watch took, None keeps all. ``command`` is run for events, ``tell``
        is called with each. ``poll`` are the seconds between two looks. ``push`` is a remote to which all snapshots of
        the vault are sent as they come, by a process beside, at ``limit_rate`` bytes per second.
        """
        from casvault.watch import Rhythm, Watcher
        from casvault.watch.events import Hook

        return Watcher(
            self,
            model,
            model_name,
            (rhythm or Rhythm()).checked(),
            retention,
            poll,
            tell=tell or (lambda event: None),
            hook=Hook(command, str(self.path)) if command is not None else None,
            push=push,
            limit_rate=limit_rate,
        )
