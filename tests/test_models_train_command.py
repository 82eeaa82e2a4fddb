"""Which command lines are those of a trainer at work on one model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from casvault.models import Model
from casvault.models.train_command import TrainCommand, may_train
from tests.support.trainer import train_arguments


def no_cwd() -> str:
    raise PermissionError("somebody else's process")


def at(folder: Path) -> Callable[[], str]:
    return lambda: str(folder)


def model(folder: Path, name: str = "new_SAEHD") -> Model:
    return Model("deepfacelab", name, name.rpartition("_")[2], folder, ())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my work" / "model"
    made.mkdir(parents=True)
    return made


@pytest.mark.parametrize(
    "line",
    [
        ["main.py", "train", "--model-dir", "/w/model", "--model", "SAEHD"],
        [
            "/usr/bin/python3.7",
            "-u",
            "/opt/DeepFaceLab/main.py",
            "train",
            "--model",
            "SAEHD",
            "--model-dir",
            "/w/model",
        ],
        ["C:\\DFL\\python.exe", "C:\\DFL\\main.py", "train", "--model-dir=/w/model", "--model=SAEHD"],
        ["python", "main.py", "train", "--model-dir", '"/w/model"', "--model", "'SAEHD'"],
        [
            "python",
            '"main.py"',
            '"train"',
            '--model-dir="/w/model"',
            "--silent-start",
            "--model",
            "SAEHD",
            "--no-preview",
        ],
        ["main.py", "train", "--model-dir", "/old", "--model", "AMP", "--model-dir", "/w/model", "--model", "SAEHD"],
        ["python", "main.py", *train_arguments("/w/model")],
    ],
)
def test_a_trainers_command_line(line: list[str]) -> None:
    assert TrainCommand.parse(line) == TrainCommand("/w/model", "SAEHD")


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["python"],
        ["main.py"],
        ["main.py", "train"],
        ["python", "main.py", "merge", "--model-dir", "/w/model", "--model", "SAEHD"],
        ["python", "main.py", "exportdfm", "--model-dir", "/w/model", "--model", "SAEHD"],
        ["python", "domain.py", "train", "--model-dir", "/w/model"],
        ["python", "other.py", "train", "--model-dir", "/w/model", "--model", "SAEHD"],
        ["python", "main.py", "train", "--model-dir", "--model", "SAEHD"],
        ["bash", "-c", "python main.py train --model-dir /w/model --model SAEHD"],
    ],
)
def test_other_command_lines(line: list[str]) -> None:
    assert TrainCommand.parse(line) is None


@pytest.mark.parametrize(
    ("more", "type", "expected"),
    [
        ([], "SAEHD", True),
        ([], None, True),
        ([], "Quick96", False),
        (["--force-model-name", "new"], "SAEHD", True),
        (["--force-model-name", "other"], "SAEHD", False),
        (["--force-model-name", "new"], None, True),
        (["--silent-start"], "SAEHD", True),
    ],
)
def test_class_and_name_must_not_be_others(folder: Path, more: list[str], type: str | None, expected: bool) -> None:
    line = ["python", "main.py", *train_arguments(folder, *more, type=type)]
    assert may_train(line, no_cwd, model(folder)) is expected


def test_a_model_without_a_name_of_its_own(folder: Path) -> None:
    line = ["python", "main.py", *train_arguments(folder, "--force-model-name", "x", type="XSeg")]
    assert may_train(line, no_cwd, Model("deepfacelab", "XSeg", "XSeg", folder, ()))


def test_a_name_with_underscores(folder: Path) -> None:
    line = ["python", "main.py", *train_arguments(folder, "--force-model-name", "my_new")]
    assert may_train(line, no_cwd, model(folder, "my_new_SAEHD"))
    assert not may_train(line, no_cwd, model(folder, "new_SAEHD"))


@pytest.mark.parametrize("there", [True, False])
def test_relative_folders_are_those_of_the_process(folder: Path, there: bool) -> None:
    if not there:
        folder.rmdir()
    line = ["python", "main.py", *train_arguments("../my work/model")]
    assert may_train(line, at(folder.parent), model(folder))
    assert not may_train(line, at(folder), model(folder))
    with pytest.raises(PermissionError):
        may_train(line, no_cwd, model(folder))


def test_only_that_folder_counts(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / "model").mkdir(parents=True)
    for other in (tmp_path / "other" / "model", folder.parent, folder / "sub", tmp_path / "gone"):
        assert not may_train(["python", "main.py", *train_arguments(other)], no_cwd, model(folder))


@pytest.mark.skipif(os.name == "nt", reason="POSIX only")
def test_the_same_folder_by_other_ways(folder: Path, tmp_path: Path) -> None:
    os.symlink(folder.parent, tmp_path / "link")
    for way in (f"{folder}/", f"{folder}/../model", str(tmp_path / "link" / "model"), f"{tmp_path}/./link/model/"):
        assert may_train(["python", "main.py", *train_arguments(way)], no_cwd, model(folder)), way
    home = os.path.relpath(folder, Path.home())
    assert may_train(["python", "main.py", "train", "--model-dir", f"~/{home}"], no_cwd, model(folder))
