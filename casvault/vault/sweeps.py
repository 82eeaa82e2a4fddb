"""Sweeps in a bucket: a collection says in ``tmp/`` that it is removing objects, as nobody can be kept out by a lock.

Who brings something in announces it first and looks for sweeps then; who sweeps says so first and looks for
announcements then. So whichever order they come in, one of them sees the other.

Owns the invariant that a sweep ends by itself, at the latest `LIFE` after it was last said to go on: no object is
removed for one that has not been said to go on for half of that.
"""

from __future__ import annotations

import time
from datetime import datetime
from types import TracebackType

from casvault.backends.bucket import BucketBackend
from casvault.errors import NotFound, StorageError
from casvault.manifest.stamp import Stamp

__all__ = ["LIFE", "Sweep", "clocks", "seconds_since", "sweeps_in"]

LIFE = 600.0
"""Seconds for which a sweep counts that nobody says any more."""

_RENEW = 60.0
_PREFIX = "tmp/sweep-"


def sweeps_in(backend: BucketBackend) -> dict[str, datetime]:
    """Return when each sweep that is under way was last said to go on, by the store's clock; raises RemoteError."""
    found: dict[str, datetime] = {}
    for one in backend.walk("tmp"):
        if one.name.startswith(_PREFIX):
            sweep = one.name[len(_PREFIX) :].partition("_")[0]
            found[sweep] = max(one.modified, found.get(sweep, one.modified))
    return found


class Sweep:
    """A sweep that is under way while this is entered; ``now`` is when it began, by the store's clock."""

    def __init__(self, backend: BucketBackend) -> None:
        self._backend = backend
        self._name = ""
        self._id = Stamp.new()
        self._count = 0
        self._said = (0.0, 0.0)
        self._say()
        self.now = backend.modified(self._name)

    def go_on(self) -> None:
        """Say that it goes on, before anything is removed; raises StorageError where that comes too late."""
        since = seconds_since(self._said)
        if since > LIFE / 2:
            raise StorageError("the collection was held up for so long that others may have gone on; start it again.")
        if since > _RENEW:
            self._say()

    def __enter__(self) -> Sweep:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._backend.delete(self._name)

    def _say(self) -> None:
        old, said = self._name, clocks()
        self._count += 1
        self._name = f"{_PREFIX}{self._id}_{self._count}"
        self._backend.write(self._name, b"A collection is at work.\n")
        self._said = said
        if old:
            self._backend.delete(old)

    def clear(self) -> None:
        """Remove what sweeps left that were cut off."""
        for one in list(self._backend.walk("tmp")):
            if one.name.startswith(_PREFIX) and (self.now - one.modified).total_seconds() > 2 * LIFE:
                try:
                    self._backend.delete(one.name)
                except NotFound:
                    continue


def clocks() -> tuple[float, float]:
    """Return two clocks: one goes on while the machine sleeps, the other is never set."""
    return time.time(), time.monotonic()


def seconds_since(then: tuple[float, float]) -> float:
    """Return how long it is since `clocks` said ``then``, by the clock that says more."""
    return max(now - before for now, before in zip(clocks(), then, strict=True))
