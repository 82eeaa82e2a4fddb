"""The pusher: sends the snapshots of a watched vault to another one as they come, in a process beside the watch.

A process and not a thread: a mount that hangs cannot be interrupted, a push takes processor time that the watch needs,
and whatever becomes of it, the watch goes on. Owns the invariants that no look waits for the link, that trouble with it
is told once and tried again, less and less often, and that the watch ends when it is told to.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from casvault.errors import CasvaultError, UsageError
from casvault.sync import Remotes
from casvault.vault.vault import Vault
from casvault.watch.telling import Teller

__all__ = ["Pusher"]

_FIRST, _LONGEST = 15.0, 900.0
"""Seconds until the first try after trouble, and at most between two."""

_HUNG = 600.0
"""Seconds without a sign of life after which a push is ended."""

_FAREWELL = 10.0
"""Seconds that a push has left when the watch ends."""

_SLOWEST = 1024
_SLICE = 0.05
_LINE = 1 << 20
_ROOT = Path(__file__).parent.parent.parent


class Pusher:
    """Pushes all that ``vault`` has to ``remote``, at ``limit_rate`` bytes per second or None; called at each look."""

    def __init__(self, vault: Vault, remote: str, limit_rate: int | None, teller: Teller) -> None:
        self._vault = vault
        self._remote = remote
        self._rate = limit_rate
        self._teller = teller
        self._running: _Push | None = None
        self._there: set[str] = set()
        self._under_way: set[str] = set()
        self._pause = _FIRST
        self._not_before = 0.0

    def check(self) -> None:
        """Look whether there can be such a remote; raises NotFound, UsageError. It need not be reachable now."""
        if self._rate is not None and self._rate < _SLOWEST:
            raise UsageError("a limit of the rate is a size per second, at least 1kiB.")
        entry = Remotes(self._vault).find(self._remote)
        address = entry.address
        if "://" not in entry.url and entry.name == entry.url:
            # The process has another working directory than who typed a path.
            self._remote = address.path

    def tend(self, model: str) -> None:
        """See after the push that runs, and begin one where something is to be sent; never raises nor waits."""
        try:
            if self._running is not None:
                self._see_after(self._running, model)
            if self._running is None and time.monotonic() >= self._not_before and self._waiting():
                self._begin()
        except CasvaultError as error:
            self._trouble(model, str(error))
        except OSError as error:
            self._trouble(model, f"{error.filename or 'the system'}: {error.strerror or error}.")

    def end(self, model: str) -> None:
        """Let what is to be sent have some seconds more, then end it, and tell what may not have arrived."""
        end = time.monotonic() + _FAREWELL
        self.tend(model)
        while self._running is not None and time.monotonic() < end:
            time.sleep(_SLICE)
            self.tend(model)
        if self._running is not None:
            self._running.kill()
            self._running = None
        with suppress(CasvaultError):
            left = len(self._waiting())
            if left:
                what, them = ("a snapshot", "it") if left == 1 else (f"{left} snapshots", "them")
                way_out = f"`casvault push {self._remote}` sends {them}"
                self._teller.say("note", model, f"{what} may not be in {self._remote} yet: {way_out}")

    def _waiting(self) -> set[str]:
        """Return the snapshots that are not known to be there."""
        return set(self._vault.index.ids()) - self._there

    def _begin(self) -> None:
        self._under_way = set(self._vault.index.ids())
        self._running = _Push([str(self._vault.path), self._remote, str(self._rate or 0)])

    def _see_after(self, running: _Push, model: str) -> None:
        if running.runs():
            if time.monotonic() - running.lived > _HUNG:
                running.kill()
                self._running = None
                self._trouble(model, f"nothing moved for {_HUNG / 60:.0f} minutes, so the push was ended.")
            return
        self._running = None
        found = running.result()
        sent = [str(id) for id in found.get("sent", ())]
        if sent:
            self._pause = _FIRST
            what = "a snapshot" if len(sent) == 1 else f"{len(sent)} snapshots"
            text = f"{what} sent to {self._remote}, {found.get('bytes', 0) / 1e6:,.1f} MB"
            self._teller.say("pushed", model, text, sent[0])
        if "error" in found:
            self._trouble(model, str(found["error"]))
            return
        if not found.get("paused"):
            self._there |= self._under_way
        self._teller.well("push")
        self._pause = _FIRST
        self._complain(model, {**found.get("failed", {}), **found.get("conflicts", {})})

    def _complain(self, model: str, reasons: dict[str, str]) -> None:
        """Tell of snapshots that stayed; what is wrong with one keeps no other."""
        if not reasons:
            self._teller.well("stays")
            return
        id, why = next(iter(reasons.items()))
        more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        self._teller.once("stays", "error", model, f"{id}{more} cannot be sent to {self._remote}: {why}")

    def _trouble(self, model: str, text: str) -> None:
        """Tell of trouble once, and wait before the next try, each time longer."""
        self._not_before = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST)
        self._teller.once("push", "error", model, f"the push to {self._remote} failed and is tried again: {text}")


class _Push:
    """One push that runs; ``lived`` is when it last gave a sign of life."""

    def __init__(self, arguments: list[str]) -> None:
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "casvault.watch.sending", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Nothing of the folder that one happens to be in is imported.
            cwd=arguments[0],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SSH_ASKPASS_REQUIRE": "never"},
            # In a session of its own: Ctrl-C is for the watch, `ssh` has no terminal to ask on, and all ends together.
            start_new_session=True,
        )
        self.lived = time.monotonic()
        self._last: dict[str, Any] = {}
        self._said = ""
        assert self._process.stdout is not None
        self._listener = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()

    def runs(self) -> bool:
        """Tell whether it has not ended yet."""
        return self._process.poll() is None or self._listener.is_alive()

    def result(self) -> dict[str, Any]:
        """Return what it said at its end."""
        if {"sent", "error"} & self._last.keys():
            return self._last
        said = f": {self._said[:300]}" if self._said else ""
        return {"error": f"it ended with exit code {self._process.returncode}{said}."}

    def kill(self) -> None:
        """End it, and what it started; one that hangs in the system is left to itself."""
        with suppress(OSError):
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)

    def _listen(self, stream: IO[bytes]) -> None:
        with suppress(OSError, ValueError), stream:
            while line := stream.readline(_LINE):
                self.lived = time.monotonic()
                try:
                    document = json.loads(line)
                except ValueError:
                    document = None
                if isinstance(document, dict):
                    if "moves" not in document:
                        self._last = document
                elif line.strip():
                    self._said = line.decode("utf-8", "replace").strip()
