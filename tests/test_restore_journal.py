"""Crashes, kills and failing disks at every call that changes something: nothing acknowledged is ever lost.

After each fault: what was snapshotted before restores exactly, the model is wholly old or wholly new, or cannot be
started and is finished by the next command, nothing needs to be unlocked, and doing it again succeeds.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from casvault import api
from casvault.capture import Patience
from casvault.errors import CasvaultError, NotFound
from casvault.restore import RestoreOptions, finish_interrupted
from tests.support.faults import Crash, count_calls, die_at, failing, spread, trial
from tests.support.trainer import NAME, Entry, make_model, make_neighbours, tree, wreck

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
slow = pytest.mark.slow

Tree = dict[str, Entry]
ALL = 1_000_000


class Scene:
    """Two snapshots, a wreck in their place, neighbours around it; copied afresh for each trial."""

    def __init__(self, root: Path) -> None:
        self.origin = root / "origin"
        model = make_model(self.origin / "workspace" / "model", size=60_000)
        make_neighbours(model.folder)
        vault = api.init(self.origin / ".casvault")
        self.states: dict[str, Tree] = {}
        for name in ("first", "second"):
            self.ids = {**getattr(self, "ids", {}), name: vault.snapshot(model.folder / NAME, name=name).head.id}
            self.states[name] = _own(self.origin)
            model.train(5)
            model.save()
        wreck(model)
        self.states["wreck"] = _own(self.origin)
        self.neighbours = _others(self.origin)
        self._root = root
        self._count = 0

    def fresh(self) -> Path:
        """Return a copy of it all in a new folder; the one before is removed."""
        shutil.rmtree(self._root / f"trial {self._count}", ignore_errors=True)
        self._count += 1
        place = self._root / f"trial {self._count}"
        shutil.copytree(self.origin, place)
        return place


def _is_own(name: str) -> bool:
    own = name.startswith(f"{NAME}_") and not name.endswith("/") and "/" not in name
    return own and (name.endswith((".npy", "data.dat", "summary.txt", ".npy.tmp", "data.dat.tmp")))


def _own(place: Path) -> Tree:
    return {name: entry for name, entry in tree(place / "workspace/model").items() if _is_own(name)}


def _others(place: Path) -> Tree:
    found = tree(place / "workspace/model")
    return {n: e for n, e in found.items() if not _is_own(n) and not n.startswith(".casvault")}


def _open(place: Path) -> api.Vault:
    return api.open(place / ".casvault", threads=1)


def _bytes(found: Tree) -> dict[str, bytes]:
    return {name: entry.data for name, entry in found.items()}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


def check_startable(place: Path, states: list[Tree]) -> None:
    """A model that the trainer would start has all its files from one state."""
    now = _own(place)
    if f"{NAME}_data.dat" in now:
        assert _bytes(now) in [_bytes(state) for state in states]


def check_vault(scene: Scene, place: Path) -> None:
    """What was acknowledged is there, and exact."""
    vault = _open(place)
    assert vault.verify(read_data=True).ok
    for name, id in scene.ids.items():
        back = place / f"back {name}"
        vault.restore(id, RestoreOptions(to=back))
        assert tree(back) == scene.states[name]
        shutil.rmtree(back)


def check_clean(place: Path) -> None:
    """Nothing of ours lies in the model's folder or waits in the vault."""
    assert not list(place.rglob(".casvault_*"))
    assert not list((place / ".casvault/tmp").glob("restore-*"))


# The restore and the undo


def restore_first(place: Path) -> Callable[[], object]:
    return lambda: _open(place).restore("first")


def undo(place: Path) -> Callable[[], object]:
    return lambda: _open(place).undo(place / "workspace/model" / NAME)


def run_restore_campaign(scene: Scene, fault: str, points: int) -> None:
    total = count_calls(restore_first(scene.fresh()))
    assert total > 50
    finished = set()
    for number in spread(total, points):
        place = scene.fresh()
        ended = trial(number, fault, restore_first(place))
        old, new = scene.states["wreck"], scene.states["first"]
        check_ended(ended, fault, number)
        check_startable(place, [old, new])
        assert _others(place) == scene.neighbours
        finish_interrupted(_open(place))
        now = _own(place)
        assert now in (old, new)
        finished.add(now == new)
        check_clean(place)
        assert _open(place).verify(read_data=True).ok
        _open(place).restore("first")
        assert _own(place) == new
        check_undo(scene, place, fault)
        assert _others(place) == scene.neighbours
        check_vault(scene, place)
        check_clean(place)
    assert finished == {False, True}


