"""Restores and other commands that meet a trainer: refused, forced, told, and seen by files that change."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from casvault import RestoreOptions, api
from casvault.errors import TrainerRunning
from casvault.restore import restore as restore_function
from tests.support.command import call
from tests.support.trainer import NAME, contents, make_model, pause, train_arguments, training, tree

restore_module: Any = sys.modules[restore_function.__module__]


class Project:
    """A vault beside a workspace: the model trained on since its snapshot ``first``, whose bytes are ``first``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = make_model(folder / "workspace" / "model", size=60_000)
        self.vault = api.init(folder / ".casvault")
        self.vault.snapshot(self.place, name="first")
        self.first = contents(self.model.folder)
        self.train()

    @property
    def place(self) -> Path:
        return self.model.folder / NAME

    def train(self) -> None:
        self.model.train(1)
        self.model.save()

    def now(self) -> dict[str, bytes]:
        return contents(self.model.folder, NAME)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_restore_and_undo_are_refused_and_change_nothing(project: Project) -> None:
    vault, place = project.vault, project.place
    vault.restore("first")
    project.train()
    before = tree(project.folder / "workspace")
    with training(project.folder, *train_arguments(project.model.folder)) as process:
        for undo in (False, True):
            with pytest.raises(TrainerRunning) as caught:
                vault.undo(place) if undo else vault.restore("first")
            told = str(caught.value)
            assert f"{NAME} is being trained by process {process.pid} (" in told
            assert "--model SAEHD), and would be saved over: stop the trainer, restore, start it again" in told
            assert "--force" in told
            assert told.endswith("Nothing was changed.")
            assert "\n" not in told
    assert tree(project.folder / "workspace") == before
    vault.restore("first")
    assert project.now() == project.first


@pytest.mark.skipif(os.name == "nt", reason="POSIX only")
def test_a_paused_trainer_is_refused_too(project: Project) -> None:
    with training(project.folder, *train_arguments(project.model.folder)) as process:
        pause(process)
        with pytest.raises(TrainerRunning, match=f"process {process.pid}, which is paused"):
            project.vault.restore("first")


def test_force_goes_over_it(project: Project) -> None:
    newer = project.now()
    with training(project.folder, *train_arguments(project.model.folder)) as process:
        result = project.vault.restore("first", RestoreOptions(force=True))
        assert project.now() == project.first
        assert [trainer.pid for trainer in result.plan.trainers] == [process.pid]
        project.vault.undo(project.place, force=True)
        assert project.now() == newer


def test_what_is_right_already_needs_no_refusal(project: Project) -> None:
    project.vault.restore("first")
    with training(project.folder, *train_arguments(project.model.folder)):
        assert project.vault.restore("first").plan.nothing_to_do


def test_a_trainer_of_another_class_or_folder_is_not_in_the_way(project: Project) -> None:
    (project.folder / "elsewhere").mkdir()
    with (
        training(project.folder, *train_arguments(project.model.folder, type="Quick96")),
        training(project.folder, *train_arguments(project.folder / "elsewhere")),
    ):
        project.vault.restore("first")
    assert project.now() == project.first


def test_a_new_place_beside_a_training_is_free(project: Project) -> None:
    with training(project.folder, *train_arguments(project.model.folder)):
        project.vault.restore("first", RestoreOptions(to=project.folder / "merge"))
        project.vault.restore("first", RestoreOptions(as_name="older"))
    assert (project.model.folder / "older_SAEHD_data.dat").is_file()


def test_a_model_that_was_deleted_under_its_trainer_is_refused(project: Project) -> None:
    for path in project.model.paths():
        path.unlink()
    with (
        training(project.folder, *train_arguments(project.model.folder)),
        pytest.raises(TrainerRunning, match="is being trained"),
    ):
        project.vault.restore("first")
    project.vault.restore("first")
    assert project.now() == project.first


