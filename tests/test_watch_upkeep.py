"""What a watch deletes again, and how much room it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from casvault import Rules, api
from casvault.errors import Cancelled, Locked, NotFound
from casvault.prune.prune import PrunePlan
from casvault.prune.rules import RETENTION
from casvault.vault.head import Head
from casvault.watch.upkeep import Room, Upkeep
from tests.support.history import History, stored
from tests.support.watching import Disk, upkeep


def one(history: History) -> int:
    """Return what a snapshot stores, on the average."""
    return stored(history.vault) // len(history.left())


def well() -> bool:
    return True


def ill() -> bool:
    return False


def never() -> bool:
    raise AssertionError("nobody was to ask")


def tidy(history: History, last: int) -> PrunePlan | None:
    return Upkeep(history.vault, Rules(last=last)).tidy(history.vault.snapshots())


def scheduled(vault: api.Vault) -> list[Head]:
    return [head for head in vault.snapshots() if head.kind == "scheduled"]


# By rule


def test_the_default() -> None:
    assert Rules(last=6, hourly=24, daily=14, best=3) == RETENTION


def test_only_scheduled_ones_go_and_their_space_is_free(tmp_path: Path) -> None:
    history = History(tmp_path, 0)
    for kind in ("scheduled", "manual", "scheduled", "imported", "scheduled", "auto-backup", "scheduled"):
        history.snapshot(kind)
    history.vault.edit(history.ids[2], pinned=True)
    before = stored(history.vault)
    done = tidy(history, 1)
    assert done is not None
    assert done.goes == (history.ids[0], history.ids[4])
    assert history.left() == [1, 2, 3, 5, 6]
    assert stored(history.vault) < before - one(history)
    for id in done.goes:
        with pytest.raises(NotFound, match="gc has freed its space"):
            history.vault.undelete(id)
    assert tidy(history, 1) is None
    assert history.vault.verify(read_data=True).ok


def test_its_gc_gives_up_nothing_that_somebody_else_did(tmp_path: Path) -> None:
    history = History(tmp_path, 5)
    vault, ids = history.vault, history.ids
    vault.delete(ids[1], ids[4])
    vault.thin(ids[3])
    assert tidy(history, 1) is not None
    assert history.left() == [3]
    assert vault.undelete(ids[1]).id == ids[1]
    vault.undelete(ids[4])
    vault.unthin(ids[3])
    assert history.left() == [1, 3, 4]
    assert vault.verify(read_data=True).ok


def test_nothing_is_counted_where_nothing_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(tmp_path, 2)
    monkeypatch.setattr(upkeep, "plan_prune", None)
    assert tidy(history, 2) is None
    assert Upkeep(history.vault, None).tidy(history.vault.snapshots()) is None


def test_what_gc_was_kept_from_it_does_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(tmp_path, 3)
    keeper = Upkeep(history.vault, Rules(last=1))
    collect = upkeep.collect

    def refuse(*_: object, **__: object) -> None:
        raise Locked("somebody is at work.")

    monkeypatch.setattr(upkeep, "collect", refuse)
    with pytest.raises(Locked):
        keeper.tidy(history.vault.snapshots())
    assert history.left() == [2]
    before = stored(history.vault)
    history.vault.undelete(history.ids[0])
    history.vault.edit(history.ids[0], pinned=True)
    monkeypatch.setattr(upkeep, "collect", collect)
    assert keeper.tidy(history.vault.snapshots()) is None
    assert stored(history.vault) < before
    # What was brought back in between is not given up.
    assert history.left() == [0, 2]
    assert history.vault.verify(read_data=True).ok
    monkeypatch.setattr(upkeep, "collect", None)
    assert keeper.tidy(history.vault.snapshots()) is None, "gc has nothing more to do"


def test_gc_can_be_stopped(tmp_path: Path) -> None:
    history = History(tmp_path, 3)
    keeper = Upkeep(history.vault, Rules(last=1))
    keeper.progress.cancel()
    with pytest.raises(Cancelled):
        keeper.tidy(history.vault.snapshots())
    assert history.vault.verify(read_data=True).ok


# By room


def room(
    history: History,
    disk: Disk,
    missing: int,
    is_well: Callable[[], bool] = well,
    rules: Rules | None = RETENTION,
) -> Room:
    """Ask for room for a model of 1,000 bytes where so many bytes are missing."""
    disk.room = stored(history.vault) + 1000 + 5000 - missing
    return Upkeep(history.vault, rules).make_room(history.vault.snapshots(), 1000, is_well)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch, least=5000)


def test_where_there_is_room_nothing_is_done(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(tmp_path, 2)
    monkeypatch.setattr(upkeep, "account", None)
    assert room(history, disk, 0, never) == Room()


def test_what_must_stay_free_is_twice_the_model_or_2_gb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    history = History(tmp_path, 0)
    disk = Disk(monkeypatch)
    keeper = Upkeep(history.vault, RETENTION)
    for size, least in ((600_000_000, 2_600_000_000), (1_000_000_000, 3_000_000_000), (5_000_000_000, 15_000_000_000)):
        disk.room = least
        assert keeper.make_room([], size, never) == Room()
        disk.room = least - 1_000_000
        assert keeper.make_room([], size, never).missing == "1 MB of room are missing on the disk of the vault"


def test_the_oldest_go_until_there_is_room_though_rules_keep_them(tmp_path: Path, disk: Disk) -> None:
    history = History(tmp_path, 5)
    history.snapshot("manual")
    assert room(history, disk, one(history) // 2) == Room(1)
    assert history.left() == [1, 2, 3, 4, 5]
    assert room(history, disk, one(history) * 3 // 2) == Room(2)
    assert history.left() == [3, 4, 5]
    assert history.vault.verify(read_data=True).ok


def test_where_all_would_not_do_none_goes(tmp_path: Path, disk: Disk) -> None:
    history = History(tmp_path, 3)
    for missing in (one(history) * 5 // 2, 10**9):
        found = room(history, disk, missing)
        assert found.deleted == 0
        assert found.missing is not None
        assert found.missing.endswith("there is nothing to delete for it")
        assert history.left() == [0, 1, 2]


def test_none_goes_where_all_are_to_be_kept(tmp_path: Path, disk: Disk) -> None:
    history = History(tmp_path, 3)
    assert room(history, disk, 1000, never, rules=None).missing is not None
    assert history.left() == [0, 1, 2]


def test_a_model_that_is_ill_displaces_no_healthy_one(tmp_path: Path, disk: Disk) -> None:
    history = History(tmp_path, 4)
    assert room(history, disk, one(history) // 2, ill).missing is not None
    assert history.left() == [0, 1, 2, 3]


def test_what_is_not_healthy_goes_first_and_nobody_has_to_look(tmp_path: Path, disk: Disk) -> None:
    history = History(tmp_path, 5)
    _break(history, 2, 3)
    assert room(history, disk, one(history) // 2, never) == Room(1)
    assert history.left() == [0, 1, 3, 4]
    assert room(history, disk, one(history) * 3 // 2, well) == Room(2)
    assert history.left() == [1, 4]


def _break(history: History, *numbers: int) -> None:
    """Let snapshots say that their model was broken, by hand."""
    vault = history.vault
    for number in numbers:
        manifest = vault.manifest(history.ids[number])
        vault.backend.delete(f"snapshots/{manifest.id}.json")
        told = {"state": "broken", "findings": ["a weight has NaN."]}
        vault.backend.write(f"snapshots/{manifest.id}.json", replace(manifest, health=told).to_bytes())


def test_a_damaged_manifest_is_told_and_nothing_is_deleted(tmp_path: Path, disk: Disk) -> None:
    history = History(tmp_path, 3)
    assert history.vault.path is not None
    (history.vault.path / "snapshots" / f"{history.ids[1]}.json").write_bytes(b"{}")
    found = room(history, disk, 1000)
    assert found.missing is not None
    assert "nothing could be freed" in found.missing
    assert history.left() == [0, 2]
