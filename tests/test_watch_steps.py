"""Folders that are the saves of one model: how they are called, and watching them."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from casvault import Rules, api
from casvault.errors import StorageError
from casvault.watch import Rhythm
from casvault.watch.steps import steps_in
from tests.support.trainer import contents, make_model
from tests.support.watching import Disk, Watched, make_step

line: Any = importlib.import_module("casvault.watch.line")
identity: Any = importlib.import_module("casvault.files.identity")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has to rest for long, and files are settled at once."""
    Disk(monkeypatch)
    monkeypatch.setattr(line, "_REST", 0.0)
    monkeypatch.setattr(importlib.import_module("casvault.capture.waiting"), "_REST", 0.0)
    monkeypatch.setattr(identity, "SETTLE_NS", -(10**9))
    monkeypatch.setattr(importlib.import_module("casvault.watch.watcher"), "_RETRY", 0.0)


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


# How they are called


def names(folder: Path, *there: str) -> list[tuple[int, str]]:
    for name in there:
        (folder / name).mkdir(parents=True)
    return [(step.number, step.folder.name) for step in steps_in(folder)]


@pytest.mark.parametrize(
    "prefix",
    ["checkpoint-", "ckpt_", "global_step", "step-", "steps_", "epoch=", "iter_", "iteration-", "voice-epoch."],
)
def test_steps_are_known_by_name_and_come_by_number(tmp_path: Path, prefix: str) -> None:
    there = [f"{prefix}{number}" for number in ("1000", "0500", "90")]
    assert names(tmp_path, *there) == [(90, there[2]), (500, there[1]), (1000, there[0])]


def test_what_is_no_step(tmp_path: Path) -> None:
    others = ["logs", "2024", "run-5", "checkpoint-", "checkpoint-latest", "checkpoint-5-old", ".checkpoint-7", "a5"]
    # Trainers write into such a folder, and rename it when it is whole.
    others += ["tmp-checkpoint-9", "temp_step_9", "Tmp-checkpoint-10"]
    assert names(tmp_path, "checkpoint-5", *others) == [(5, "checkpoint-5")]
    (tmp_path / "checkpoint-6").write_bytes(b"a file")
    (tmp_path / "checkpoint-8").symlink_to(tmp_path / "checkpoint-5", target_is_directory=True)
    assert names(tmp_path) == [(5, "checkpoint-5")]


def test_two_kinds_of_names_are_not_one_model(tmp_path: Path) -> None:
    assert names(tmp_path, "a-checkpoint-5", "b-checkpoint-5") == []


def test_a_folder_that_is_not_there_or_cannot_be_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert steps_in(tmp_path / "none") == []
    (tmp_path / "file").write_bytes(b"")
    assert steps_in(tmp_path / "file") == []

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(StorageError, match=r"cannot look into .*Permission denied"):
        steps_in(tmp_path)


# Watching them


def test_they_are_one_model_in_a_line(tmp_path: Path, vault: api.Vault) -> None:
    runs = tmp_path / "runs"
    wanted = {number: contents(make_step(runs, number)) for number in (500, 1000, 1500)}
    watched = Watched(vault, runs)
    assert watched.look(2) == ["snapshot"] * 3
    wanted[2000] = contents(make_step(runs, 2000))
    assert watched.look(3) == ["snapshot"]
    heads = vault.snapshots()
    assert [(head.model_name, head.iteration, head.place) for head in heads] == [
        ("runs", number, "runs") for number in (500, 1000, 1500, 2000)
    ]
    manifests = [vault.manifest(head.id) for head in heads]
    assert [manifest.parent for manifest in manifests] == [None, *(head.id for head in heads[:-1])]
    assert [manifest.since_key for manifest in manifests] == [0, 1, 2, 3]
    objects = [path.name for path in (vault.path or tmp_path).joinpath("objects").rglob("*.*")]
    assert len(objects) >= 3, "tensors are not stored as differences"
    for head in heads:
        step = runs / f"checkpoint-{head.iteration}"
        shutil.rmtree(step)
        vault.restore(head.id)
        assert contents(step) == wanted[head.iteration or 0]
    assert vault.find("latest").iteration == 2000
    assert watched.look(3) == [], "what was restored was taken for a save"


def test_the_folder_may_have_none_yet_and_lose_old_ones(tmp_path: Path, vault: api.Vault) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    watched = Watched(vault, runs)
    watched.watcher.check()
    assert watched.look(3) == ["waiting"]
    for number in (500, 1000):
        make_step(runs, number)
        assert watched.look(3) == ["snapshot"]
        shutil.rmtree(runs / f"checkpoint-{number}")
        (runs / "trainer.log").write_text("what is left in the folder is no model")
        assert watched.look(3) == ["waiting"]
    make_step(runs, 1500)
    assert watched.look(3) == ["snapshot"]
    shutil.rmtree(runs)
    assert watched.look(3) == ["waiting"]
    # Also by one that is started anew, which knows of the steps from the vault alone.
    (runs / "logs").mkdir(parents=True)
    (runs / "logs" / "a").write_text("no model")
    again = Watched(vault, runs)
    assert again.look(3) == ["waiting"]
    assert watched.iterations == [500, 1000, 1500]


