"""Events: what a watch tells, one line each, and the command that is run for some of them.

Owns the promise that a command that fails, hangs, prints or is not there never stops the watch, nor keeps it waiting.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from casvault.manifest.stamp import to_iso

__all__ = ["Event", "Hook"]

_HOOKED = ("snapshot", "pushed", "skip", "unhealthy", "error")
_LONGEST = 600.0
"""Seconds after which a command that still runs is ended: the next ones wait for it."""
_FAREWELL = 5.0
"""Seconds that a command has left when the watch ends; then it is left to itself."""
_WAITING = 100
"""Events that wait for a command that runs; of more the oldest are dropped."""
_LONGEST_TEXT = 2000
"""Characters of a text that a command gets: an environment has no room for more than so much."""
_STDERR = 2


@dataclass(frozen=True)
class Event:
    """Something that happened: ``kind`` is started, waiting, snapshot, pushed, unhealthy, note, skip, pruned, error
    or stopped.

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
    """Runs a command line of the user's, one at a time: for snapshot, pushed, skip, unhealthy and error."""

    def __init__(self, command: str, vault: str) -> None:
        self._command = command
        self._vault = vault
        self._waiting: deque[Event] = deque(maxlen=_WAITING)
        self._running: subprocess.Popen[bytes] | None = None
        self._begun = 0.0

    def run(self, event: Event) -> list[str | None]:
        """Have the command run for an event, when those before it have ended; return what `tend` does.

        What it is about stands in the environment: CASVAULT_EVENT, CASVAULT_MODEL, CASVAULT_SNAPSHOT, CASVAULT_TEXT,
        CASVAULT_VAULT. What it prints goes to stderr.
        """
        if event.kind in _HOOKED:
            self._waiting.append(event)
        return self.tend()

    def tend(self) -> list[str | None]:
        """Start the next command where none runs; return what went wrong with each that ended, None where nothing
        did.
        """
        ended: list[str | None] = []
        while True:
            if self._running is not None:
                code = self._running.poll()
                if code is None and time.monotonic() - self._begun < _LONGEST:
                    return ended
                ended.append(self._ended(self._running, code))
                self._running = None
            if not self._waiting:
                return ended
            wrong = self._start(self._waiting.popleft())
            if wrong is not None:
                ended.append(wrong)

    def end(self) -> list[str | None]:
        """Let what runs and waits have a few seconds more, no matter how many; return what `tend` does."""
        ended = self.tend()
        end = time.monotonic() + _FAREWELL
        while self._running is not None and time.monotonic() < end:
            with suppress(subprocess.TimeoutExpired):
                self._running.wait(max(0.0, end - time.monotonic()))
            ended += self.tend()
        return ended

    def _start(self, event: Event) -> str | None:
        told = {
            "CASVAULT_EVENT": event.kind,
            "CASVAULT_MODEL": event.model,
            "CASVAULT_SNAPSHOT": event.snapshot or "",
            "CASVAULT_TEXT": event.text[:_LONGEST_TEXT],
            "CASVAULT_VAULT": self._vault,
        }
        try:
            # In a session of its own: Ctrl-C is for the watch, and what the command started can be ended with it.
            self._running = subprocess.Popen(
                self._command,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,
                env={**os.environ, **told},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return f"the command of --exec cannot be run: {getattr(error, 'strerror', None) or error}."
        self._begun = time.monotonic()
        return None

    def _ended(self, process: subprocess.Popen[bytes], code: int | None) -> str | None:
        if code is not None:
            return f"the command of --exec ended with exit code {code}." if code else None
        with suppress(OSError):
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
        return f"the command of --exec still ran after {_LONGEST:.0f} s and was ended."