def check_undo(scene: Scene, place: Path, fault: str) -> None:
    """The wreck is never lost: `undo` brings it back, or where the disk took no record of it, its snapshot."""
    vault = _open(place)
    backups = [head for head in vault.snapshots() if head.kind == "auto-backup"]
    assert backups
    try:
        vault.undo(place / "workspace/model" / NAME)
    except NotFound:
        assert fault in ("ENOSPC", "EIO", "EACCES")
        vault.restore(backups[0].id, RestoreOptions(allow_incomplete=True))
    assert _own(place) == scene.states["wreck"]


def check_ended(ended: Any, fault: str, number: int) -> None:
    """What a fault ends in: its own exception, or an error of ours with its documented exit code, or none at all."""
    if fault == "kill":
        assert ended.killed or ended.raised == "", ended
    elif fault in ("crash", "interrupt"):
        assert ended.raised in ("", "Crash", "KeyboardInterrupt"), ended
    else:
        assert ended.raised in ("", "NoSpace", "StorageError"), (number, ended)
        assert ended.code in (0, 1)
        assert "\n" not in ended.told


@posix
@pytest.mark.parametrize(
    ("fault", "points"),
    [
        ("kill", 20),
        ("crash", 10),
        ("ENOSPC", 8),
        ("EIO", 8),
        pytest.param("kill", ALL, marks=slow),
        pytest.param("crash", ALL, marks=slow),
        pytest.param("ENOSPC", ALL, marks=slow),
        pytest.param("EIO", ALL, marks=slow),
        pytest.param("EACCES", ALL, marks=slow),
    ],
)
def test_restore(scene: Scene, fault: str, points: int) -> None:
    run_restore_campaign(scene, fault, points)


@posix
@pytest.mark.parametrize(("fault", "points"), [("kill", 8), pytest.param("kill", ALL, marks=slow)])
def test_undo(scene: Scene, fault: str, points: int) -> None:
    def prepared() -> Path:
        place = scene.fresh()
        restore_first(place)()
        return place

    total = count_calls(undo(prepared()))
    old, new = scene.states["first"], scene.states["wreck"]
    for number in spread(total, points):
        place = prepared()
        trial(number, fault, undo(place))
        check_startable(place, [old, new])
        finish_interrupted(_open(place))
        assert _own(place) in (old, new)
        check_clean(place)
        if _own(place) == old:
            undo(place)()
        assert _own(place) == new
        assert _others(place) == scene.neighbours
        check_vault(scene, place)


@posix
def test_every_crash_that_comes_while_finishing_is_finished_too(scene: Scene) -> None:
    """A second crash, while the first is being finished, and a third."""
    total = count_calls(restore_first(scene.fresh()))
    old, new = scene.states["wreck"], scene.states["first"]
    half = 0
    for number in range(total - 25, total + 1):
        place = scene.fresh()
        trial(number, "kill", restore_first(place))
        for second in (1, 3, 2):
            trial(second, "kill", lambda place=place: finish_interrupted(_open(place)))  # type: ignore[misc]
            check_startable(place, [old, new])
        half += f"{NAME}_data.dat" not in _own(place) and _own(place) != old
        finish_interrupted(_open(place))
        assert _own(place) in (old, new)
        check_clean(place)
    assert half > 0


# Init and snapshot


@posix
@pytest.mark.parametrize(("fault", "points"), [("kill", 8), ("EIO", 5), pytest.param("kill", ALL, marks=slow)])
def test_init(scene: Scene, tmp_path: Path, fault: str, points: int) -> None:
    def make(path: Path) -> Callable[[], object]:
        return lambda: api.init(path)

    total = count_calls(make(tmp_path / "counted"))
    for number in spread(total, points):
        path = tmp_path / f"vault {number}"
        trial(number, fault, make(path))
        vault = api.init(path)
        vault.snapshot(scene.origin / "workspace/model/other_SAEHD", patience=Patience(0.0))
        assert vault.verify(read_data=True).ok


