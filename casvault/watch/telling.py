"""Telling: events go to whoever listens and to the command; trouble is told once, and not at every look.

Owns the invariant that the same trouble is told again only after it was over.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from casvault.watch.events import Event, Hook

__all__ = ["Teller"]

_NUMBER = re.compile(r"\d[\d.,]*")


class Teller:
    """Calls ``tell`` with each event, and has ``hook`` run for those that it is for."""

    def __init__(self, tell: Callable[[Event], None], hook: Hook | None) -> None:
        self._tell = tell
        self._hook = hook
        self._told: dict[str, str] = {}

    def say(self, kind: str, model: str, text: str, snapshot: str | None = None) -> None:
        """Tell that something happened."""
        event = Event(kind, model, " ".join(text.split()), snapshot)
        self._tell(event)
        if self._hook is not None:
            self._complain(model, self._hook.run(event))

    def once(self, topic: str, kind: str, model: str, text: str) -> None:
        """Tell of trouble with ``topic``, unless that was told already and `well` was not said since.

        Seconds and bytes that were counted anew do not make it another trouble.
        """
        known = f"{kind} {_NUMBER.sub('#', text)}"
        if self._told.get(topic) != known:
            self._told[topic] = known
            self.say(kind, model, text)

    def well(self, topic: str) -> None:
        """Take note that there is no trouble with ``topic`` any more."""
        self._told.pop(topic, None)

    def tend(self, model: str) -> None:
        """See after the command."""
        if self._hook is not None:
            self._complain(model, self._hook.tend())

    def end(self, model: str) -> None:
        """Let the command end."""
        if self._hook is not None:
            self._complain(model, self._hook.end())

    def _complain(self, model: str, ended: list[str | None]) -> None:
        """Tell of commands that went wrong, but run none for that: it would go wrong as well."""
        for wrong in ended:
            if wrong is None:
                self.well("hook")
            elif self._told.get("hook") != wrong:
                self._told["hook"] = wrong
                self._tell(Event("error", model, wrong))
