"""Copies of a model: the trainer's own backups as it makes them, and folders of copies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from casvault.demo.model import SampleModel
from tests.support.pictures import put

__all__ = ["age", "back_up", "copy_to", "folder_of"]


def folder_of(model: SampleModel) -> Path:
    """Return the folder of the trainer's backups of the model."""
    return model.folder / f"{model.name}_autobackups"


def back_up(model: SampleModel, picture: bytes | None = None) -> Path:
    """Do as the trainer does: move the files of each backup into the next folder, and copy the model into 01."""
    folder = folder_of(model)
    folder.mkdir(exist_ok=True)
    for number in range(24, 0, -1):
        place, after = folder / f"{number:02}", folder / f"{number + 1:02}"
        if not place.exists():
            continue
        for path in list(place.iterdir()):
            if number == 24:
                path.unlink()
            else:
                after.mkdir(exist_ok=True)
                path.rename(after / path.name)
    newest = folder / "01"
    newest.mkdir(exist_ok=True)
    for path in model.paths():
        if path.is_file() and "_preview_" not in path.name:
            shutil.copy(path, newest / path.name)
    if picture is not None:
        put(newest / "preview_SAEHD.jpg", picture)
    return newest


def copy_to(model: SampleModel, folder: Path, moment: int | None = None) -> Path:
    """Copy the model's files into ``folder``, all with the time ``moment`` where that is given."""
    folder.mkdir(parents=True)
    for path in model.paths():
        if path.is_file():
            shutil.copy2(path, folder / path.name)
    if moment is not None:
        age(folder, moment)
    return folder


def age(folder: Path, moment: int) -> None:
    """Give every file in ``folder`` the time ``moment``, in seconds since 1970."""
    for path in folder.iterdir():
        os.utime(path, (moment, moment))
