"""Repair that dies or fails at any call that changes the disk: nothing is lost by it, and the next one ends it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from casvault import api
from tests.support.damage import flip, lean_on, object_files, of_file, path_of
from tests.support.faults import count_calls, spread, trial
from tests.support.lines import Line, copy_of

EXPECTED = {"", "Crash", "KeyboardInterrupt", "NoSpace", "StorageError", "DamageError"}


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Two snapshots, of which a base, what only the last has, and a manifest are damaged."""
    made = Line(tmp_path / "real", threads=1)
    made.grow(2)
    shutil.copytree(tmp_path / "real" / ".casvault", tmp_path / "other")
    flip(path_of(made.vault, lean_on(made.vault)[0]))
    for digest in of_file(made.vault, list(made.saves)[-1], "log.bin"):
        flip(path_of(made.vault, digest))
    flip(next((tmp_path / "real/.casvault/snapshots").glob("*.json")), 900)
    return made


def bring(line: Line, place: Path) -> api.Vault:
    """Return a copy of the damaged vault, beside the model."""
    vault = copy_of(line.vault, place)
    shutil.copytree(line.root / "runs", place / "runs")
    return vault


FAULTS = ["kill", "crash", "interrupt", "ENOSPC", "EIO", "EACCES"]


@pytest.mark.parametrize("fault", FAULTS)
def test_interrupted_anywhere_the_next_one_ends_it(line: Line, tmp_path: Path, fault: str) -> None:
    campaign(line, tmp_path, fault, 24 if fault == "kill" else 6)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_interrupted_at_every_call(line: Line, tmp_path: Path, fault: str) -> None:
    campaign(line, tmp_path, fault, 1000)


def campaign(line: Line, tmp_path: Path, fault: str, points: int) -> None:
    other = tmp_path / "other"
    place = tmp_path / "trial"
    vault = bring(line, place)
    calls = count_calls(lambda: vault.repair(other))
    assert calls > 40
    wrong = {path.read_bytes() for path in object_files(line.vault)}
    for number in spread(calls, points):
        vault = bring(line, place)
        ended = trial(number, fault, lambda vault=vault: vault.repair(other))  # type: ignore[misc]
        assert ended.killed or ended.raised in EXPECTED, ended
        again = api.open(place / ".casvault", threads=1)
        # Nothing that was there is gone: each object lies where it was or in quarantine, or was healed.
        left = {path.read_bytes() for path in (*object_files(again), *(place / ".casvault/quarantine").glob("*"))}
        assert wrong <= left, number
        assert len(list((place / ".casvault/snapshots").glob("*.json"))) == 2
        found = again.repair(other)
        assert found.ok, (number, found)
        assert again.verify(read_data=True).ok
        line.check(again)
        shutil.rmtree(place)
