"""Processes of their own that hold a lock of a vault until they are told to go, or killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

__all__ = ["Holder"]

_PROGRAM = """
import sys
from pathlib import Path
from casvault.files import locks
root, kind, what, wait = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
locks.SHARED_WAIT = locks.ALONE_WAIT = wait
made = locks.FolderLocks(root)
print("begun", flush=True)
held = made.model(what, what, wait) if kind == "model" else getattr(made, kind)(what)
with held:
    print("in", flush=True)
    sys.stdin.readline()
print("out", flush=True)
"""


class Holder:
    """A process that takes the lock ``kind`` (shared, alone or model) of the vault in ``root``."""

    def __init__(self, root: Path, kind: str, what: str, wait: float = 30.0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(root), kind, what, str(wait)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            text=True,
        )
        self.pid = self._process.pid
        assert self._line() == "begun"

    def inside(self) -> Holder:
        """Wait until the process has the lock."""
        assert self._line() == "in"
        return self

    def leave(self) -> None:
        """Let the process give the lock back and end."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._line() == "out"
        assert self._process.wait(30) == 0

    def kill(self) -> None:
        """End the process where it stands."""
        self._process.kill()
        self._process.wait(30)

    def __enter__(self) -> Holder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
