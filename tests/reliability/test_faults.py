"""Kills and failing system calls in the real command line, at every call of every command that changes something.

CASVAULT_SOAK_KILLS and CASVAULT_SOAK_ERRORS are how many points the long forms take of each command, evenly spread;
with 0 all.
"""

from __future__ import annotations

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import soak
from tests.support.scenes import COMMANDS, Scene, errors_told
from tests.support.strace import ERRORS, Call, calls_of, changing, run_at, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())
_WORKERS = 2


def points_of(calls: list[Call], most: int) -> list[Call]:
    """Return that many calls, evenly spread; 0 means all."""
    count = min(most, len(calls)) or len(calls)
    return [calls[(2 * number + 1) * len(calls) // (2 * count)] for number in range(count)]


def trial(scene: Scene, call: Call, fault: str, figures: soak.Figures) -> None:
    place = scene.fresh()
    ended = run_at(call, fault, place, *scene.command.arguments)
    told = f"{scene.name}: {fault} at {call.name} number {call.number}, {call.told}: {ended}"
    try:
        if fault != "SIGKILL" and ended.hit:
            errors_told(ended.code, ended.err)
        assert ended.killed or ended.code >= 0
        scene.check(place, acknowledged=ended.code == 0)
    except BaseException as error:
        raise AssertionError(told) from error
    figures.cases += 1
    figures.count("hit", ended.hit)
    shutil.rmtree(place)


def run(scene: Scene, points: list[tuple[Call, str]], figures: soak.Figures) -> None:
    """Try every point, go on after a violation, and tell all of them at the end."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        results = [pool.submit(trial, scene, call, fault, figures) for call, fault in points]
        violations = [error for result in results if (error := result.exception()) is not None]
    figures.count("violations", len(violations))
    for error in violations[1:]:
        print(f"{error}\n  {error.__cause__!r}")
    if violations:
        raise violations[0]
    # A restore looks at all processes there are, which takes more or fewer calls: the last points may not come.
    assert int(figures.more["hit"]) >= 0.9 * figures.cases, "faults did not come"


def kills(root: Path, name: str, most: int) -> None:
    with soak.campaign(f"kill -9 in {name}") as figures:
        scene = Scene(root, name)
        calls = changing(calls_of(scene.fresh(), *scene.command.arguments))
        assert len(calls) >= 5, calls
        figures.more["calls"] = len(calls)
        run(scene, [(call, "SIGKILL") for call in points_of(calls, most)], figures)
        figures.more["longest start after it, s"] = round(scene.longest, 2)


def errors(root: Path, name: str, most: int, *, every: bool, seed: int) -> None:
    """Each point gets an error number by lot, or ``every`` one; calls that only read are points too."""
    with soak.campaign(f"errors in {name}") as figures:
        scene, chance = Scene(root, name), random.Random(seed)
        calls = calls_of(scene.fresh(), *scene.command.arguments)
        figures.more["calls"] = len(calls)
        points = [
            (call, error)
            for call in points_of(calls, most)
            for error in (ERRORS if every else (chance.choice(ERRORS),))
        ]
        run(scene, points, figures)


_QUICK = {"init": 1, "snapshot": 5, "restore": 6, "undo": 2, "gc": 4, "prune": 2, "import": 2}


@pytest.mark.parametrize("name", _QUICK)
def test_a_few_kills(tmp_path: Path, name: str) -> None:
    kills(tmp_path, name, _QUICK[name])


@pytest.mark.parametrize("name", ["snapshot", "restore", "gc"])
def test_a_few_errors(tmp_path: Path, name: str) -> None:
    errors(tmp_path, name, 3, every=False, seed=soak.seed(1))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_kill_at_every_call(tmp_path: Path, name: str) -> None:
    kills(tmp_path, name, soak.size("KILLS", 40))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_error_at_every_call(tmp_path: Path, name: str) -> None:
    errors(tmp_path, name, soak.size("ERRORS", 40), every=soak.size("EVERY_ERROR", 0) > 0, seed=soak.seed())


def test_a_kill_would_be_seen_where_it_tears(tmp_path: Path) -> None:
    """The checks themselves: a model that was left half-restored is not taken for whole."""
    scene = Scene(tmp_path, "restore")
    place = scene.fresh()
    (place / "workspace/model/new_SAEHD_encoder.npy").unlink()
    with pytest.raises(AssertionError, match="looks startable"):
        scene.check(place, acknowledged=False)
