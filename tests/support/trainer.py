"""A model in a folder as a trainer leaves it, ways to wreck and copy it, processes that look like its trainer, and
comparing folders to the last bit.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from casvault.demo.model import SampleModel

__all__ = [
    "NAME",
    "Entry",
    "contents",
    "copy_as_it_comes",
    "make_model",
    "make_neighbours",
    "pause",
    "train_arguments",
    "training",
    "tree",
    "wreck",
]

NAME = "new_SAEHD"
_OLD = 1_700_000_000


class Entry(NamedTuple):
    """What must come back of a file: permission bits, modification time in nanoseconds, bytes."""

    mode: int
    mtime_ns: int
    data: bytes


def make_model(folder: Path, name: str = NAME, size: int = 300_000, seed: int = 1, iterations: int = 5) -> SampleModel:
    """Make a model in ``folder``, train it and save it."""
    model = SampleModel(folder, name, size, seed)
    model.train(iterations)
    model.save()
    return model


def tree(folder: Path, under: str = "") -> dict[str, Entry]:
    """Return all files below ``folder`` whose path begins with ``under``; folders as entries without bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        status = path.lstat()
        if not name.startswith(under):
            continue
        if stat.S_ISDIR(status.st_mode):
            found[name + "/"] = Entry(0, 0, b"")
        else:
            found[name] = Entry(status.st_mode & 0o777, status.st_mtime_ns, path.read_bytes())
    return found


def contents(folder: Path, under: str = "") -> dict[str, bytes]:
    """Return path -> bytes of all files below ``folder`` whose path begins with ``under``."""
    return {name: entry.data for name, entry in tree(folder, under).items() if not name.endswith("/")}


def copy_as_it_comes(names: Iterable[Path], folder: Path, *, oldest: str = "") -> None:
    """Copy files in the given order with new times, each a second later; that ending with ``oldest`` long before."""
    folder.mkdir(parents=True)
    for number, path in enumerate(names):
        target = folder / path.name
        shutil.copyfile(path, target)
        moment = _OLD + number - (100_000 if oldest and path.name.endswith(oldest) else 0)
        os.utime(target, (moment, moment))


def wreck(model: SampleModel) -> None:
    """Leave the model as a power cut may: weights gone, one cut short, data.dat gone, a temporary file left."""
    for role in ("decoder.npy", "data.dat"):
        (model.folder / f"{model.name}_{role}").unlink()
    encoder = model.folder / f"{model.name}_encoder.npy"
    encoder.write_bytes(encoder.read_bytes()[:1000])
    (model.folder / f"{model.name}_inter_B.npy.tmp").write_bytes(b"\x80\x04 half a file")


def make_neighbours(folder: Path) -> None:
    """Put into ``folder`` everything that is not part of the model new_SAEHD and must never be touched."""
    SampleModel(folder, "new_big_SAEHD", 30_000, 7).save()
    SampleModel(folder, "other_SAEHD", 30_000, 8).save()
    for name in (
        "SAEHD_default_options.dat",
        "new_SAEHD_preview_Faces.jpg",
        "new_SAEHD_model.dfm",
        "new_SAEHD_merger_session.dat",
        "new_big_SAEHD_encoder.npy.tmp",
    ):
        (folder / name).write_bytes(name.encode())
    for name in ("new_SAEHD_autobackups/01", "new_SAEHD_history/src", "new_SAEHD_autobackups/24"):
        (folder / name).mkdir(parents=True)
    (folder / "new_SAEHD_autobackups/01/new_SAEHD_data.dat").write_bytes(b"an older one")
    (folder / "new_SAEHD_history/src/1.jpg").write_bytes(b"a picture")


def train_arguments(folder: str | Path, *more: str, type: str | None = "SAEHD") -> list[str]:
    """Return what DeepFaceLab's scripts give to main.py to train a model in ``folder``."""
    workspace = os.path.dirname(folder)
    return [
        "train",
        *("--training-data-src-dir", os.path.join(workspace, "data_src", "aligned")),
        *("--training-data-dst-dir", os.path.join(workspace, "data_dst", "aligned")),
        *("--pretraining-data-dir", os.path.join(workspace, "pretrain")),
        *("--model-dir", str(folder)),
        *(("--model", type) if type is not None else ()),
        *more,
    ]


@contextmanager
def training(
    place: Path, *arguments: str, cwd: Path | None = None, program: str = "main.py", work: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """Run a process that looks like a trainer: ``python main.py`` with these arguments, from ``place``.

    It does the Python code ``work`` and then nothing, until it is killed at the end.
    """
    script = place / "DeepFaceLab" / program
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"import sys, time\nprint('ready', flush=True)\n{work}\ntime.sleep(600)\n")
    command = [sys.executable, str(script), *arguments]
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def pause(process: subprocess.Popen[str]) -> None:
    """Stop a process as Ctrl+Z does, and return when the system says so."""
    os.kill(process.pid, signal.SIGSTOP)
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        pass
