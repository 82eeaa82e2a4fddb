"""A disk that is really full: nothing is lost, the reason is told, and with room again everything goes on.

CASVAULT_SOAK_FULL is how many amounts of room the long form tries for each command on each file system.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.support import soak
from tests.support.command import spawn
from tests.support.disks import fill, loop_ext4, tmpfs, why_no_loops, why_no_mounts
from tests.support.scenes import Scene, errors_told

pytestmark = pytest.mark.skipif(bool(why_no_mounts()), reason=why_no_mounts())
_SIZE = 48 << 20
_PROGRAM = """
import sys
from importlib import import_module
import_module("casvault.restore.restore")._MARGIN = 0
from casvault.cli.main import run
run(sys.argv[1:])
"""
"""The command line without the margin that restores leave: as where others fill the disk meanwhile."""
_COMMANDS = ("snapshot", "restore", "undo", "gc", "delete", "edit", "thin", "prune", "import")


def trial(scene: Scene, left: int, no_margin: bool, figures: soak.Figures) -> None:
    place = scene.fresh()
    filler = fill(scene.root, left)
    ended = spawn(place, *scene.command.arguments, CASVAULT_THREADS="1", program=_PROGRAM if no_margin else None)
    told = f"{scene.name} with {left:,} bytes left, {no_margin=}: {ended}"
    try:
        errors_told(ended.code, ended.err)
        assert ended.code in (0, 1, 3)
        if scene.name == "gc":
            assert ended.code == 0, "gc is what makes room"
        filler.unlink()
        scene.check(place, acknowledged=ended.code == 0)
    except BaseException as error:
        raise AssertionError(told) from error
    finally:
        filler.unlink(missing_ok=True)
    figures.cases += 1
    figures.count("full" if ended.code else "had room")
    shutil.rmtree(place)


def run(root: Path, name: str, room: list[int], figures: soak.Figures) -> None:
    scene = Scene(root / name, name)
    for number, left in enumerate(room):
        trial(scene, left, number % 4 > 0, figures)
    shutil.rmtree(root / name)


def test_a_full_disk_in_memory(tmp_path: Path) -> None:
    with soak.campaign("full disk") as figures, tmpfs(tmp_path, _SIZE) as disk:
        for name, room in {
            "snapshot": [0, 100_000],
            "restore": [50_000, 200_000, 400_000],
            "gc": [0],
            "delete": [0],
        }.items():
            run(disk, name, room, figures)
        assert figures.more["full"]


@pytest.mark.slow
@pytest.mark.parametrize("name", _COMMANDS)
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_full_disks(tmp_path: Path, kind: str, name: str) -> None:
    if kind == "ext4" and why_no_loops():
        pytest.skip(why_no_loops())
    chance = random.Random(soak.seed())
    room = [0, *(chance.randrange(4096 << chance.randrange(10)) for _ in range(soak.size("FULL", 6) - 1))]
    made = tmpfs(tmp_path, _SIZE) if kind == "tmpfs" else loop_ext4(tmp_path, _SIZE)
    with soak.campaign(f"full {kind} in {name}") as figures, made as disk:
        run(disk, name, room, figures)
