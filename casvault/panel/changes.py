"""Changes: notices that somebody else wrote to the vault, or that a trainer saved, and tells the pages.

What the panel itself did is settled: it is not told once more as somebody else's. Owns the promise that looking costs
next to nothing while nothing changes: only names and times are read.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable

from casvault import api
from casvault.api import Head, Model
from casvault.errors import CasvaultError
from casvault.panel.activity import Activity
from casvault.panel.desk import Desk
from casvault.panel.hub import Hub

__all__ = ["Changes"]

_LOOK = 1.0
"""Seconds between two looks while a page is open."""
_GLANCE = 5.0
"""Seconds between two looks while none is."""
_TAKEN = {
    "manual": "Snapshot {} was taken.",
    "scheduled": "A watch took snapshot {}.",
    "auto-backup": "A restore began, and kept what was there as {}.",
    "imported": "Snapshot {} was imported.",
}


class Changes:
    """Looks at the vault and the models again and again.

    ``busy`` tells whether the panel itself is at work on the vault: what comes then may be its own. ``is_own`` tells
    whether a snapshot is one that comes and goes by a watch of the panel.
    """

    def __init__(self, desk: Desk, hub: Hub, activity: Activity) -> None:
        self.busy: Callable[[], bool] = lambda: False
        self.is_own: Callable[[Head], bool] = lambda head: False
        self._desk = desk
        self._hub = hub
        self._activity = activity
        self._lock = threading.Lock()
        self._vault: str | None = None
        self._heads: dict[str, Head] | None = None
        self._models: dict[str, str] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        rested = _GLANCE
        while True:
            if self._hub.listeners or rested >= _GLANCE:
                await asyncio.to_thread(self.look)
                rested = 0.0
            await asyncio.sleep(_LOOK)
            rested += _LOOK

    def settle(self, ids: Iterable[str]) -> None:
        """Take what happened to these snapshots for known: the panel did it. Tell the pages."""
        with self._lock:
            if self._heads is not None:
                try:
                    now = {head.id: head for head in self._desk.vault.snapshots()}
                except (CasvaultError, OSError):
                    now = {}
                for id in ids:
                    self._heads.pop(id, None)
                    self._heads.update({id: now[id]} if id in now else {})
        self._desk.forget()
        self._hub.publish("vault", {})

    def look(self) -> None:
        """Look once, and tell what changed since the last time: ``vault``, and ``live`` for each model."""
        if not self._desk.has_vault:
            return
        try:
            with self._lock:
                self._look_at_vault()
            models = {key: self._fingerprint(model) for key, model in self._desk.models().items()}
        except (CasvaultError, OSError):
            # What is wrong with the vault is told to who looks at a page.
            return
        for key, state in models.items():
            if self._models.get(key, state) != state:
                self._desk.forget()
                self._hub.publish("live", {"model": key}, key)
        self._models = models

    def _look_at_vault(self) -> None:
        busy = self.busy()
        state = self._desk.vault.fingerprint()
        if state == self._vault:
            return
        now = {head.id: head for head in self._desk.vault.snapshots()}
        if self._heads is not None:
            self._desk.forget()
            self._hub.publish("vault", {})
            if busy:
                # Looked at once more when the panel rests.
                return
            self._tell(self._heads, now)
        self._vault, self._heads = state, now

    def _tell(self, before: dict[str, Head], now: dict[str, Head]) -> None:
        for id, head in now.items():
            old = before.get(id)
            if old is None:
                self._note("snapshot", _TAKEN.get(head.kind, _TAKEN["manual"]), head)
            elif old.label != head.label:
                thinned = old.label.thinned != head.label.thinned
                self._note("thin" if thinned else "edit", "Snapshot {} was changed.", head)
        for id, head in before.items():
            if id not in now:
                self._note("delete", "Snapshot {} was deleted.", head)

    def _note(self, what: str, text: str, head: Head) -> None:
        if self.is_own(head):
            return
        called = f"'{head.title}' of {head.model_name}"
        self._activity.add(what, text.format(called), by="elsewhere", model=head.model_name, snapshot=head.id)

    def _fingerprint(self, model: Model) -> str:
        return self._desk.vault.fingerprint(api.find_again(model))
