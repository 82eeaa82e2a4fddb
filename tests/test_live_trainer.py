"""Snapshots beside a trainer that saves all the time and dies in the middle of saves: none may be a mixture.

CASVAULT_TEST_SEED=N repeats the saves, sleeps and deaths of a run that said "seed N".
"""

from __future__ import annotations

import importlib
import itertools
import os
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from casvault import Patience, RestoreOptions, api
from casvault.errors import CasvaultError
from casvault.progress import Progress
from casvault.vault.head import Head
from tests.support.live_trainer import NAME, LiveTrainer, numbers_in

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX only")
module: Any = importlib.import_module("casvault.capture.capture")
_ROLES = {"summary.txt", "encoder.npy", "inter_AB.npy", "inter_B.npy", "decoder.npy", "src_dst_opt.npy", "data.dat"}
_PIECE = 200_000
_WAYS = ("held", "held", "loose, held", "loose, copied")
"""How files are kept while they are read: as on POSIX, or as on Windows, on volumes of both kinds."""


@dataclass
class Figures:
    """What a campaign came to."""

    seed: str
    snapshots: int = 0
    mixed: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    numbers: set[float] = field(default_factory=set)
    ways: Counter[str] = field(default_factory=Counter)
    waited: int = 0


class Waits(Progress):
    """Counts the snapshots that had to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = False

    def message(self, text: str) -> None:
        self.waited = True


def campaign(folder: Path, seed: str, count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Figures, LiveTrainer]:
    """Take ``count`` snapshots beside a live trainer, and read each one."""
    print(f"seed {seed}")
    monkeypatch.setattr(module, "_POLL", 0.01)
    vault = api.init(folder / ".casvault")
    figures, chance = Figures(seed), random.Random(seed)
    with LiveTrainer(folder / "workspace" / "model", seed) as trainer:
        trainer.wait_for_a_save()
        for number in range(count):
            way = chance.choice(_WAYS)
            monkeypatch.setattr(module, "_HOLDS", way == "held")
            monkeypatch.setattr(module, "name_is_free_at_once", lambda folder, way=way: way != "loose, copied")
            patience, waits = Patience(60.0, next_save=chance.random() < 0.1), Waits()
            try:
                head = vault.snapshot(trainer.folder / NAME, patience=patience, progress=waits).head
            except (CasvaultError, OSError) as error:
                figures.crashes.append(f"{number}: {type(error).__name__}: {error}")
                continue
            figures.snapshots += 1
            figures.ways[way] += 1
            figures.waited += waits.waited
            read(vault, head, figures)
            time.sleep(chance.uniform(0, 0.02))
    check_one_by_restoring(vault, folder)
    print(
        f"{figures.snapshots} snapshots of {len(figures.numbers)} saves, {figures.waited} had to wait; {figures.ways};"
    )
    print(
        f"{trainer.lives} lives of the trainer; {len(trainer.failures)} failures of it, {len(figures.crashes)} crashes,"
    )
    print(f"{len(figures.mixed)} mixed sets")
    return figures, trainer


def files_of(vault: api.Vault, head: Head) -> dict[str, bytes]:
    return {
        file.role: b"".join(bytes(vault.objects.read(chunk.digest, chunk.size)) for chunk in file.chunks)
        for file in vault.show(head.id).files
    }


def read(vault: api.Vault, head: Head, figures: Figures) -> None:
    files = files_of(vault, head)
    numbers = numbers_in(files)
    figures.numbers |= numbers
    if head.incomplete or len(numbers) != 1 or files.keys() != _ROLES:
        figures.mixed.append(f"{head.id}: {sorted(numbers)}, {sorted(files)}, incomplete: {head.incomplete}")


def check_one_by_restoring(vault: api.Vault, folder: Path) -> None:
    """Restore the newest snapshot elsewhere: what was read of it must be what comes back."""
    head = vault.snapshots()[-1]
    vault.restore(head.id, RestoreOptions(to=folder / "back", allow_incomplete=True))
    back = {path.name.removeprefix(f"{NAME}_"): path.read_bytes() for path in (folder / "back").iterdir()}
    assert back == files_of(vault, head)


def check(figures: Figures, trainer: LiveTrainer, count: int) -> None:
    told = f"seed {figures.seed}"
    assert figures.mixed == [], told
    assert figures.crashes == [], told
    assert trainer.failures == [], told
    assert figures.snapshots == count, told
    assert trainer.lives > 1, f"{told}: the trainer never died in a save"
    assert len(figures.numbers) > count / 2, f"{told}: there were hardly any saves"


def test_no_snapshot_is_a_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures, trainer = campaign(tmp_path, "3", 25, monkeypatch)
    check(figures, trainer, 25)


@pytest.mark.slow
def test_no_snapshot_of_500_is_a_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = os.environ.get("CASVAULT_TEST_SEED") or str(random.SystemRandom().randrange(10**9))
    figures, trainer = campaign(tmp_path, seed, 500, monkeypatch)
    check(figures, trainer, 500)


def test_a_file_that_is_written_in_place_is_never_a_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generic model: nothing in it tells that it is half-written but that it changes."""
    monkeypatch.setattr(module, "_POLL", 0.01)
    monkeypatch.setattr(importlib.import_module("casvault.capture.waiting"), "_REST", 0.1)
    path = tmp_path / "ckpt" / "weights.bin"
    path.parent.mkdir()
    path.write_bytes(bytes([0]) * _PIECE * 8)
    stop = threading.Event()

    def train() -> None:
        for number in itertools.cycle(range(1, 200)):
            with open(path, "r+b", buffering=0) as file:
                for _ in range(8):
                    file.write(bytes([number]) * _PIECE)
                    time.sleep(0.01)
            if stop.wait(0.25):
                return

    writer = threading.Thread(target=train)
    writer.start()
    vault, seen = api.init(tmp_path / ".casvault"), set()
    try:
        for _ in range(8):
            head = vault.snapshot(path.parent).head
            (data,) = files_of(vault, head).values()
            assert not head.incomplete
            assert len(set(data)) == 1
            seen.add(data[0])
            time.sleep(0.05)
    finally:
        stop.set()
        writer.join()
    assert len(seen) > 2


def test_mixtures_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The campaign itself: when sets are not judged, mixtures are taken, and counted."""
    monkeypatch.setattr(module, "_judge", lambda taken: None)
    monkeypatch.setattr(module, "_moved", lambda taken: None)
    figures, _ = campaign(tmp_path, "1", 25, monkeypatch)
    assert figures.mixed != []