def test_a_trainer_that_starts_while_files_are_staged(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = project.now()
    staged, process = restore_module._stage, training(project.folder, *train_arguments(project.model.folder))

    def then_start(*arguments: Any) -> Any:
        result = staged(*arguments)
        process.__enter__()
        return result

    monkeypatch.setattr(restore_module, "_stage", then_start)
    try:
        with pytest.raises(TrainerRunning, match="is being trained"):
            project.vault.restore("first")
    finally:
        process.__exit__(None, None, None)
    assert project.now() == before


def test_a_temporary_file_that_appears_is_a_save_under_way(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = project.now()
    temporary = project.model.folder / f"{NAME}_encoder.npy.tmp"
    then(monkeypatch, lambda: temporary.write_bytes(b"half"))
    with pytest.raises(TrainerRunning, match=r"encoder\.npy\.tmp was changed while the restore was prepared"):
        project.vault.restore("first")
    assert project.now() == {**before, temporary.name: b"half"}


def test_a_file_that_appears_in_a_generic_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = api.init(tmp_path / ".casvault")
    folder = tmp_path / "ckpt"
    folder.mkdir()
    (folder / "w").write_bytes(b"1")
    vault.snapshot(folder, name="first")
    (folder / "w").write_bytes(b"2")
    then(monkeypatch, lambda: (folder / "optimizer").write_bytes(b"2"))
    with pytest.raises(TrainerRunning, match="optimizer was changed while"):
        vault.restore("first")
    assert contents(folder) == {"w": b"2", "optimizer": b"2"}


def test_force_prepares_anew_when_a_save_comes_in_between(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backup must hold that save: undo goes back to it."""
    saves: list[dict[str, bytes]] = []

    def save() -> None:
        if len(saves) < 2:
            project.train()
            saves.append(project.now())

    then(monkeypatch, save)
    project.vault.restore("first", RestoreOptions(force=True))
    assert project.now() == project.first
    project.vault.undo(project.place)
    assert project.now() == saves[-1]


def test_force_gives_up_where_saves_never_end(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    then(monkeypatch, project.train)
    with pytest.raises(TrainerRunning, match="was changed while the restore was prepared"):
        project.vault.restore("first", RestoreOptions(force=True))
    assert project.now() != project.first


def then(monkeypatch: pytest.MonkeyPatch, work: Any) -> None:
    """Do ``work`` in the middle of each restore, right after the backup."""
    backup = restore_module._backup

    def and_work(*arguments: Any) -> Any:
        result = backup(*arguments)
        work()
        return result

    monkeypatch.setattr(restore_module, "_backup", and_work)


# The command line


def test_the_command_names_the_trainer_and_ends_with_11(project: Project) -> None:
    with training(project.folder, *train_arguments(project.model.folder)) as process:
        for arguments in (("restore", "first", "-y"), ("restore", "first"), ("undo", project.place, "--force", "-y")):
            if arguments[0] == "undo":
                assert call(project.folder, "restore", "first", "--force", "-y").code == 0
                project.train()
            told = call(project.folder, *arguments)
            if "--force" in arguments:
                assert told.code == 0
                assert f"still being trained, and may be saved over: process {process.pid}" in told.out
            else:
                assert told.code == 11
                assert told.err.count("\n") == 1
                assert f"process {process.pid} (" in told.err


def test_a_dry_run_and_json_tell_of_it(project: Project) -> None:
    with training(project.folder, *train_arguments(project.model.folder)) as process:
        told = call(project.folder, "restore", "first", "--dry-run")
        assert told.code == 0
        assert f"It is being trained, and may be saved over: process {process.pid} (" in told.out
        document = call(project.folder, "restore", "first", "--dry-run", "--json").json()
        assert [trainer["pid"] for trainer in document["trainers"]] == [process.pid]
    assert call(project.folder, "restore", "first", "--dry-run", "--json").json()["trainers"] == []


def test_status_tells_of_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with training(project.folder, *train_arguments(project.model.folder)) as process:
        assert f"being trained by process {process.pid} (" in call(project.folder, "status").out
        (model,) = call(project.folder, "status", "--json").json()["models"]
        assert [trainer["pid"] for trainer in model["trainers"]] == [process.pid]
        assert [trainer.pid for trainer in project.vault.trainers(project.place) or ()] == [process.pid]
    assert "being trained" not in call(project.folder, "status").out
    assert "no trainer of it runs here" in call(project.folder, "status").out
    (model,) = call(project.folder, "status", "--json").json()["models"]
    assert model["trainers"] == []


def test_a_snapshot_tells_the_key_while_the_model_trains(project: Project) -> None:
    key = "press s in the trainer's preview window to save now"
    with training(project.folder, *train_arguments(project.model.folder)):
        told = call(project.folder, "snapshot", project.place)
        assert "the save of " in told.out
        assert "iteration 6, just now" in told.out
        assert key in told.out
        assert key not in call(project.folder, "snapshot", project.place, "--quiet").out
        assert call(project.folder, "snapshot", project.place, "--json").json()["iteration"] == 6
    assert key not in call(project.folder, "snapshot", project.place).out


def test_without_psutil_everything_works_and_nothing_is_known(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert "trainer" not in call(project.folder, "status").out
    (model,) = call(project.folder, "status", "--json").json()["models"]
    assert model["trainers"] is None
    with training(project.folder, *train_arguments(project.model.folder)):
        assert call(project.folder, "restore", "first", "-y").code == 0
    assert project.now() == project.first


def test_an_incomplete_save_is_told_wherever_it_is_shown(project: Project) -> None:
    (project.model.folder / f"{NAME}_decoder.npy").unlink()
    taken = call(project.folder, "snapshot", project.place, "--wait", "0", "--allow-incomplete", "--name", "wreck")
    assert "incomplete" in taken.out
    assert "[incomplete, unhealthy]" in call(project.folder, "list").out
    assert "Incomplete" in call(project.folder, "show", "wreck").out
    assert call(project.folder, "show", "wreck", "--json").json()["incomplete"] is True
    assert call(project.folder, "restore", "first", "-y").code == 0
    assert call(project.folder, "restore", "wreck", "-y").code == 1
    told = call(project.folder, "restore", "wreck", "--allow-incomplete", "-y")
    assert told.code == 0
    assert "It holds an incomplete save." in told.out


def test_a_hostile_command_line_steers_no_terminal(project: Project) -> None:
    arguments = train_arguments(project.model.folder, "--\x1b[2J\nx")
    with training(project.folder, *arguments):
        told = call(project.folder, "restore", "first", "-y")
    assert told.code == 11
    assert "\x1b" not in told.err
    assert told.err.count("\n") == 1
