"""A trainer as a process of its own: it saves the trainer's way again and again, dies in the middle of saves, and is
started anew.

Every save has a number that no other has, and every file of it carries that number in all its tensors: so a set of
files tells whether it is of one save. `LiveTrainer` keeps such a process going; run as a program, this module is it.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["NAME", "LiveTrainer", "numbers_in"]

NAME = "live_SAEHD"
_LIFE = 10_000
"""Numbers that one life of the process may use up; a float32 counts exactly to 1,677 lives."""
_PERIOD = 0.05
_ROWS = {"encoder": 30, "inter_AB": 9, "inter_B": 9, "decoder": 45}
"""Rows of 1,024 float32 in each weight file: some are small enough to be read at once, some are not."""
_KILLS = 0.2
"""The share of saves in the middle of which the process dies."""


class _Saves:
    """The model in memory, and how it is written: as DeepFaceLab does, see docs/deepfacelab.md."""

    def __init__(self, folder: Path, step: Callable[[], None]) -> None:
        self._folder = folder
        self._step = step
        self.iteration = self._resume()

    def save(self, number: int) -> None:
        """Write all files of the save ``number``: the summary first and in place, data.dat last."""
        import numpy as np

        with open(self._path("summary.txt"), "w") as file:
            self._step()
            file.write(f"== Current iteration: {self.iteration:<12} ==\n== number: {number} ==\n")
            self._step()
        weights = {role: np.full((rows, 1024), number, np.float32) for role, rows in _ROWS.items()}
        for role, tensor in weights.items():
            self._replace(f"{role}.npy", {"weight:0": tensor, "bias:0": tensor[0]})
        moments = {f"{kind}_{role}:0": tensor for role, tensor in weights.items() for kind in ("ms", "vs")}
        self._replace("src_dst_opt.npy", {"iters:0": np.int64(self.iteration), **moments})
        data = {
            "iter": self.iteration,
            "options": {"archi": "liae-ud", "number": number},
            "loss_history": [[0.5, 0.5]] * min(self.iteration, 200),
            "sample_for_preview": [weights["inter_B"]],
            "choosed_gpu_indexes": None,
        }
        self._replace("data.dat", data)

    def _resume(self) -> int:
        """Return the iteration to go on from; without data.dat it is a first run."""
        try:
            return int(pickle.loads(self._path("data.dat").read_bytes())["iter"])
        except FileNotFoundError:
            return 0

    def _replace(self, role: str, content: Mapping[str, Any]) -> None:
        data = pickle.dumps(content, 4)
        temporary = self._path(f"{role}.tmp")
        with open(temporary, "wb", buffering=0) as file:
            file.write(data[: len(data) // 2])
            self._step()
            file.write(data[len(data) // 2 :])
        self._step()
        self._path(role).unlink(missing_ok=True)
        self._step()
        temporary.rename(self._path(role))
        self._step()

    def _path(self, role: str) -> Path:
        return self._folder / f"{NAME}_{role}"


class _Fate:
    """What comes between the steps of a save: short sleeps, seldom long ones, and the end."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._left = -1

    def begin(self) -> int:
        """Begin a save; return by how many iterations it is later than the one before."""
        self._left = self._random.randrange(26) if self._random.random() < _KILLS else -1
        return self._random.randint(1, 30)

    def step(self) -> None:
        """Sleep, or die by a signal that nothing can catch."""
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1
        if self._random.random() < 0.01:
            time.sleep(self._random.uniform(0.1, 0.7))
        else:
            time.sleep(self._random.choice((0, 0, self._random.uniform(0, 0.004))))


def _run(folder: Path, seed: str, life: int, period: float) -> None:
    fate = _Fate(f"{seed}/{life}")
    saves = _Saves(folder, fate.step)
    for number in range(life * _LIFE + 1, (life + 1) * _LIFE):
        begun = time.monotonic()
        saves.iteration += fate.begin()
        saves.save(number)
        time.sleep(max(0.0, begun + period - time.monotonic()))


class LiveTrainer:
    """Keeps the process going while the block runs, whatever becomes of it.

    ``lives`` counts how often it was started, ``failures`` are the last words of those that ended otherwise than by
    their fate. ``period`` are the seconds from save to save at least. The same seed makes the same saves, sleeps and
    deaths; what meets them is up to the clock.
    """

    def __init__(self, folder: Path, seed: str, period: float = _PERIOD) -> None:
        self.folder = folder
        self._period = period
        self.lives = 0
        self.failures: list[str] = []
        self._seed = seed
        self._stop = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep)

    def wait_for_a_save(self) -> None:
        """Return when there is one."""
        while not (self.folder / f"{NAME}_data.dat").exists():
            assert not self.failures, self.failures
            time.sleep(0.01)

    def __enter__(self) -> LiveTrainer:
        self.folder.mkdir(parents=True)
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._keeper.join()

    def _keep(self) -> None:
        pauses = random.Random(self._seed)
        while not self._stop.is_set():
            with tempfile.TemporaryFile() as told:
                arguments = [str(self.folder), self._seed, str(self.lives), str(self._period)]
                command = [sys.executable, "-m", __name__, *arguments]
                process = subprocess.Popen(command, stderr=told, cwd=Path(__file__).parents[2])
                self.lives += 1
                while process.poll() is None and not self._stop.wait(0.005):
                    pass
                if process.poll() is None:
                    process.kill()
                    process.wait()
                elif process.returncode != -signal.SIGKILL:
                    told.seek(0)
                    self.failures.append(f"ended with {process.returncode}: {told.read().decode(errors='replace')}")
            self._stop.wait(pauses.uniform(0, 0.3))


def numbers_in(files: Mapping[str, bytes]) -> set[float]:
    """Return the numbers of all saves that files (role -> bytes) are of; -1 stands for a file that is broken."""
    found: set[float] = set()
    for role, data in files.items():
        try:
            found |= _numbers(role, data)
        except (pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError, AttributeError):
            found.add(-1.0)
    return found


def _numbers(role: str, data: bytes) -> set[float]:
    if role == "summary.txt":
        return {float(data.decode().partition("number: ")[2].split()[0])}
    content = pickle.loads(data)
    tensors = [tensor for name, tensor in content.items() if name != "iters:0"]
    told: set[float] = set()
    if role == "data.dat":
        told, tensors = {float(content["options"]["number"])}, content["sample_for_preview"]
    return told | {float(number) for tensor in tensors for number in (tensor.min(), tensor.max())}


if __name__ == "__main__":
    _run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
