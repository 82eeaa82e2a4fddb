"""Checking: whether stored bytes and models are as they should be, and how they differ."""

from __future__ import annotations

from pathlib import Path

from casvault.api.finding import Finding
from casvault.check import VerifyResult, verify
from casvault.diff import Diff, diff
from casvault.health.examine import Health, health
from casvault.progress import Progress

__all__ = ["Checking"]


class Checking(Finding):
    """Checking: whether stored bytes and models are as they should be, and how they differ."""

    def verify(
        self, *, read_data: bool = False, sample: float | None = None, progress: Progress | None = None
    ) -> VerifyResult:
        """Check the vault; with ``read_data`` every stored byte, with ``sample`` that share of them, above 0 to 1.

        Never raises for damage: it is in the result. Raises UsageError, Locked, StorageError.
        """
        return verify(self, read_data=read_data, sample=sample, progress=progress)

    def health(self, what: str | Path, *, progress: Progress | None = None) -> Health:
        """Examine a snapshot, or a live model, which a `Path` always means; what is wrong with it is in the result.

        Raises NotFound, AmbiguousError, IncompleteSave, DamageError, StorageError, Locked.
        """
        return health(self, what, progress)

    def diff(self, a: str | Path, b: str | Path, *, progress: Progress | None = None) -> Diff:
        """Return how ``b`` differs from ``a``, each a snapshot or a live model; raises what `health` raises."""
        return diff(self, a, b, progress)
