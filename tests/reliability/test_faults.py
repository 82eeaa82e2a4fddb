"""Kills and failing system calls in the real command line, at every call of every command that changes something.

CASVAULT_SOAK_KILLS and CASVAULT_SOAK_ERRORS are how many points the long forms take of each command, evenly spread;
with 0 all.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from casvault.restore import journal
from tests.support import soak
from tests.support.faults import count_calls, trial
from tests.support.scenes import COMMANDS, Scene, errors_told, open_vault
from tests.support.strace import ERRORS, Call, calls_of, changing, run_at, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())
_WORKERS = 2


def points_of(calls: list[Call], most: int) -> list[Call]:
    """Return that many calls, evenly spread; 0 means all."""
    count = min(most, len(calls)) or len(calls)
    return [calls[(2 * number + 1) * len(calls) // (2 * count)] for number in range(count)]


def try_at(scene: Scene, call: Call, fault: str, figures: soak.Figures) -> None:
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
        results = [pool.submit(try_at, scene, call, fault, figures) for call, fault in points]
        violations = [error for result in results if (error := result.exception()) is not None]
    figures.count("violations", len(violations))
    for error in violations[1:]:
        print(f"{error}\n  {error.__cause__!r}")
    if violations:
        raise violations[0]
    # A restore looks at all processes there are, which takes more or fewer calls each time. Where others come and go,
    # some points hit another call than the one that was meant; `hit` counts those that were meant.
    assert int(figures.more["hit"]) >= max(1, 0.5 * figures.cases - 1), "faults did not come"


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


_QUICK = {"init": 1, "snapshot": 3, "restore": 4, "undo": 1, "gc": 2, "prune": 1, "import": 1, "pull": 1}


@pytest.mark.parametrize("name", _QUICK)
def test_a_few_kills(tmp_path: Path, name: str) -> None:
    kills(tmp_path, name, _QUICK[name])


@pytest.mark.parametrize("name", ["snapshot", "restore"])
def test_a_few_errors(tmp_path: Path, name: str) -> None:
    errors(tmp_path, name, 2, every=False, seed=soak.seed(1))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_kill_at_every_call(tmp_path: Path, name: str) -> None:
    kills(tmp_path, name, soak.size("KILLS", 30))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_error_at_every_call(tmp_path: Path, name: str) -> None:
    errors(tmp_path, name, soak.size("ERRORS", 25), every=soak.size("EVERY_ERROR", 0) > 0, seed=soak.seed())


def restoring(place: Path) -> Callable[[], object]:
    return lambda: open_vault(place).restore("first")


@pytest.mark.parametrize("missing", ["journal", "order"])
def test_without_the_journal_or_its_order_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """The checks themselves: they see a model that is left between old and new, or that looks startable there."""
    scene, told = Scene(tmp_path, "restore"), list[str]()
    total = count_calls(restoring(scene.fresh()))
    with monkeypatch.context() as patch:
        if missing == "journal":
            patch.setattr(journal, "write_durably", lambda path, data: None)
        else:
            patch.setattr(journal.Workplace, "_put_aside", lambda self, step: None)
        places = [scene.fresh() for _ in range(12)]
        for number, place in enumerate(places):
            trial(total - 30 + 2 * number, "kill", restoring(place))
    for place in places:
        try:
            scene.check(place, acknowledged=False)
        except AssertionError as error:
            told.append(str(error).splitlines()[0])
    wanted = "neither old nor new" if missing == "journal" else "a model that looks startable and is not whole"
    assert wanted in told