@posix
@pytest.mark.parametrize(
    ("fault", "points"),
    [
        ("kill", 10),
        ("crash", 6),
        ("ENOSPC", 6),
        ("EIO", 6),
        ("EACCES", 6),
        *(pytest.param(fault, ALL, marks=slow) for fault in ("kill", "crash", "ENOSPC", "EIO", "EACCES")),
    ],
)
def test_snapshot(scene: Scene, fault: str, points: int) -> None:
    def prepared() -> Path:
        place = scene.fresh()
        make_model(place / "workspace/model", size=60_000, seed=5, iterations=20)
        (place / f"workspace/model/{NAME}_inter_B.npy.tmp").unlink(missing_ok=True)
        return place

    def work(place: Path) -> Callable[[], object]:
        return lambda: _open(place).snapshot(place / "workspace/model" / NAME, name="third", notes="n")

    total = count_calls(work(prepared()))
    assert total > 30
    for number in spread(total, points):
        place = prepared()
        before = tree(place / "workspace")
        ended = trial(number, fault, work(place))
        check_ended(ended, fault, number)
        assert tree(place / "workspace") == before
        heads = _open(place).snapshots()
        if not ended.killed and ended.raised == "":
            assert len(heads) == 3
        assert [head.name for head in heads[:2]] == ["first", "second"]
        assert _open(place).verify(read_data=True).ok
        if len(heads) == 3:
            assert heads[2].name == "third"
            assert not heads[2].incomplete
        taken = work(place)()
        again = place / "again"
        _open(place).restore(taken.head.id, RestoreOptions(to=again))  # type: ignore[attr-defined]
        assert tree(again) == _own(place)
        check_vault(scene, place)


# In this process


