"""Kills and failing system calls in the real command line, at every call of every command that changes something.

CASVAULT_SOAK_KILLS and CASVAULT_SOAK_ERRORS are how many points the long forms take of each command, evenly spread,
with 0 all; CASVAULT_SOAK_TWICE is how many pairs of kills, the second one while the command is done again.
With CASVAULT_SOAK_EVERY_ERROR=1 each point gets every error number.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from casvault.restore import journal
from tests.support import soak
from tests.support.faults import count_calls, trial
from tests.support.scenes import COMMANDS, Scene, errors_told, open_vault
from tests.support.strace import ERRORS, Call, Tracer, changing, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())
Point = tuple[tuple[Call, str], ...]
"""Faults that come one after another, each in a run of the command."""

SIZES = {"": 20_000, " of a larger model": 4_000_000}


def points_of(calls: list[Call], most: int) -> list[Call]:
    """Return that many calls, evenly spread; 0 means all."""
    count = min(most, len(calls)) or len(calls)
    return [calls[(2 * number + 1) * len(calls) // (2 * count)] for number in range(count)]


def calls_of(tracer: Tracer, scene: Scene) -> list[Call]:
    return tracer.calls_of(scene.fresh(), *scene.command.arguments, partner=scene.command.partner)


def try_at(tracer: Tracer, scene: Scene, point: Point, figures: soak.Figures) -> None:
    place = scene.fresh()
    told = scene.name
    try:
        for call, fault in point:
            ended = tracer.run_at(call, fault, place, *scene.command.arguments, partner=scene.command.partner)
            told += f": {fault} at {call.name} number {call.number}, {call.told}: {ended}"
            if fault != "SIGKILL" and ended.hit:
                errors_told(ended.code, ended.err)
            assert ended.killed or ended.code >= 0
            figures.count("hit", ended.hit)
        # A server that ends with 0 was told so by its caller, who may have given up.
        scene.check(place, acknowledged=ended.code == 0 and scene.command.partner is None)
    except BaseException as error:
        raise AssertionError(told) from error
    figures.cases += 1
    shutil.rmtree(place)


def run(tracer: Tracer, scene: Scene, points: Sequence[Point], figures: soak.Figures) -> None:
    """Try every point, go on after a violation, and tell all of them at the end."""
    violations = list[AssertionError]()
    for point in points:
        try:
            try_at(tracer, scene, point, figures)
        except AssertionError as error:
            violations.append(error)
    figures.count("violations", len(violations))
    for violation in violations[1:]:
        print(f"{violation}\n  {violation.__cause__!r}")
    if violations:
        raise violations[0]
    # A restore looks at all processes there are, which takes more or fewer calls each time. Where others come and go,
    # some points hit another call than the one that was meant; `hit` counts those that were meant.
    assert int(figures.more["hit"]) >= max(1, 0.5 * figures.cases - 1), "faults did not come"


def kills(tracer: Tracer, root: Path, name: str, most: int, size: str = "") -> None:
    with soak.campaign(f"kill -9 in {name}{size}") as figures:
        scene = Scene(root, name, SIZES[size])
        calls = changing(calls_of(tracer, scene))
        assert len(calls) >= 5, calls
        figures.more["calls"] = len(calls)
        run(tracer, scene, [((call, "SIGKILL"),) for call in points_of(calls, most)], figures)
        figures.more["longest start after it, s"] = round(scene.longest, 2)


def pairs(tracer: Tracer, root: Path, name: str, count: int, seed: int) -> None:
    """Kill a command anywhere, and once more anywhere while it is done again."""
    with soak.campaign(f"kill -9 twice in {name}") as figures:
        scene, chance = Scene(root, name), random.Random(seed)
        calls = changing(calls_of(tracer, scene))
        points = [tuple((chance.choice(calls), "SIGKILL") for _ in range(2)) for _ in range(count)]
        run(tracer, scene, points, figures)


def errors(tracer: Tracer, root: Path, name: str, most: int, *, every: bool, seed: int) -> None:
    """Each point gets an error number in turn, or ``every`` one; calls that only read are points too."""
    with soak.campaign(f"errors in {name}") as figures:
        scene, chance = Scene(root, name), random.Random(seed)
        calls = calls_of(tracer, scene)
        figures.more["calls"] = len(calls)
        first = chance.randrange(len(ERRORS))
        points = [
            ((call, error),)
            for number, call in enumerate(points_of(calls, most))
            for error in (ERRORS if every else (ERRORS[(first + number) % len(ERRORS)],))
        ]
        run(tracer, scene, points, figures)


_KILLS = {
    "init": 10, "snapshot": 50, "restore": 60, "undo": 25, "delete": 15, "gc": 30, "prune": 25, "thin": 10, "edit": 5,
    "import": 15, "push": 15, "pull": 20, "sync": 15, "serve": 15,
}  # fmt: skip
_ERRORS = {"snapshot": 12, "restore": 12, "gc": 6, "pull": 6}


@pytest.mark.parametrize("name", COMMANDS)
def test_some_kills(tracer: Tracer, fast_path: Path, name: str) -> None:
    kills(tracer, fast_path, name, _KILLS[name])


@pytest.mark.parametrize("name", _ERRORS)
def test_some_errors(tracer: Tracer, fast_path: Path, name: str) -> None:
    errors(tracer, fast_path, name, _ERRORS[name], every=False, seed=soak.seed(1))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_kill_at_every_call(tracer: Tracer, fast_path: Path, name: str, size: str) -> None:
    kills(tracer, fast_path, name, soak.size("KILLS", 0), size)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_kill_and_another(tracer: Tracer, fast_path: Path, name: str) -> None:
    pairs(tracer, fast_path, name, soak.size("TWICE", 200), soak.seed())


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_error_at_every_call(tracer: Tracer, fast_path: Path, name: str) -> None:
    every = soak.size("EVERY_ERROR", 0) > 0
    errors(tracer, fast_path, name, soak.size("ERRORS", 150), every=every, seed=soak.seed())


def restoring(place: Path) -> Callable[[], object]:
    return lambda: open_vault(place).restore("first")


@pytest.mark.parametrize("missing", ["journal", "order"])
def test_without_the_journal_or_its_order_it_fails(
    fast_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """The checks themselves: they see a model that is left between old and new, or that looks startable there."""
    scene, told = Scene(fast_path, "restore"), list[str]()
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
