"""Sending: the process that a watch starts to push snapshots, so that a link that hangs never holds the watch up.

It says on standard output, one JSON object to a line, that bytes move, and at the end what was sent or what went wrong.

Owns the promise that a snapshot which was taken meanwhile does not wait for older ones.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from casvault.errors import CasvaultError
from casvault.progress import Progress
from casvault.sync import SyncOptions, push, reach
from casvault.sync.local import LocalRemote
from casvault.sync.remote import Remote
from casvault.vault.vault import Vault, open_vault
from casvault.watch.priority import lower_priority

__all__ = ["main"]

_BEAT = 1.0
"""Seconds between two signs of life."""


def main(arguments: Sequence[str]) -> int:
    """Push what the vault in a folder has to a remote, at so many bytes per second (0 for no limit)."""
    path, remote, rate = Path(arguments[0]), arguments[1], int(arguments[2])
    lower_priority()
    try:
        document = _send(path, remote, rate or None)
    except CasvaultError as error:
        document = {"error": str(error)}
    except OSError as error:
        document = {"error": f"{error.filename or 'the system'}: {error.strerror or error}."}
    _say(document)
    return 0


def _send(path: Path, remote: str, rate: int | None) -> dict[str, Any]:
    vault = Vault(*open_vault(path), path)
    known = set(vault.index.ids())
    paused = False

    def is_outdated() -> bool:
        nonlocal paused
        paused = not known >= set(vault.index.ids())
        return paused

    _, there = reach(vault, remote, make=True)
    with there, LocalRemote(vault) as here:
        beat = _Beat()
        with beat.listening_to(there):
            result = push(here, there, SyncOptions(limit_rate=rate, pause=is_outdated), beat)
    alive = {head.id for head in vault.heads()}
    return {
        "sent": result.snapshots,
        "bytes": result.object_bytes,
        "conflicts": result.conflicts,
        # What retention deleted while it was on its way is no trouble.
        "failed": {id: why for id, why in result.failed.items() if id in alive},
        "paused": paused,
    }


class _Beat(Progress):
    """Says that something moves: a step was done, or bytes went over the wire, of which one step may have many."""

    def __init__(self) -> None:
        super().__init__()
        self._last = 0.0

    @contextmanager
    def listening_to(self, there: Remote) -> Iterator[None]:
        """Say so too while bytes go to a remote or come from it."""
        done = threading.Event()
        thread = threading.Thread(target=self._listen, args=(there, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _listen(self, there: Remote, done: threading.Event) -> None:
        moved = -1
        while not done.wait(_BEAT):
            if there.wire_bytes != moved:
                moved = there.wire_bytes
                self._beat()

    def check(self) -> None:
        super().check()
        # While it keeps to a rate it waits, and asks this.
        self._beat()

    def start(self, task: str, total: int | None) -> None:
        self._beat()

    def advance(self, amount: int) -> None:
        super().advance(amount)
        self._beat()

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._last >= _BEAT:
            self._last = now
            _say({"moves": True})


def _say(document: dict[str, Any]) -> None:
    # In one piece: two threads may say something at once.
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
