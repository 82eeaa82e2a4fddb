"""Saves of a model on the disk, and the live model that they are put in the place of, as a trainer does."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.process import settle

__all__ = ["Live", "generated", "real"]

_GRAIN = 2.1
_BLOCK = 1 << 20


def generated(folder: Path, size: int, count: int) -> list[Path]:
    """Write ``count`` saves of a generated model of ``size`` bytes below ``folder``; return their folders."""
    command = [sys.executable, "-m", "benchmarks.drift", str(folder), f"--size={size}", f"--saves={count}"]
    subprocess.run(command, check=True)
    settle()
    return sorted(folder.iterdir())


def real(trajectory: Path) -> list[Path]:
    """Return the folders of real saves, the oldest first."""
    return sorted(path for path in trajectory.iterdir() if path.is_dir())


class Live:
    """The folder of the model that is snapshotted and restored."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "workspace" / "model"
        self.folder.mkdir(parents=True)

    def put(self, save: Path, *, settled: bool = False) -> None:
        """Replace all files by those of ``save``, as new files.

        With ``settled`` wait until they are old enough for their times to tell whether they change once more.
        """
        for path in self.folder.iterdir():
            path.unlink()
        for path in sorted(save.iterdir()):
            shutil.copyfile(path, self.folder / path.name)
        settle()
        if settled:
            time.sleep(_GRAIN)

    def check(self, save: Path, who: str) -> None:
        """End the benchmark unless every file is as in ``save``."""
        for path in save.iterdir():
            if not _same(path, self.folder / path.name):
                raise SystemExit(f"{who} did not restore {path.name} as it was")

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(path.stat().st_size for path in self.folder.iterdir())


def _same(one: Path, other: Path) -> bool:
    with open(one, "rb") as left, open(other, "rb") as right:
        while True:
            block = left.read(_BLOCK)
            if block != right.read(_BLOCK):
                return False
            if not block:
                return True
