"""Rhythm: after which saves a snapshot is due."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from casvault.errors import UsageError
from casvault.vault.head import Head

__all__ = ["Rhythm"]


@dataclass(frozen=True)
class Rhythm:
    """After every ``saves`` saves; where they are given, only after so many ``iterations`` or ``minutes`` since the
    save of the last snapshot. The first save is always due.
    """

    saves: int = 1
    iterations: int = 0
    minutes: float = 0.0

    def checked(self) -> Rhythm:
        """Return the same; raises UsageError for what makes no sense."""
        if self.saves < 1 or self.iterations < 0 or not 0 <= self.minutes < math.inf:
            raise UsageError("a rhythm is told in whole saves from 1, and in iterations and minutes from 0.")
        return self

    @property
    def takes_all(self) -> bool:
        """Whether no save is passed over."""
        return self == Rhythm()

    def due(self, saves: int, iteration: int | None, last: Head | None, now: datetime | None = None) -> bool:
        """Tell whether a snapshot is due: ``saves`` were seen since the ``last`` one, the model is at ``iteration``."""
        if last is None:
            return True
        if saves < self.saves or self.left(last, now):
            return False
        if self.iterations and iteration is not None and last.iteration is not None:
            # Where it fell, another run has begun, of which there is no snapshot yet.
            return not 0 <= iteration - last.iteration < self.iterations
        return True

    def left(self, last: Head | None, now: datetime | None = None) -> float:
        """Return the seconds for which none is due by the clock, whatever is saved."""
        if last is None or not self.minutes:
            return 0.0
        passed = ((now or datetime.now(timezone.utc)) - last.moment).total_seconds()
        whole = timedelta(minutes=self.minutes).total_seconds()
        # A clock that was set back must not make it wait for longer than all of it.
        return min(whole, max(0.0, whole - passed))
