"""A watch over a model: which saves become snapshots, and what does not end it."""

from __future__ import annotations

import importlib
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casvault import Patience, RestoreOptions, Rules, api
from casvault.demo.model import SampleModel
from casvault.errors import AmbiguousError, NoSpace, UsageError
from casvault.watch import Event, Rhythm, Watcher
from tests.support.holders import Holder
from tests.support.trainer import NAME, contents, make_model
from tests.support.watching import Disk, Watched

module: Any = importlib.import_module("casvault.watch.watcher")
taking: Any = importlib.import_module("casvault.watch.taking")


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(module, "_RETRY", 0.0)
    return Disk(monkeypatch)


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    return make_model(tmp_path / "workspace" / "model", size=60_000)


@pytest.fixture
def watched(vault: api.Vault, model: SampleModel) -> Watched:
    made = Watched(vault, model.folder)
    made.watcher.patience = made.watcher._taker.patience = Patience(0.0)
    return made


def save(model: SampleModel, iterations: int = 10) -> int:
    model.train(iterations)
    model.save()
    return model.iteration


# Which saves


def test_each_save_is_taken_once(vault: api.Vault, model: SampleModel, watched: Watched) -> None:
    wanted = [model.iteration]
    assert watched.look(3) == ["snapshot"]
    for _ in range(3):
        wanted.append(save(model))
        assert watched.look(3) == ["snapshot"]
    assert watched.iterations == wanted
    heads = vault.snapshots()
    assert {head.kind for head in heads} == {"scheduled"}
    assert [vault.manifest(head.id).parent for head in heads] == [None, *(head.id for head in heads[:-1])]
    told = watched.events[-1]
    assert (told.model, told.snapshot) == (NAME, heads[-1].id)
    assert told.text.startswith("iteration 35, ")


def test_started_anew_it_takes_what_it_missed_and_nothing_twice(vault: api.Vault, model: SampleModel) -> None:
    assert Watched(vault, model.folder).look(2) == ["snapshot"]
    assert Watched(vault, model.folder).look(3) == []
    wanted = [model.iteration, save(model)]
    again = Watched(api.open(vault.path or ""), model.folder)
    assert again.look(3) == ["snapshot"]
    assert again.iterations == wanted


def test_what_somebody_took_is_not_taken_again(vault: api.Vault, model: SampleModel, watched: Watched) -> None:
    vault.snapshot(model.folder, name="by hand")
    assert watched.look(2) == []
    save(model)
    vault.snapshot(model.folder)
    assert watched.look(2) == []
    save(model)
    assert watched.look(2) == ["snapshot"]


