"""Undo: what was there before the last restore, whole or not; and back again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from casvault import api
from casvault.errors import NotFound
from casvault.models import Trainer
from casvault.prune import Rules
from casvault.restore import RestoreOptions, restore
from tests.support.trainer import NAME, make_model, tree, wreck

restoring = sys.modules[restore.__module__]


def test_undo_brings_the_wreck_back_and_a_second_undo_goes_forth(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    place = model.folder / NAME
    vault.snapshot(place, name="good")
    good = tree(model.folder)
    wreck(model)
    bad = tree(model.folder)
    assert f"{NAME}_inter_B.npy.tmp" in bad
    vault.restore("good")
    assert tree(model.folder) == good
    for wanted in (bad, good, bad, good):
        vault.undo(place)
        assert tree(model.folder) == wanted
    assert len(vault.snapshots()) == 2


def test_undo_works_by_name_and_without_the_derived_record(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    vault.snapshot(model.folder / NAME, name="first")
    model.train(2)
    model.save()
    second = tree(model.folder)
    vault.restore("first")
    shutil.rmtree(tmp_path / ".casvault" / "cache")
    vault.undo("new")
    assert tree(model.folder) == second


def test_undo_when_nothing_of_the_model_is_left(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    vault.snapshot(model.folder / NAME, name="first")
    model.train(2)
    model.save()
    second = tree(model.folder)
    vault.restore("first")
    for path in model.paths():
        path.unlink()
    vault.undo(model.folder / NAME)
    assert tree(model.folder) == second


def test_undo_of_one_model_is_not_that_of_its_neighbour(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    one = make_model(tmp_path / "workspace" / "model", "one_SAEHD", 60_000, 1)
    two = make_model(tmp_path / "workspace" / "model", "two_SAEHD", 60_000, 2)
    for model in (one, two):
        vault.snapshot(model.folder / model.name, name=model.name)
        model.train(2)
        model.save()
    before = tree(one.folder)
    vault.restore("one_SAEHD")
    with pytest.raises(NotFound, match="two_SAEHD"):
        vault.undo(two.folder / "two_SAEHD")
    vault.undo(one.folder / "one_SAEHD")
    assert tree(one.folder) == before


def test_there_is_nothing_to_undo_before_a_restore(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    vault.snapshot(model.folder / NAME)
    with pytest.raises(NotFound, match="nothing to undo"):
        vault.undo(model.folder / NAME)
    vault.restore("latest", RestoreOptions(to=tmp_path / "elsewhere"))
    with pytest.raises(NotFound, match="nothing to undo"):
        vault.undo(tmp_path / "elsewhere" / NAME)
    with pytest.raises(NotFound):
        vault.undo(tmp_path / "never" / "was_SAEHD")


def test_a_plan_of_an_undo_changes_nothing(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    vault.snapshot(model.folder / NAME, name="first")
    wreck(model)
    vault.restore("first")
    before = tree(tmp_path)
    plan = vault.plan_undo(model.folder / NAME)
    assert {change.action for change in plan.changes} == {"add", "keep", "remove", "replace"}
    assert plan.head.kind == "auto-backup"
    assert tree(tmp_path) == before


def test_a_snapshot_after_the_restore_does_not_end_the_undo(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    vault.snapshot(model.folder / NAME, name="first")
    model.train(2)
    model.save()
    second = tree(model.folder)
    vault.restore("first")
    vault.snapshot(model.folder / NAME, name="again")
    vault.undo(model.folder / NAME)
    assert tree(model.folder) == second


def test_a_backup_that_was_deleted_is_told(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    vault.snapshot(model.folder / NAME, name="first")
    model.train(2)
    model.save()
    second = tree(model.folder)
    backup = vault.restore("first").backup
    assert backup is not None
    vault.delete(backup.id)
    with pytest.raises(NotFound, match=f"casvault undelete {backup.id}"):
        vault.undo(model.folder / NAME)
    vault.undelete(backup.id)
    vault.undo(model.folder / NAME)
    assert tree(model.folder) == second


def test_what_undo_goes_back_to_is_not_pruned(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    for name in ("first", "second", "third"):
        vault.snapshot(model.folder / NAME, name=name)
        model.train(2)
        model.save()
    vault.snapshot(model.folder / NAME, name="fourth")
    last = tree(model.folder)
    backup = vault.restore("first").backup
    assert backup is not None
    assert backup.name == "fourth"
    vault.snapshot(model.folder / NAME, name="fifth")
    plan = vault.prune(Rules(last=1), include_manual=True, gc=True)
    assert "undo" in next(one for one in plan.verdicts if one.head.id == backup.id).reasons
    vault.undo(model.folder / NAME)
    assert tree(model.folder) == last


def test_a_backup_that_is_given_up_while_a_restore_prepares_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    vault.snapshot(model.folder / NAME, name="first")
    model.train(2)
    model.save()
    vault.snapshot(model.folder / NAME, name="second")
    second = tree(model.folder)
    check, deleted = restoring.check_not_trained, list[str]()

    def meanwhile(name: str, trainers: Sequence[Trainer]) -> None:
        if not deleted:
            deleted.append("second")
            api.open(tmp_path / ".casvault").delete("second")
        check(name, trainers)

    monkeypatch.setattr(restoring, "check_not_trained", meanwhile)
    result = vault.restore("first")
    assert result.backup is not None
    assert not result.backup_existed
    vault.gc()
    vault.undo(model.folder / NAME)
    assert tree(model.folder) == second
