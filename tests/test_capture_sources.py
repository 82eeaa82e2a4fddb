"""Bytes of captured files: held, or copied away."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from casvault.capture import sources
from casvault.capture.sources import PathSource, copy_away, hold
from casvault.errors import IncompleteSave, StorageError
from casvault.files.identity import FileIdentity


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "weights"
    made.write_bytes(os.urandom(300_000))
    return made


def identity_of(path: Path) -> FileIdentity:
    identity = FileIdentity.at(path)
    assert identity is not None
    return identity


def replace_file(path: Path) -> None:
    twin = path.with_name("twin")
    twin.write_bytes(path.read_bytes())
    os.replace(twin, path)


def test_a_copy_has_the_bytes_and_goes_when_it_is_closed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    monkeypatch.setattr(sources, "_PIECE", 1000)
    with copy_away(path, identity_of(path)) as copy:
        path.unlink()
        copy.seek(0)
        data = copy.read()
    assert len(data) == 300_000
    assert list((tmp_path / "t").iterdir()) == []


@pytest.mark.parametrize("keep", [hold, copy_away])
def test_another_file_is_not_taken(path: Path, keep: Any) -> None:
    identity = identity_of(path)
    replace_file(path)
    with pytest.raises(IncompleteSave, match="weights was replaced while it was read"):
        keep(path, identity)
    path.unlink()
    with pytest.raises(IncompleteSave, match="weights was replaced"):
        keep(path, identity)


def test_a_write_while_it_is_copied_voids_the_copy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.read

    def and_write(descriptor: int, length: int) -> bytes:
        data = read(descriptor, length)
        if data:
            with open(path, "r+b") as file:
                file.write(b"other")
            os.utime(path, (1, 1))
        return data

    identity = identity_of(path)
    monkeypatch.setattr(os, "read", and_write)
    with pytest.raises(IncompleteSave, match="was replaced"):
        copy_away(path, identity)


def test_no_room_for_a_copy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**options: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    before = len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else None
    with pytest.raises(StorageError, match=r"cannot copy .*weights to .*: No space left"):
        copy_away(path, identity_of(path))
    if before is not None:
        assert len(os.listdir("/dev/fd")) == before


def test_a_path_is_opened_for_each_read(path: Path) -> None:
    source = PathSource(path, identity_of(path))
    assert source.size == 300_000
    assert source.read_at(100, 10) == path.read_bytes()[100:110]
    replace_file(path)
    assert source.identity() == identity_of(path)
    path.unlink()
    assert source.identity() is None
    with pytest.raises(FileNotFoundError):
        source.read_at(0, 1)