def test_started_anew_it_takes_no_step_twice(tmp_path: Path, vault: api.Vault) -> None:
    runs = tmp_path / "runs"
    for number in (500, 1000, 1500):
        make_step(runs, number)
    keep_one = Rules(last=1)
    assert Watched(vault, runs, model_name="voice", retention=keep_one).look(2) == ["snapshot"] + 2 * [
        "snapshot",
        "pruned",
    ]
    assert [(head.model_name, head.iteration) for head in vault.snapshots()] == [("voice", 1500)]
    again = Watched(vault, runs, retention=keep_one)
    # Neither those that were deleted by rule, nor under another name.
    assert again.look(3) == []
    make_step(runs, 2000)
    assert again.look(3) == ["snapshot", "pruned"]
    assert [(head.model_name, head.iteration) for head in vault.snapshots()] == [("voice", 2000)]


def test_a_step_that_is_written_anew_is_another_save(tmp_path: Path, vault: api.Vault) -> None:
    runs = tmp_path / "runs"
    make_step(runs, 500)
    watched = Watched(vault, runs)
    assert watched.look(3) == ["snapshot"]
    shutil.rmtree(runs / "checkpoint-500")
    wanted = contents(make_step(runs, 500, seed=2))
    assert watched.look(3) == ["snapshot"]
    assert watched.iterations == [500, 500]
    files = vault.show(vault.snapshots()[-1].id).files
    assert {file.path: file.size for file in files} == {name: len(data) for name, data in wanted.items()}


def test_one_that_is_written_to_is_let_rest(tmp_path: Path, vault: api.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_REST", 3600.0)
    step = make_step(tmp_path / "runs", 500)
    watched = Watched(vault, tmp_path / "runs")
    assert watched.look(3) == []
    now = [0.0]
    monkeypatch.setattr(line, "time", type("Clock", (), {"monotonic": lambda: now[0], "time_ns": lambda: 0}))
    watched = Watched(vault, tmp_path / "runs")
    assert watched.look() == []
    now[0] = 3000.0
    (step / "optimizer.bin").write_bytes(b"comes late")
    assert watched.look() == []
    now[0] = 6599.0
    assert watched.look() == []
    now[0] = 6601.0
    assert watched.look() == ["snapshot"]
    assert vault.snapshots()[0].file_count == 3


@pytest.mark.parametrize(
    ("rhythm", "taken"),
    [
        (Rhythm(), [1, 2, 3, 4, 5]),
        (Rhythm(2), [1, 3, 5]),
        (Rhythm(iterations=3), [1, 4]),
        (Rhythm(minutes=1.5), [1, 3, 5]),
    ],
)
def test_the_rhythm_of_steps_is_told_by_their_own_times(
    tmp_path: Path, vault: api.Vault, rhythm: Rhythm, taken: list[int]
) -> None:
    runs = tmp_path / "runs"
    for number in range(1, 6):
        for path in make_step(runs, number).iterdir():
            os.utime(path, (1_700_000_000 + 60 * number,) * 2)
    watched = Watched(vault, runs, rhythm=rhythm)
    watched.look(4)
    assert watched.iterations == taken
    # The same, seen one by one, with the watch started anew each time.
    other = api.init(tmp_path / "other" / ".casvault")
    for number in range(1, 6):
        shutil.copytree(runs / f"checkpoint-{number}", tmp_path / "other" / "runs" / f"checkpoint-{number}")
        again = Watched(other, tmp_path / "other" / "runs", rhythm=rhythm)
        again.look(3)
    assert again.iterations == taken


def test_an_idle_look_reads_nothing_of_the_vault(
    tmp_path: Path, vault: api.Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    make_step(runs, 500)
    watched = Watched(vault, runs)
    assert watched.look(2) == ["snapshot"]
    opened: list[str] = []
    for name in ("read", "list"):
        monkeypatch.setattr(type(vault.backend), name, lambda *_, name=name: opened.append(name))
    assert watched.look(3) == []
    assert opened == []


def test_a_model_of_a_known_trainer_is_not_taken_for_steps(tmp_path: Path, vault: api.Vault) -> None:
    place = tmp_path / "workspace" / "model"
    model = make_model(place, size=30_000)
    make_step(place, 500)
    watched = Watched(vault, place)
    assert watched.look(3) == ["snapshot"]
    assert [(head.model_name, head.iteration) for head in vault.snapshots()] == [(model.name, model.iteration)]


def test_two_folders_of_steps_that_are_called_alike_stay_apart(tmp_path: Path, vault: api.Vault) -> None:
    folders = [tmp_path / "a" / "runs", tmp_path / "b" / "runs"]
    watches = [Watched(vault, folder, retention=Rules(last=2)) for folder in folders]
    for number in (1, 2, 3):
        for folder, watched in zip(folders, watches, strict=True):
            make_step(folder, number)
            assert watched.look(2)[0] == "snapshot"
    heads = vault.snapshots()
    assert [(head.place, head.iteration) for head in heads] == [
        ("a/runs", 2),
        ("b/runs", 2),
        ("a/runs", 3),
        ("b/runs", 3),
    ]
    assert [vault.manifest(head.id).parent for head in heads[2:]] == [heads[0].id, heads[1].id]


def test_a_step_with_something_wrong_in_it_hinders_no_other(tmp_path: Path, vault: api.Vault) -> None:
    runs = tmp_path / "runs"
    (make_step(runs, 500) / "link").symlink_to("/nowhere")
    make_step(runs, 1000)
    watched = Watched(vault, runs)
    assert watched.look(3) == ["error", "snapshot"]
    assert "symbolic link" in watched.events[0].text
    (runs / "checkpoint-500" / "link").unlink()
    assert watched.look(3) == ["snapshot"]
