"""``casvault watch`` as a process of its own, whose lines are read as they come."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.command import clean_environment

__all__ = ["WatchProcess"]


class WatchProcess:
    """A process ``casvault watch`` with these arguments, started in the folder ``cwd``; it is killed at the end."""

    def __init__(self, cwd: Path, *arguments: str | Path) -> None:
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._stderr: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "casvault", "watch", *map(str, arguments)],
            cwd=cwd,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, kind: str) -> str:
        """Return the next line that tells of such an event; lines before it are passed over."""
        while True:
            line = self._queue.get(timeout=60)
            assert line is not None, f"it ended without {kind}: {self.lines} {self._stderr}"
            if f" {kind}: " in line or f'"event": "{kind}"' in line:
                return line

    def documents(self) -> list[dict[str, Any]]:
        """Return all lines that were printed, each parsed."""
        return [json.loads(line) for line in self.lines]

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal and wait; return exit code and what was written to stderr."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        for thread in self._threads:
            thread.join(60)
        return code, "".join(self._stderr)

    def __enter__(self) -> WatchProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._queue.put(self.lines[-1])
        self._queue.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._stderr += self.process.stderr
