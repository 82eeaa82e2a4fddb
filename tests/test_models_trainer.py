"""Finding real processes that look like a trainer."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from casvault.models import Model, find_trainers, generic_model, resolve
from casvault.models.trainer import _shortened
from tests.support.trainer import NAME, make_model, pause, train_arguments, training

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only")


@pytest.fixture
def model(tmp_path: Path) -> Model:
    make_model(tmp_path / "workspace" / "model", size=60_000)
    return resolve(tmp_path / "workspace" / "model" / NAME)[0]


def pids(model: Model) -> list[int]:
    found = find_trainers(model)
    assert found is not None
    return [trainer.pid for trainer in found]


def test_a_trainer_is_found_while_it_runs(model: Model, tmp_path: Path) -> None:
    assert pids(model) == []
    with training(tmp_path, *train_arguments(model.folder)) as process:
        (found,) = find_trainers(model) or ()
        assert (found.pid, found.paused) == (process.pid, False)
        assert found.command.startswith(f"{os.path.basename(sys.executable)} main.py train ... ")
        assert found.command.endswith(" --model SAEHD")
        assert len(found.command) < 110
        assert str(found) == f"process {process.pid} ({found.command})"
        assert found.to_json() == {"pid": process.pid, "command": found.command, "paused": False}
    assert pids(model) == []


def test_a_relative_folder_is_that_of_the_process(model: Model, tmp_path: Path) -> None:
    arguments = train_arguments(os.path.join("workspace", "model"))
    with training(tmp_path, *arguments, cwd=tmp_path) as process:
        assert pids(model) == [process.pid]
    with training(tmp_path, *arguments, cwd=model.folder):
        assert pids(model) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["/opt/python3", "/opt/DFL/main.py", "train", "--model-dir", "/w"], "python3 main.py train --model-dir /w"),
        (["python", "main.py", "train", "--a", "x" * 90, "--model", "AMP"], "python main.py train ... --model AMP"),
        (["y" * 50, "main.py", "train", "z" * 100], f"{'y' * 24} ... {'z' * 70}"),
        (["python", "a\nb\tc"], "python a b c"),
    ],
)
def test_long_command_lines_are_shortened(arguments: list[str], told: str) -> None:
    assert _shortened(arguments) == told


@posix
def test_a_paused_trainer_is_found(model: Model, tmp_path: Path) -> None:
    with training(tmp_path, *train_arguments(model.folder)) as process:
        pause(process)
        (found,) = find_trainers(model) or ()
        assert found.paused
        assert str(found).startswith(f"process {process.pid}, which is paused (")


@posix
def test_helpers_of_a_trainer_are_not_told_beside_it(model: Model, tmp_path: Path) -> None:
    """On Linux they are forked, so they have its command line, and so have theirs."""
    work = "import os\nif os.fork() == 0 and os.fork() == 0: pass\ntime.sleep(0.1)"
    with training(tmp_path, *train_arguments(model.folder), work=work) as process:
        children: list[psutil.Process] = []
        while len(children) < 2:
            children = psutil.Process(process.pid).children(recursive=True)
        try:
            assert pids(model) == [process.pid]
        finally:
            for child in children:
                child.kill()


@posix
def test_a_trainer_that_ended_and_was_not_waited_for_is_none(model: Model, tmp_path: Path) -> None:
    with training(tmp_path, *train_arguments(model.folder)) as process:
        os.kill(process.pid, 9)
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        assert pids(model) == []


def test_others_do_not_count(model: Model, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with (
        training(tmp_path, *train_arguments(tmp_path / "elsewhere")),
        training(tmp_path, *train_arguments(model.folder, type="Quick96")),
        training(tmp_path, *train_arguments(model.folder), program="other.py"),
        training(tmp_path, "merge", "--model-dir", str(model.folder), "--model", "SAEHD"),
    ):
        assert pids(model) == []


def test_of_a_generic_model_nothing_is_known(model: Model, tmp_path: Path) -> None:
    with training(tmp_path, *train_arguments(model.folder)):
        assert find_trainers(generic_model(model.folder)) is None


def test_processes_that_may_not_be_inspected_are_passed_over(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(process: psutil.Process) -> Any:
        raise psutil.AccessDenied(process.pid)

    arguments = train_arguments(os.path.join("workspace", "model"))
    with training(tmp_path, *arguments, cwd=tmp_path) as process:
        with monkeypatch.context() as patched:
            patched.setattr(psutil.Process, "cwd", denied)
            assert pids(model) == []
        with monkeypatch.context() as patched:
            patched.setattr(psutil.Process, "cmdline", denied)
            assert pids(model) == []
        assert pids(model) == [process.pid]


def test_what_cannot_be_known_is_not_none(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise PermissionError("/proc")

    with monkeypatch.context() as patched:
        patched.setattr(psutil, "process_iter", broken)
        assert find_trainers(model) is None
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert find_trainers(model) is None
