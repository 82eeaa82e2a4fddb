"""The activity: what was done in this panel, newest first, each with the command line that does the same.

What the command line or a watch did to the vault meanwhile is noted as well, as far as the vault shows it.
"""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from casvault.panel.hub import Hub

__all__ = ["Activity", "Entry", "command_line"]

_MOST = 1000
"""Entries that are kept; the oldest go."""


@dataclass(frozen=True)
class Entry:
    """Something that was done: ``by`` is panel, watch or elsewhere; ``outcome`` done, failed, cancelled or running.

    ``text`` is a sentence; ``command`` the command line, None where there is none; ``job`` and ``snapshot`` are ids.
    """

    number: int
    time: datetime
    by: str
    what: str
    text: str
    outcome: str
    command: str | None = None
    model: str | None = None
    snapshot: str | None = None
    job: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as the API gives it."""
        return {
            "number": self.number,
            "time": self.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "by": self.by,
            "what": self.what,
            "text": self.text,
            "outcome": self.outcome,
            "command": self.command,
            "model": self.model,
            "snapshot": self.snapshot,
            "job": self.job,
        }


class Activity:
    """The log; safe to use from several threads."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._entries: deque[Entry] = deque(maxlen=_MOST)

    def add(
        self,
        what: str,
        text: str,
        *,
        by: str = "panel",
        outcome: str = "done",
        command: str | None = None,
        model: str | None = None,
        snapshot: str | None = None,
        job: str | None = None,
    ) -> Entry:
        """Note something, and tell the pages."""
        with self._lock:
            entry = Entry(
                next(self._numbers),
                datetime.now(timezone.utc),
                by,
                what,
                text,
                outcome,
                command,
                model,
                snapshot,
                job,
            )
            self._entries.appendleft(entry)
        self._hub.publish("activity", entry.to_json(), str(entry.number))
        return entry

    def entries(self) -> list[Entry]:
        """Return all entries, newest first."""
        with self._lock:
            return list(self._entries)


def command_line(*arguments: str | os.PathLike[str]) -> str:
    """Return ``casvault`` with arguments as one line that a shell of this system takes apart again in the same way."""
    words: Sequence[str] = ["casvault", *(os.fspath(argument) for argument in arguments)]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
