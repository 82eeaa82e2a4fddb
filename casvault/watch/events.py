"""Events: what a watch tells, one line each, and the command that is run for some of them.

Owns the promise that a command that fails, hangs or is not there never stops the watch.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from casvault.manifest.stamp import to_iso

__all__ = ["Event", "Hook"]

_HOOKED = ("snapshot", "skip", "unhealthy", "error")
_LONGEST = 600.0
"""Seconds after which a command that still runs is left to itself, and no other is kept waiting for it."""


@dataclass(frozen=True)
class Event:
    """Something that happened: ``kind`` is started, waiting, snapshot, unhealthy, note, skip, pruned, error or
    stopped.

    ``snapshot`` is the id that it is about, None where there is none.
    """

    kind: str
    model: str
    text: str
    snapshot: str | None = None
    time: str = field(default_factory=lambda: to_iso(datetime.now(timezone.utc)))

    def to_json(self) -> dict[str, Any]:
        """Return the event for `--json`."""
        return {
            "event": self.kind,
            "time": self.time,
            "model": self.model,
            "snapshot": self.snapshot,
            "text": self.text,
        }


class Hook:
    """Runs a command line of the user's for events of the kinds snapshot, skip, unhealthy and error."""

    def __init__(self, command: str, vault: str) -> None:
        self._command = command
        self._vault = vault
        self._running: subprocess.Popen[bytes] | None = None

    def run(self, event: Event) -> str | None:
        """Start the command for an event, after the one before has ended; return what went wrong with that one.

        What it is about stands in the environment: CASVAULT_EVENT, CASVAULT_MODEL, CASVAULT_SNAPSHOT, CASVAULT_TEXT,
        CASVAULT_VAULT.
        """
        if event.kind not in _HOOKED:
            return None
        wrong = self.end()
        told = {
            "CASVAULT_EVENT": event.kind,
            "CASVAULT_MODEL": event.model,
            "CASVAULT_SNAPSHOT": event.snapshot or "",
            "CASVAULT_TEXT": event.text,
            "CASVAULT_VAULT": self._vault,
        }
        try:
            self._running = subprocess.Popen(
                self._command, shell=True, stdin=subprocess.DEVNULL, env={**os.environ, **told}
            )
        except OSError as error:
            return f"the command of --exec cannot be run: {error.strerror or error}."
        return wrong

    def end(self) -> str | None:
        """Wait for the command that runs; return what went wrong with it, None where all is well."""
        running, self._running = self._running, None
        if running is None:
            return None
        try:
            code = running.wait(_LONGEST)
        except subprocess.TimeoutExpired:
            return f"the command of --exec still runs after {_LONGEST:.0f} s; it is left to itself."
        return f"the command of --exec ended with exit code {code}." if code else None
