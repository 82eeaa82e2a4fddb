"""A process that is measured: seconds, processor seconds and memory, with everything on the disk at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Usage", "discard", "floor", "measure", "settle"]

_BLOCK = 1 << 22


@dataclass(frozen=True)
class Usage:
    """What a process took: ``wall`` seconds, ``cpu`` seconds of all its threads and children, ``peak`` resident bytes.

    ``wall`` includes the time until everything that was written is on the disk. ``peak`` is never below `floor`.
    """

    wall: float
    cpu: float
    peak: int

    def __add__(self, other: Usage) -> Usage:
        """Return what two processes, one after another, took."""
        return Usage(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak))


def settle() -> None:
    """Wait until everything that was written is on the disk."""
    os.sync()


def discard(path: Path, place: Path) -> None:
    """Put a file or folder out of the way: all files are emptied and stay, below ``place``, until that is removed.

    ext4 without a journal passes over inodes that were deleted in the last minutes, one by one, which costs whoever
    makes files next. No user deletes hundreds of files just before a snapshot, and so no tool should pay for it.
    """
    if not path.exists():
        return
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            file.chmod(0o600)
            os.truncate(file, 0)
    heap = place / "discarded"
    heap.mkdir(exist_ok=True)
    path.rename(heap / f"{path.name}-{time.monotonic_ns()}")


def floor() -> int:
    """Return the peak of this process in bytes, which the system also counts for every process that it starts."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _peak_unit()


def measure(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    *,
    reads: Sequence[Path] = (),
    sync: bool = True,
) -> Usage:
    """Run ``command`` in ``folder`` and return what it took; a command that fails ends the benchmark.

    All files below the folders ``reads`` are read just before, so that they are in the page cache. Without ``sync`` the
    disk is left alone, before and after: for commands that write nothing.
    """
    if sync:
        settle()
    for below in reads:
        _warm(below)
    with tempfile.TemporaryFile() as told:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=told,
            env={**os.environ, **(environment or {})},
            cwd=folder,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if sync:
            settle()
        wall = time.perf_counter() - begun
        if process.returncode != 0:
            told.seek(0)
            what = told.read().decode(errors="replace").strip()
            raise SystemExit(f"{' '.join(command)}\nended with exit code {process.returncode}:\n{what}")
    return Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _peak_unit())


def _warm(folder: Path) -> None:
    block = bytearray(_BLOCK)
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb", buffering=0) as file:
                while file.readinto(block):
                    pass


def _peak_unit() -> int:
    return 1 if sys.platform == "darwin" else 1024
