"""Thinning: what is given up, what it frees, how it is undone, and which snapshots age picks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from casvault import RestoreOptions
from casvault.errors import NotFound, UsageError
from casvault.manifest.label import Label
from casvault.thin import old_snapshots
from casvault.vault.vault import Vault
from tests.support.history import History, make_training, snapshot_of, stored
from tests.support.trainer import contents, tree
from tests.support.vaults import make_manifest, memory_vault, stamp

OPTIMIZER = "new_SAEHD_src_dst_opt.npy"


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path, 3)


def test_a_thinned_snapshot_restores_without_its_optimizer(history: History) -> None:
    wanted = tree(history.model.folder)
    history.snapshot()
    result = history.vault.thin(history.ids[2])
    assert result.files == {history.ids[2]: (OPTIMIZER,)}
    history.vault.gc()
    assert history.vault.verify(read_data=True).ok
    history.vault.restore(history.ids[2])
    del wanted[OPTIMIZER]
    assert tree(history.model.folder) == wanted
    assert history.vault.find(history.ids[2]).label.thinned == (OPTIMIZER,)


def test_gc_frees_what_was_told(tmp_path: Path) -> None:
    vault, ids = make_training(tmp_path, 3)
    plan = vault.plan_thin(*ids[:2])
    assert not vault.find(ids[0]).label.thinned
    assert vault.thin(*ids[:2]) == plan
    before = stored(vault)
    result = vault.gc(recode=False)
    assert before - stored(vault) == result.freed_bytes == plan.frees_bytes > 0
    assert result.base_bytes == plan.leaned_bytes > 0
    assert vault.gc().recoding_freed_bytes > plan.leaned_bytes / 2
    assert vault.verify(read_data=True).ok


def test_the_size_that_is_held_goes_down(history: History) -> None:
    before = history.vault.usage(history.ids[0]).snapshots[0].logical_bytes
    size = (history.model.folder / OPTIMIZER).stat().st_size
    history.vault.thin(history.ids[0])
    assert history.vault.usage(history.ids[0]).snapshots[0].logical_bytes == before - size
    assert history.vault.find(history.ids[0]).size == before


def test_thinning_is_undone_until_gc(history: History) -> None:
    wanted = tree(history.model.folder)
    history.vault.edit(history.ids[2], name="kept", tag=["good"])
    history.vault.thin("kept")
    head = history.vault.unthin("kept")
    assert (head.label.thinned, head.name, head.label.tags) == ((), "kept", ("good",))
    history.vault.gc()
    history.model.train(1)
    history.model.save()
    history.vault.restore("kept", RestoreOptions(backup=False))
    assert tree(history.model.folder) == wanted
    history.vault.thin("kept", gc=True)
    with pytest.raises(NotFound, match="gc has freed what snapshot 'kept' was thinned of"):
        history.vault.unthin("kept")
    assert history.vault.find("kept").label.thinned == (OPTIMIZER,)


def test_taking_back_nothing_changes_nothing(history: History) -> None:
    assert history.vault.path is not None
    before = contents(history.vault.path, "labels")
    assert history.vault.unthin(history.ids[0]).label.thinned == ()
    assert contents(history.vault.path, "labels") == before


def test_what_another_snapshot_holds_can_come_back_after_gc(history: History) -> None:
    again = snapshot_of(history.vault, history.model.folder)
    history.vault.thin(again, gc=True)
    assert history.vault.unthin(again).label.thinned == ()
    assert history.vault.verify(read_data=True).ok


def test_what_cannot_be_thinned_is_refused_and_nothing_changes(history: History, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "weights_opt.npy").write_bytes(b"of a trainer that is not known")
    generic = snapshot_of(history.vault, folder)
    history.vault.edit(history.ids[1], pinned=True)
    history.vault.thin(history.ids[2])
    history.vault.delete(history.ids[2])
    for reference, error, words in (
        (generic, UsageError, "of run has no optimizer to give up"),
        (history.ids[1], UsageError, "is pinned"),
        (history.ids[2], NotFound, "no snapshot"),
        ("no such", NotFound, "no snapshot"),
    ):
        with pytest.raises(error, match=words):
            history.vault.thin(history.ids[0], reference)
    assert not history.vault.find(history.ids[0]).label.thinned
    history.vault.thin(history.ids[0])
    with pytest.raises(UsageError, match="has no optimizer to give up"):
        history.vault.thin(history.ids[0])


def test_a_model_trains_on_from_a_thinned_snapshot_and_is_snapshotted(history: History) -> None:
    history.vault.thin(*history.ids, gc=True)
    history.vault.restore(history.ids[0], RestoreOptions(backup=False))
    history.model.iteration = 8
    history.model.losses = history.model.losses[:8]
    wanted_id = history.snapshot()
    wanted = tree(history.model.folder)
    history.vault.restore(history.ids[1], RestoreOptions(backup=False))
    assert OPTIMIZER not in tree(history.model.folder)
    history.vault.restore(wanted_id)
    assert tree(history.model.folder) == wanted


def test_asking_for_nothing_does_nothing(history: History) -> None:
    result = history.vault.thin()
    assert (result.heads, result.files, result.frees_bytes) == ((), {}, 0)


def test_json(history: History) -> None:
    document = history.vault.plan_thin(history.ids[0]).to_json()
    assert document == json.loads(json.dumps(document))
    assert document["thinned"] == {history.ids[0]: [OPTIMIZER]}
    assert document["frees_bytes"] > 0
    assert document["leaned_bytes"] == 0


# By age

NOW = datetime(2026, 11, 30, tzinfo=timezone.utc)


def add(vault: Vault, day: int, pinned: bool = False, thinned: Sequence[str] = (), **more: object) -> str:
    """Put the manifest of a model with an optimizer into a vault, saved on that day of November."""
    time = f"2026-11-{day:02}T12:00:00.000Z"
    files = {"new_SAEHD_data.dat": b"data", OPTIMIZER: b"moments"}
    made = make_manifest(stamp(day * 86_400), files, **{"saved_at": time, "created": time, "kind": "scheduled", **more})
    entries = tuple(replace(file, role=file.path.removeprefix("new_SAEHD_")) for file in made.files)
    made = replace(made, files=entries)
    vault.commit(made, Label(made.id, pinned=pinned, thinned=tuple(thinned)))
    return made.id


def days(vault: Vault, older_than: timedelta, keep_last: int = 0) -> list[int]:
    return [int(id[6:8]) - 1 for id in old_snapshots(vault, older_than, keep_last, NOW)]


def test_age_picks_the_old_ones() -> None:
    vault = memory_vault()
    for day in (5, 10, 15, 20, 25):
        add(vault, day)
    assert days(vault, timedelta(days=14)) == [5, 10, 15]
    assert days(vault, timedelta(days=14), 4) == [5]
    assert days(vault, timedelta(days=14), 9) == []
    assert days(vault, timedelta(days=999_999)) == []


def test_age_leaves_the_newest_sound_one_of_each_model() -> None:
    vault = memory_vault()
    add(vault, 5)
    add(vault, 6)
    add(vault, 7, incomplete=True)
    add(vault, 8, model_name="other_SAEHD")
    add(vault, 9, source="another/place")
    assert days(vault, timedelta()) == [5, 7]
    assert days(vault, timedelta(), 1) == [5]
    assert days(vault, timedelta(), 2) == []


def test_age_leaves_pinned_and_thinned_ones_and_unknown_kinds() -> None:
    vault = memory_vault()
    add(vault, 5, pinned=True)
    add(vault, 6, thinned=[OPTIMIZER])
    add(vault, 7, model_kind="of the future")
    add(vault, 8, model_kind="generic")
    add(vault, 9)
    add(vault, 10)
    assert days(vault, timedelta()) == [9]


def test_age_is_when_the_trainer_saved() -> None:
    vault = memory_vault()
    add(vault, 25, saved_at="2026-11-01T00:00:00.000Z")
    add(vault, 26, saved_at=None)
    add(vault, 27)
    assert days(vault, timedelta(days=20)) == [25]


@pytest.mark.parametrize(("older_than", "keep_last"), [(timedelta(-1), 0), (timedelta(1), -1)])
def test_less_than_nothing_is_refused(older_than: timedelta, keep_last: int) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        old_snapshots(memory_vault(), older_than, keep_last)
