"""Vaults with several snapshots of one model that trained on in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.drift import Drift
from casvault import api
from casvault.capture import Patience
from casvault.snapshot import Annotation, take
from tests.support.trainer import make_model

__all__ = ["History", "make_drifting", "make_training", "snapshot_of", "stored"]


class History:
    """A vault with ``count`` scheduled snapshots of a DeepFaceLab model; ``ids`` are all that were taken."""

    def __init__(self, folder: Path, count: int, size: int = 60_000) -> None:
        self.vault = api.init(folder / ".casvault")
        self.model = make_model(folder / "workspace" / "model", size=size)
        self.ids: list[str] = []
        for _ in range(count):
            self.snapshot()

    def snapshot(self, kind: str = "scheduled", name: str | None = None) -> str:
        """Train on and take a snapshot; return its id."""
        self.model.train(3)
        self.model.save()
        self.ids.append(snapshot_of(self.vault, self.model.folder, kind, name))
        return self.ids[-1]

    def left(self) -> list[int]:
        """Return the places in time of the snapshots that are there."""
        return [self.ids.index(head.id) for head in self.vault.snapshots()]


def snapshot_of(vault: api.Vault, folder: Path, kind: str = "scheduled", name: str | None = None) -> str:
    """Take a snapshot of this kind of the one model in ``folder``; return its id."""
    (found,) = vault.models(folder)
    return take(vault, lambda: found, Annotation(name, kind=kind), Patience(0.0)).id


def make_drifting(folder: Path, count: int) -> tuple[api.Vault, list[str]]:
    """Make ``count`` snapshots of a generic model whose numbers move so little that they lean on each other."""
    random = np.random.default_rng(1)
    weights = random.standard_normal((400, 500)).astype("f4") * np.float32(0.05)
    vault = api.init(folder / ".casvault")
    place = folder / "run"
    place.mkdir()
    ids = []
    for _ in range(count):
        np.save(place / "weights.npy", weights)
        ids.append(snapshot_of(vault, place))
        weights += random.standard_normal(weights.shape).astype("f4") * np.float32(1e-6)
    return vault, ids


def make_training(folder: Path, count: int, size: int = 3_000_000) -> tuple[api.Vault, list[str]]:
    """Make ``count`` snapshots of a model that moves as a real training does: its optimizers lean on each other too."""
    vault = api.init(folder / ".casvault")
    place = folder / "workspace" / "model"
    drift = Drift(place, size)
    ids = []
    for number in range(count):
        if number:
            drift.move()
        drift.save(place)
        ids.append(snapshot_of(vault, place))
    return vault, ids


def stored(vault: api.Vault) -> int:
    """Return the bytes of all files in the folder of objects."""
    assert vault.path is not None
    return sum(path.stat().st_size for path in (vault.path / "objects").rglob("*") if path.is_file())