def test_an_idle_look_reads_nothing_of_the_vault(
    vault: api.Vault, model: SampleModel, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watched.look(2) == ["snapshot"]
    opened = []
    for name in ("read", "list"):
        monkeypatch.setattr(type(vault.backend), name, lambda *_, name=name: opened.append(name))
    monkeypatch.setattr(importlib.import_module("casvault.capture.capture"), "open_shared", opened.append)
    assert watched.look(5) == []
    assert opened == []
    save(model)
    watched.look()
    assert opened


@pytest.mark.parametrize(
    ("rhythm", "taken"),
    [(Rhythm(2), [5, 25, 45]), (Rhythm(iterations=30), [5, 35]), (Rhythm(iterations=20), [5, 25, 45])],
)
def test_the_rhythm(vault: api.Vault, model: SampleModel, rhythm: Rhythm, taken: list[int]) -> None:
    watched = Watched(vault, model.folder, rhythm=rhythm)
    watched.look(2)
    for _ in range(4):
        save(model)
        watched.look(2)
    assert watched.iterations == taken


def test_a_rhythm_of_minutes_takes_the_newest_save_when_the_time_has_come(
    vault: api.Vault, model: SampleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module, "time", type("Clock", (), {"monotonic": lambda: now[0]}))
    rhythm: Any = importlib.import_module("casvault.watch.rhythm")
    watched = Watched(vault, model.folder, rhythm=Rhythm(minutes=10))
    watched.look(2)
    for _ in range(3):
        save(model)
        now[0] += 60
        assert watched.look(2) == []
    begun = rhythm.datetime.now(rhythm.timezone.utc)
    minutes = [10]
    later = type("Later", (), {"now": lambda zone: begun + rhythm.timedelta(minutes=minutes[0])})
    monkeypatch.setattr(rhythm, "datetime", later)
    assert watched.look(2) == [], "the files were read again before the time had come"
    now[0] += 600
    assert watched.look(2) == ["snapshot"]
    assert watched.iterations == [5, 35]
    minutes[0] = 5
    save(model)
    assert watched.look(2) == []
    now[0] += 600
    minutes[0] = 20
    assert watched.look(2) == ["snapshot"], "no other save came to tell that the time has come"


# What was restored


def test_what_was_restored_is_no_save(vault: api.Vault, model: SampleModel, watched: Watched) -> None:
    watched.look(2)
    save(model)
    watched.look(2)
    first, second = vault.snapshots()
    for reference in (first.id, second.id, first.id):
        vault.restore(reference)
        assert watched.look(3) == []
    vault.undo(model.folder)
    assert watched.look(3) == []
    assert [head.id for head in vault.snapshots()] == [first.id, second.id]
    # What is trained on from there is one.
    vault.restore(first.id)
    save(model)
    assert watched.look(3) == ["snapshot"]
    taken = vault.manifest(vault.snapshots()[-1].id)
    assert (taken.parent, taken.restored_from) == (first.id, first.id)


def test_a_restore_that_comes_in_between_is_no_save(
    vault: api.Vault, model: SampleModel, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.look(2)
    (first,) = vault.snapshots()
    save(model)
    has_room = taking.Taker._has_room

    def restore_first(*arguments: Any) -> bool:
        monkeypatch.setattr(taking.Taker, "_has_room", has_room)
        vault.restore(first.id)
        return bool(has_room(*arguments))

    monkeypatch.setattr(taking.Taker, "_has_room", restore_first)
    assert watched.look(3) == []
    assert [head.kind for head in vault.snapshots()] == ["scheduled", "auto-backup"]


def test_a_model_that_is_being_restored_is_left_alone_for_now(
    vault: api.Vault, model: SampleModel, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "_BRIEF", 0.05)
    key = vault.live_key(vault.models(model.folder)[0])
    assert vault.path is not None
    with Holder(vault.path, "model", key) as holder:
        holder.inside()
        assert watched.look(3) == ["skip"]
        assert "works on this model right now" in watched.events[-1].text
    assert watched.look(2) == ["snapshot"]


# Trouble


def test_a_save_that_does_not_come_to_its_end_is_told_once(model: SampleModel, watched: Watched) -> None:
    assert watched.look() == ["snapshot"]

    def die(what: str) -> None:
        if what == "rename decoder.npy":
            raise KeyboardInterrupt

    model.train(10)
    with pytest.raises(KeyboardInterrupt):
        model.save(die)
    assert watched.look(3) == [], "as long as data.dat is the old one no save has ended"
    os.utime(model.folder / f"{NAME}_data.dat")
    assert watched.look(3) == ["skip"]
    assert "decoder.npy" in watched.events[-1].text
    save(model)
    assert watched.look(3) == ["snapshot"]
    assert watched.iterations == [5, 25]


def test_an_unhealthy_model_is_taken_and_told(vault: api.Vault, model: SampleModel, watched: Watched) -> None:
    watched.look()
    save(model)
    next(iter(model.weights["decoder"].values()))[0] = np.nan
    model.save()
    assert watched.look(2) == ["snapshot", "unhealthy"]
    assert "NaN" in watched.events[-1].text
    assert watched.events[-1].text.startswith("broken: ")
    assert vault.find("latest").iteration == 5
    assert vault.snapshots()[-1].health == "broken"


def test_unhealthy_ones_take_no_place_of_healthy_ones(vault: api.Vault, model: SampleModel) -> None:
    watched = Watched(vault, model.folder, retention=Rules(last=2))
    for _ in range(3):
        save(model)
        watched.look()
    next(iter(model.weights["decoder"].values()))[0] = np.nan
    for _ in range(4):
        save(model)
        watched.look()
    assert watched.iterations == [25, 35, 65, 75]
    assert [head.healthy for head in vault.snapshots()] == [True, True, False, False]


def test_a_damaged_data_dat_is_told_and_it_goes_on(vault: api.Vault, model: SampleModel, watched: Watched) -> None:
    watched.look()
    (model.folder / f"{NAME}_data.dat").write_bytes(b"\x80\x04 nothing of a pickle")
    assert watched.look(3) == ["snapshot", "unhealthy"]
    assert "data.dat cannot be read" in watched.events[-1].text
    save(model)
    assert watched.look(3) == ["snapshot"]


def test_a_model_that_is_gone_and_back(model: SampleModel, watched: Watched) -> None:
    watched.look()
    for path in model.paths():
        path.unlink()
    assert watched.look(3) == ["waiting"]
    model.folder.rmdir()
    assert watched.look(3) == []
    save(model)
    assert watched.look(3) == ["snapshot"]
    for path in model.paths():
        path.unlink()
    assert watched.look(3) == ["waiting"]


def test_it_may_come_later(vault: api.Vault, tmp_path: Path) -> None:
    place = tmp_path / "workspace" / "model"
    watched = Watched(vault, place)
    watched.watcher.check()
    assert watched.look(3) == ["waiting"]
    make_model(place, size=30_000)
    assert watched.look(3) == ["snapshot"]


def test_a_vault_that_somebody_holds_is_told_once(
    vault: api.Vault, model: SampleModel, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("casvault.files.locks"), "SHARED_WAIT", 0.05)
    assert vault.path is not None
    with Holder(vault.path, "alone", "gc") as holder:
        holder.inside()
        assert watched.look(3) == ["skip"]
        assert "in use by `gc`" in watched.events[-1].text
    assert watched.look(2) == ["snapshot"]
    save(model)
    with Holder(vault.path, "alone", "gc") as holder:
        holder.inside()
        assert watched.look(3) == ["skip"]


def test_a_full_disk_is_told_once_and_the_save_is_not_lost(
    vault: api.Vault, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NoSpace("there is no room on the disk of the vault.")

    with monkeypatch.context() as patch:
        patch.setattr(taking, "take_held", refuse)
        assert watched.look(3) == ["error"]
    assert watched.look(3) == ["snapshot"]
    assert vault.verify(read_data=True).ok


def test_without_room_it_skips_says_so_once_and_goes_on(disk: Disk, model: SampleModel, watched: Watched) -> None:
    disk.room = 1_500_000_000
    for room in range(1_500_000_000, 1_503_000_000, 1_000_000):
        disk.room = room
        assert watched.look() == (["skip"] if room == 1_500_000_000 else [])
    assert "of room are missing" in watched.events[-1].text
    disk.room = 1 << 40
    assert watched.look(2) == ["snapshot"]
    assert watched.iterations == [model.iteration]


def test_what_goes_for_room_is_told(disk: Disk, vault: api.Vault, model: SampleModel, watched: Watched) -> None:
    for _ in range(4):
        save(model)
        watched.look()
    disk.room = (
        2_000_000_000
        + vault.status(model.folder).size
        + sum(path.stat().st_size for path in (vault.path or Path()).rglob("objects/*/*"))
        - 50_000
    )
    save(model)
    assert watched.look(2) == ["pruned", "snapshot"]
    assert watched.events[-2].text == "1 snapshot deleted to make room"
    assert watched.iterations == [25, 35, 45, 55]


def test_for_a_model_that_turns_out_ill_no_healthy_one_goes(
    disk: Disk, vault: api.Vault, model: SampleModel, watched: Watched
) -> None:
    for _ in range(3):
        save(model)
        watched.look()
    stored = sum(path.stat().st_size for path in (vault.path or Path()).rglob("objects/*/*"))
    disk.room = 2_000_000_000 + vault.status(model.folder).size + stored - 50_000
    next(iter(model.weights["decoder"].values()))[0] = np.nan
    save(model)
    assert watched.look(2) == ["skip"]
    assert watched.iterations == [15, 25, 35]


def test_a_damaged_manifest_is_told_once_and_it_goes_on(vault: api.Vault, model: SampleModel) -> None:
    watched = Watched(vault, model.folder, retention=Rules(last=1))
    watched.look()
    save(model)
    watched.look()
    assert vault.path is not None
    (vault.path / "snapshots" / f"{vault.snapshots()[0].id}.json").write_bytes(b"{}")
    told = []
    for _ in range(3):
        save(model)
        told += watched.look(2)
    # At first nothing is to go: the damaged one counts for nothing.
    assert told == ["snapshot", "snapshot", "error", "snapshot"]
    assert "older snapshots were not cleared" in next(e.text for e in watched.events if e.kind == "error")


def test_a_file_that_is_none_is_told_once_and_it_goes_on(model: SampleModel, watched: Watched) -> None:
    watched.look()
    path = model.folder / f"{NAME}_GAN.npy"
    path.symlink_to("/nowhere")
    assert watched.look(3) == ["error"]
    assert "symbolic link" in watched.events[-1].text
    path.unlink()
    save(model)
    assert watched.look(3) == ["snapshot"]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "x"), ZeroDivisionError("oh")])
