"""Waiting for a whole save: what moves in a model's folder, what is waited for, and when to give up.

Owns the rule that no wait is without a reason that can be told, nor without an end but that of patience.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from casvault.errors import IncompleteSave
from casvault.files.identity import FileIdentity
from casvault.models import Model, kind_named

__all__ = ["Patience", "Waiting"]

_SETTLE = 0.5
"""Seconds for which a leftover .tmp must not change to be taken for stale."""
_FRESH = 60.0
"""A .tmp that was written longer ago than this, in seconds, is stale at first sight."""
_REST = 0.5
"""Seconds for which a model must not have changed whose files do not tell whether a save is under way."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a whole save, in seconds, and whether to take what is there when that is over.

    ``next_save``: wait first until the trainer has saved once more. ``still``: give up sooner, after so many
    seconds in which nothing moved.
    """

    seconds: float = 60.0
    allow_incomplete: bool = False
    next_save: bool = False
    still: float = 12.0


class Waiting:
    """What was seen over several attempts: whether anything moves, and whether it is time to give up.

    ``awaits_save``: the next save has not come yet. ``only_restless``: all that speaks against the last attempt is that
    its files changed a moment ago.
    """

    def __init__(self, model: Model, patience: Patience) -> None:
        self._end = time.monotonic() + patience.seconds
        self._seconds = patience.seconds
        self._still = patience.still
        self._moved = time.monotonic()
        self._seen: dict[str, FileIdentity | None] = {}
        self._first = _identities(model) if patience.next_save else None
        self.awaits_save = patience.next_save
        self.only_restless = False

    def judge(self, model: Model, opened: Mapping[str, FileIdentity], incomplete: str | None) -> str | None:
        """Say why what was ``opened`` of ``model`` is not to be taken yet, None where it is.

        ``incomplete`` says what speaks against it already.
        """
        now = _identities(model)
        kind = kind_named(model.kind)
        self.only_restless = False
        if now != self._seen:
            self._seen, self._moved = now, time.monotonic()
        if self.awaits_save and self._first is not None:
            names = [item.path for item in model.files if kind.last_role in (None, item.role)]
            # By what was opened: a save that came since then is in place, and not what would be taken. A file that
            # could not be opened tells nothing.
            self.awaits_save = all(name not in opened or opened[name] == self._first.get(name) for name in names)
            if self.awaits_save:
                how = f": {kind.save_now} to save now" if kind.save_now else ""
                return f"waiting for the next save of {model.name}{how}"
        still = time.monotonic() - self._moved
        fresh = [name for name in model.leftovers if _younger(now.get(name), _FRESH)]
        under_way = f"{fresh[0]} may be a save under way" if fresh and still < _SETTLE else None
        if incomplete:
            return "; ".join(filter(None, (incomplete, under_way)))
        if under_way:
            return under_way
        if kind.last_role is None and still < _REST:
            restless = next((name for name, identity in now.items() if _younger(identity, _REST)), None)
            self.only_restless = restless is not None
            return f"{restless} was changed a moment ago" if restless is not None else None
        return None

    def given_up(self, model: Model, reason: str) -> IncompleteSave:
        """Return the error for a wait that ends without a whole save, for this ``reason``."""
        if self.awaits_save:
            how = kind_named(model.kind).save_now
            now = f"{how} to save now, " if how else ""
            return IncompleteSave(
                f"the trainer has not saved {model.name} within {self._seconds:.0f} s; "
                f"{now}wait longer with --wait, or take the last save without --next-save."
            )
        return IncompleteSave(
            f"{model.name} is not one whole save: {reason}. Try again, wait longer with --wait, "
            "or take it as it is with --allow-incomplete."
        )

    def over(self) -> bool:
        """Tell whether to give up: time is up, or nothing has moved for a while and nothing will."""
        now = time.monotonic()
        return now >= self._end or (not self.awaits_save and now - self._moved > self._still)


def _younger(identity: FileIdentity | None, seconds: float) -> bool:
    return identity is not None and abs(time.time_ns() - identity.mtime_ns) < seconds * 1e9


def _identities(model: Model) -> dict[str, FileIdentity | None]:
    names = [file.path for file in model.files] + list(model.leftovers)
    return {name: FileIdentity.at(model.folder / name) for name in names}
