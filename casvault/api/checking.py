"""Checking: whether stored bytes and models are as they should be, and how they differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from casvault.api.finding import Finding, path_or_none
from casvault.progress import Progress

if TYPE_CHECKING:
    from casvault.check import LastChecked, VerifyResult
    from casvault.diff import Diff
    from casvault.health.examine import Health
    from casvault.history import LossHistory
    from casvault.models import Model
    from casvault.repair import DropResult, RepairResult

__all__ = ["Checking"]


class Checking(Finding):
    """Checking: whether stored bytes and models are as they should be, and how they differ."""

    def verify(
        self, *, read_data: bool = False, sample: float | None = None, progress: Progress | None = None
    ) -> VerifyResult:
        """Check the vault; with ``read_data`` every stored byte, with ``sample`` that share of them, above 0 to 1.

        Never raises for damage: it is in the result. Raises UsageError, Locked, StorageError.
        """
        from casvault.check import verify

        return verify(self, read_data=read_data, sample=sample, progress=progress)

    def last_checked(self) -> LastChecked:
        """Return when the stored objects were last read and found whole, by any `verify` or `repair`; reads none."""
        from casvault.check import last_checked

        return last_checked(self)

    def plan_repair(self, source: str | Path | None = None, *, progress: Progress | None = None) -> RepairResult:
        """Return what `repair` would do, without doing it; reads the whole vault, and what may heal it."""
        from casvault.repair import plan_repair

        return plan_repair(self, path_or_none(source), progress)

    def repair(self, source: str | Path | None = None, *, progress: Progress | None = None) -> RepairResult:
        """Quarantine damaged objects, and heal what is lost from live models, the vault itself, and ``source``.

        ``source`` is another vault, which is only read. What is lost for good is in the result. Raises NoVault,
        UsageError, Locked, NoSpace, StorageError, and DamageError where the disk does not keep what is written.
        """
        from casvault.repair import repair

        return repair(self, path_or_none(source), progress)

    def drop_quarantine(self, *, dry_run: bool = False) -> DropResult:
        """Remove what repairs have put aside; raises Locked, StorageError."""
        from casvault.repair import drop_quarantine

        return drop_quarantine(self, dry_run=dry_run)

    def health(self, what: str | Path, *, progress: Progress | None = None) -> Health:
        """Examine a snapshot, or a live model, which a `Path` always means; what is wrong with it is in the result.

        Raises NotFound, AmbiguousError, IncompleteSave, DamageError, StorageError, Locked.
        """
        from casvault.health.examine import health

        return health(self, what, progress)

    def diff(self, a: str | Path, b: str | Path, *, progress: Progress | None = None) -> Diff:
        """Return how ``b`` differs from ``a``, each a snapshot or a live model; raises what `health` raises."""
        from casvault.diff import diff

        return diff(self, a, b, progress)

    def losses(
        self,
        what: str | Path | Model,
        *,
        first: int | None = None,
        last: int | None = None,
        points: int = 1000,
        window: int | None = None,
    ) -> LossHistory:
        """Return the losses of a snapshot, or of a live model, between two iterations, in at most ``points`` points.

        Each has the lowest and the highest loss, and the mean over ``window`` iterations, by default 100. A model
        without a history is no error. Raises NotFound, AmbiguousError, UsageError, DamageError, StorageError.
        """
        from casvault.history import losses
        from casvault.models.losses import LOSS_WINDOW

        return losses(self, what, first, last, points, LOSS_WINDOW if window is None else window)