def test_the_backup_verifies_before_the_first_file_of_the_model_moves(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = scene.fresh()
    folder = place / "workspace/model"
    replace, unlink = os.replace, os.unlink
    moved = []

    def guarded(*paths: Any) -> None:
        if any(Path(path).parent == folder for path in paths):
            moved.append(paths)
            raise Crash

    monkeypatch.setattr(os, "replace", lambda a, b: guarded(a, b) or replace(a, b))  # type: ignore[func-returns-value]
    monkeypatch.setattr(os, "unlink", lambda p, **o: guarded(p) if not o else unlink(p, **o))
    with pytest.raises(Crash):
        _open(place).restore("first")
    monkeypatch.undo()
    assert len(moved) == 1
    assert _own(place) == scene.states["wreck"]
    backup = _open(place).snapshots()[-1]
    assert backup.kind == "auto-backup"
    assert _open(place).verify(read_data=True).ok
    _open(place).restore(backup.id, RestoreOptions(to=place / "back", allow_incomplete=True))
    assert tree(place / "back") == scene.states["wreck"]


@posix
def test_the_backup_is_on_the_disk_before_the_first_file_of_the_model_moves(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = scene.fresh()
    folder, vault = place / "workspace/model", place / ".casvault"
    events: list[str] = []
    replace, fsync = os.replace, os.fsync

    def replaced(source: Any, target: Any) -> None:
        if Path(target).parent == vault / "snapshots":
            events.append("manifest")
        elif folder in (Path(source).parent, Path(target).parent):
            events.append("moved")
        replace(source, target)

    def synced(descriptor: int) -> None:
        if os.path.sameopenfile(descriptor, snapshots):
            events.append("synced")
        fsync(descriptor)

    snapshots = os.open(vault / "snapshots", os.O_RDONLY)
    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(os, "fsync", synced)
    try:
        _open(place).restore("first")
    finally:
        os.close(snapshots)
    assert events[:3] == ["manifest", "synced", "moved"]


def _interrupted(scene: Scene, moves: int) -> Path:
    """Return a copy in which a restore crashed after so many files of the model were moved."""
    place = scene.fresh()
    folder = place / "workspace/model"
    replace, left = os.replace, [moves]

    def limited(source: Any, target: Any) -> None:
        if folder in (Path(source).parent, Path(target).parent):
            if left[0] == 0:
                raise Crash
            left[0] -= 1
        replace(source, target)

    with mock.patch.object(os, "replace", limited), pytest.raises(Crash):
        _open(place).restore("first")
    return place


@pytest.mark.parametrize("command", ["snapshot", "restore", "undo", "finish"])
def test_any_command_finishes_what_was_interrupted(scene: Scene, command: str) -> None:
    place = _interrupted(scene, 2)
    folder, vault = place / "workspace/model", _open(place)
    assert f"{NAME}_data.dat" not in _own(place)
    if command == "snapshot":
        assert vault.snapshot(folder / NAME).head.iteration == 5
    elif command == "restore":
        assert vault.restore("first").plan.nothing_to_do
    elif command == "undo":
        vault.undo(folder / NAME)
    else:
        told = vault.finish_interrupted()
        backup = vault.snapshots()[-1]
        assert len(told) == 1
        assert scene.ids["first"] in told[0]
        assert backup.id in told[0]
        assert vault.finish_interrupted() == []
    assert _own(place) == scene.states["wreck" if command == "undo" else "first"]
    check_clean(place)


@pytest.mark.parametrize("role", ["encoder.npy", "data.dat", "decoder.npy", "inter_B.npy.tmp"])
def test_a_model_that_somebody_went_on_with_is_left_alone(scene: Scene, role: str) -> None:
    place = _interrupted(scene, 2)
    path = place / "workspace/model" / f"{NAME}_{role}"
    path.write_bytes(b"the trainer's new one")
    before = tree(place / "workspace")
    vault = _open(place)
    (told,) = vault.finish_interrupted()
    assert tree(place / "workspace") == before
    backup = next(head for head in vault.snapshots() if head.kind == "auto-backup")
    assert str(path) in told
    assert backup.id in told
    assert "\n" not in told
    assert vault.finish_interrupted() == [told]
    # A new restore settles it.
    vault.restore("first")
    assert _own(place) == scene.states["first"]
    check_clean(place)


def test_a_file_whose_new_bytes_are_gone_is_not_taken_for_done(scene: Scene) -> None:
    place = _interrupted(scene, 2)
    staged = sorted(next((place / "workspace/model").glob(".casvault_restore_*")).glob("files/*"))
    staged[0].unlink()
    before = tree(place / "workspace")
    (told,) = _open(place).finish_interrupted()
    assert "was lost since" in told
    assert tree(place / "workspace") == before
    _open(place).restore("first")
    assert _own(place) == scene.states["first"]
    check_clean(place)


def test_a_restore_that_still_runs_is_left_alone(scene: Scene) -> None:
    place = _interrupted(scene, 2)
    vault = _open(place)
    pointer = next((place / ".casvault/tmp").glob("restore-*.json"))
    before = tree(place / "workspace")
    with vault.locks.model(json.loads(pointer.read_bytes())["key"], "restore"):
        assert finish_interrupted(_open(place)) == []
    assert tree(place / "workspace") == before
    assert len(finish_interrupted(_open(place))) == 1


@pytest.mark.parametrize(
    "pointer",
    [
        b"",
        b"[]",
        b'{"folder": "/", "name": "../x", "key": "k"}',
        b'{"folder": "relative", "name": ".casvault_restore_0123456789abcdef", "key": "k"}',
        b'{"folder": 5, "name": ".casvault_restore_0123456789abcdef", "key": "k"}',
    ],
)
def test_a_pointer_that_leads_nowhere_harms_nothing(scene: Scene, pointer: bytes) -> None:
    place = scene.fresh()
    (place / ".casvault/tmp/restore-0123456789abcdef.json").write_bytes(pointer)
    before = tree(place / "workspace")
    assert finish_interrupted(_open(place)) == []
    assert tree(place / "workspace") == before


def test_a_journal_with_a_wrong_bit_is_not_followed(scene: Scene) -> None:
    place = _interrupted(scene, 2)
    journal = next((place / "workspace/model").glob(".casvault_restore_*/journal.json"))
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 1
    journal.write_bytes(data)
    before = tree(place / "workspace")
    (told,) = finish_interrupted(_open(place))
    assert "checksum" in told
    assert tree(place / "workspace") == before
    _open(place).restore("first")
    assert _own(place) == scene.states["first"]
    check_clean(place)


def test_a_file_that_is_busy_is_named_and_the_next_command_goes_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = scene.fresh()
    replace = os.replace

    def busy(source: Any, target: Any) -> None:
        if Path(target).name == f"{NAME}_decoder.npy":
            raise PermissionError(13, "Permission denied", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy)
    with pytest.raises(CasvaultError, match=r"decoder\.npy") as caught:
        _open(place).restore("first")
    assert "any casvault command" in str(caught.value)
    check_startable(place, [])
    monkeypatch.undo()
    assert len(_open(place).finish_interrupted()) == 1
    assert _own(place) == scene.states["first"]


@pytest.mark.parametrize("number", range(1, 40, 3))
def test_a_disk_that_is_full_before_the_journal_leaves_everything_as_it_was(scene: Scene, number: int) -> None:
    place = scene.fresh()
    before = tree(place / "workspace")
    failure: CasvaultError | None = None
    with die_at(number, failing(errno.ENOSPC)) as count:
        try:
            _open(place).restore("first")
        except CasvaultError as error:
            failure = error
    if failure is not None:
        assert failure.exit_code == 1
        assert tree(place / "workspace") == before
    else:
        assert _own(place) == scene.states["first"]
    assert count[0] >= number
    assert not list(place.rglob(".*.tmp"))
    check_clean(place)
