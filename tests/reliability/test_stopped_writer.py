"""A snapshot, or a restore with its backup, that stands still somewhere while gc comes by: it never misses an object.

The writer finds its chunks in a snapshot that was deleted: they are there, nothing needs them, and gc wants them gone.
CASVAULT_SOAK_STOPS is how many points the long form takes of each.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from casvault import api
from casvault.errors import Locked
from casvault.files import locks
from tests.support import soak
from tests.support.scenes import MODEL, Scene, open_vault
from tests.support.strace import Call, Tracer, changing, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


def prepared(scene: Scene) -> Path:
    """Return a place where what the writer needs belongs to a deleted snapshot only."""
    place = scene.fresh()
    vault = open_vault(place)
    vault.delete(vault.snapshot(place / MODEL, name="gone").id)
    vault.delete("second")
    return place


def collect(vault: api.Vault, outcome: list[str]) -> None:
    try:
        vault.gc()
        outcome.append("collected")
    except Locked as error:
        outcome.append("gave up" if "in use by" in str(error) else str(error))


def trial(tracer: Tracer, scene: Scene, call: Call, wait: bool, figures: soak.Figures) -> None:
    """Stop the writer, collect, let it go on; with ``wait`` gc is still waiting when it goes on."""
    place, outcome = prepared(scene), list[str]()
    with tracer.stopped_at(call, place, *scene.command.arguments) as writer:
        collector = threading.Thread(target=collect, args=(open_vault(place), outcome))
        collector.start()
        collector.join(0.2 if wait else None)
        ended = writer.go_on()
        collector.join()
    told = f"{scene.name} stopped at {call}: gc {outcome}; {ended}"
    assert ended.code == 0, told
    vault = open_vault(place)
    found = vault.verify(read_data=True)
    assert found.ok, (told, found.damaged)
    vault.gc()
    assert vault.verify(read_data=True).ok, told
    assert scene.command.done(vault, place), told
    figures.cases += 1
    figures.count("stopped", ended.hit)
    figures.count(outcome[0])
    shutil.rmtree(place)


def run(tracer: Tracer, root: Path, name: str, points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with soak.campaign(f"stopped {name}") as figures:
        scene = Scene(root, name)
        calls = tracer.calls_of(prepared(scene), *scene.command.arguments)
        # Reading matters too: what was seen to be there must still be there later.
        calls = [call for call in calls if call.name in ("openat", "read") or call in changing(calls)]
        for number in range(points):
            wait = number % 4 == 3
            monkeypatch.setattr(locks, "ALONE_WAIT", 60.0 if wait else 0.2)
            trial(tracer, scene, calls[(2 * number + 1) * len(calls) // (2 * points)], wait, figures)
        assert figures.more["gave up"]


def test_a_few_points(tracer: Tracer, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tracer, fast_path, "snapshot", 3, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["snapshot", "restore"])
def test_many_points(tracer: Tracer, fast_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tracer, fast_path, name, soak.size("STOPS", 100), monkeypatch)
