"""A watch that is driven by hand, and a disk whose room is what a test says."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from casvault import api
from casvault.watch import Event

__all__ = ["Disk", "Watched", "make_step"]

upkeep: Any = importlib.import_module("casvault.watch.upkeep")


class Watched:
    """A watch over ``place`` that looks when it is told to; ``events`` are all that it told."""

    def __init__(self, vault: api.Vault, place: Path, **options: Any) -> None:
        self.vault = vault
        self.events: list[Event] = []
        self.watcher = vault.watch(place, tell=self.events.append, **options)

    def look(self, times: int = 1) -> list[str]:
        """Look so many times; return the kinds of the events that this brought."""
        before = len(self.events)
        for _ in range(times):
            self.watcher.look()
        return [event.kind for event in self.events[before:]]

    @property
    def iterations(self) -> list[int | None]:
        """The iterations of the scheduled snapshots that are there, oldest first."""
        return [head.iteration for head in self.vault.snapshots() if head.kind == "scheduled"]


class Disk:
    """The disk of a vault: it has ``room`` bytes less what is stored."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int = 1 << 50, least: int | None = None) -> None:
        self.room = room
        if least is not None:
            monkeypatch.setattr(upkeep, "_LEAST_FREE", least)
        monkeypatch.setattr(upkeep, "shutil", SimpleNamespace(disk_usage=self._usage))

    def _usage(self, path: Path) -> SimpleNamespace:
        taken = sum(file.stat().st_size for file in (path / "objects").rglob("*") if file.is_file())
        return SimpleNamespace(free=self.room - taken)


def make_step(folder: Path, number: int, seed: int = 1, moved: float = 1e-4) -> Path:
    """Make ``checkpoint-<number>`` of a training with one tensor that moves a little from step to step."""
    step = folder / f"checkpoint-{number}"
    step.mkdir(parents=True)
    first = np.random.default_rng(seed).standard_normal((200, 200)).astype("f4")
    moves = np.random.default_rng(number).standard_normal(first.shape).astype("f4")
    np.save(step / "weights.npy", first + moves * np.float32(moved))
    (step / "state.json").write_text(f'{{"step": {number}}}')
    return step
