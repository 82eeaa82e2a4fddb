"""Rhythm: after which saves a snapshot is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from casvault.errors import UsageError
from casvault.manifest.stamp import from_iso
from casvault.vault.head import Head

__all__ = ["Rhythm"]


@dataclass(frozen=True)
class Rhythm:
    """After every ``saves`` saves; where they are given, only after so many ``iterations`` or ``minutes`` since the
    last snapshot.
    """

    saves: int = 1
    iterations: int = 0
    minutes: float = 0.0

    def checked(self) -> Rhythm:
        """Return the same; raises UsageError for what makes no sense."""
        if self.saves < 1 or self.iterations < 0 or self.minutes < 0:
            raise UsageError("a rhythm is told in whole saves from 1, and in iterations and minutes from 0.")
        return self

    def due(self, saves: int, iteration: int | None, last: Head | None, now: datetime | None = None) -> bool:
        """Tell whether a snapshot is due: ``saves`` were seen since the ``last`` one, the model is at ``iteration``."""
        if last is None:
            return True
        if saves < self.saves:
            return False
        if self.left(last, now):
            return False
        if self.iterations and iteration is not None and last.iteration is not None:
            # Where it fell, another run has begun, of which there is no snapshot yet.
            return not 0 <= iteration - last.iteration < self.iterations
        return True

    def left(self, last: Head | None, now: datetime | None = None) -> float:
        """Return the seconds for which none is due by the clock, whatever is saved."""
        if last is None or not self.minutes:
            return 0.0
        passed = (now or datetime.now(timezone.utc)) - from_iso(last.created)
        return max(0.0, (timedelta(minutes=self.minutes) - passed).total_seconds())