def test_nothing_ends_it(
    error: Exception, model: SampleModel, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(taking.Taker, "take", fail)
        assert watched.look(3) == ["error"]
    assert str(error.args[-1]) in watched.events[-1].text or "Permission denied" in watched.events[-1].text
    assert watched.look(3) == ["snapshot"]


# Models of other trainers


def test_a_folder_of_another_trainer(tmp_path: Path, vault: api.Vault) -> None:
    place = tmp_path / "voice"
    place.mkdir()
    (place / "weights.bin").write_bytes(bytes(100_000))
    watched = Watched(vault, place, model_name="singer")
    assert watched.look() == [], "it was looked at once, so it may be moving"
    assert watched.look(2) == ["snapshot"]
    (place / "weights.bin").write_bytes(bytes(50_000))
    assert watched.look() == []
    (place / "more.bin").write_bytes(bytes(50_000))
    assert watched.look() == []
    assert watched.look(3) == ["snapshot"]
    assert [(head.model_name, head.file_count) for head in vault.snapshots()] == [("singer", 1), ("singer", 2)]


def test_one_that_never_rests_is_told_once(tmp_path: Path, vault: api.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RESTLESS", -1.0)
    log = tmp_path / "run" / "log"
    log.parent.mkdir()
    watched = Watched(vault, log.parent)
    told = []
    for number in range(4):
        log.write_text("x" * number)
        told += watched.look()
    assert told == ["waiting"]
    assert "changes all the time" in watched.events[0].text
    assert watched.look(2) == ["snapshot"]


# What cannot be watched, and the end


def test_what_cannot_be_watched(tmp_path: Path, vault: api.Vault, model: SampleModel) -> None:
    make_model(model.folder, "other_SAEHD", size=30_000)
    with pytest.raises(AmbiguousError, match="several models"):
        vault.watch(model.folder).run()
    assert Watched(vault, model.folder / NAME).look(2) == ["snapshot"]
    inside = api.init(tmp_path / "run" / "vault")
    (tmp_path / "run" / "weights").write_bytes(b"1")
    with pytest.raises(UsageError, match="lies in the model's folder"):
        inside.watch(tmp_path / "run").run()
    with pytest.raises(UsageError, match="rhythm"):
        vault.watch(model.folder, rhythm=Rhythm(0))


def test_stopped_in_the_middle_of_a_snapshot_there_is_none(
    vault: api.Vault, model: SampleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    watcher = vault.watch(model.folder, tell=events.append)
    watched_for = contents(model.folder)

    def stop(task: str, total: int | None) -> None:
        if task == "storing":
            watcher.stop()

    monkeypatch.setattr(watcher._progress, "start", stop)
    watcher.run()
    assert [event.kind for event in events] == ["started", "stopped"]
    assert vault.snapshots() == []
    assert vault.verify(read_data=True).ok
    assert contents(model.folder) == watched_for
    assert Watched(vault, model.folder).look(2) == ["snapshot"]


def test_it_runs_until_another_thread_stops_it(vault: api.Vault, model: SampleModel) -> None:
    taken = threading.Event()

    def tell(event: Event) -> None:
        events.append(event)
        if event.kind == "snapshot":
            taken.set()

    events: list[Event] = []
    watcher: Watcher = vault.watch(model.folder, tell=tell, poll=0.05)
    thread = threading.Thread(target=watcher.run)
    thread.start()
    for number in range(3):
        assert taken.wait(30)
        taken.clear()
        if number < 2:
            save(model)
    watcher.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert [event.kind for event in events] == ["started", *["snapshot"] * 3, "stopped"]


def test_where_nobody_listens_any_more_it_ends(vault: api.Vault, model: SampleModel) -> None:
    def tell(event: Event) -> None:
        if event.kind != "started":
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        vault.watch(model.folder, tell=tell).run()


def test_every_snapshot_that_is_left_is_what_was_saved(vault: api.Vault, model: SampleModel) -> None:
    watched = Watched(vault, model.folder, retention=Rules(last=3, best=1))
    saves = {}
    for _ in range(8):
        save(model)
        saves[model.iteration] = contents(model.folder)
        watched.look()
    assert len(watched.iterations) in (3, 4)
    assert watched.iterations[-3:] == sorted(saves)[-3:]
    for head in vault.snapshots():
        place = model.folder.parent / f"back{head.iteration}"
        vault.restore(head.id, RestoreOptions(to=place))
        assert contents(place) == saves[head.iteration or 0]
