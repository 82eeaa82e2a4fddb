"""Durable writes: synced before they are renamed, the folder after; and nothing is left behind by a failure."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from casvault.files import durable
from casvault.files.durable import fill_temp, write_durably


def record(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Return the list in which the calls that matter will be noted: fsync (of a folder?), replace."""
    calls: list[tuple[str, bool]] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        calls.append(("fsync", stat.S_ISDIR(os.fstat(descriptor).st_mode)))
        real_fsync(descriptor)

    def replace(source: Any, target: Any) -> None:
        calls.append(("replace", False))
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return calls


def test_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record(monkeypatch)
    write_durably(tmp_path / "a", b"one")
    folder = [] if os.name == "nt" else [("fsync", True)]
    assert calls == [("fsync", False), ("replace", False), *folder]
    assert (tmp_path / "a").read_bytes() == b"one"


def test_without_durability_nothing_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record(monkeypatch)
    write_durably(tmp_path / "a", b"one", durable=False)
    assert calls == [("replace", False)]


def test_it_replaces(tmp_path: Path) -> None:
    for data in (b"first", b"", b"third"):
        write_durably(tmp_path / "a", data)
        assert (tmp_path / "a").read_bytes() == data
    assert os.listdir(tmp_path) == ["a"]


def test_the_bytes_are_synced_before_the_name_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, int]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            seen.append(((tmp_path / "a").exists(), status.st_size))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_durably(tmp_path / "a", b"12345")
    assert seen == [(False, 5)]


def fail(code: int) -> Callable[..., Any]:
    def failing(*_: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return failing


@pytest.mark.parametrize(("call", "code"), [("fsync", errno.EIO), ("write", errno.ENOSPC), ("replace", errno.EACCES)])
def test_a_failure_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    (tmp_path / "a").write_bytes(b"before")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail(code))
        with pytest.raises(OSError, match=r".") as caught:
            write_durably(tmp_path / "a", b"after")
    assert caught.value.errno == code
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"before"


def test_a_failed_sync_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="broken"):
        write_durably(tmp_path / "a", b"x")
    assert len(calls) == 1


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    descriptor, path = fill_temp(tmp_path, [b"abcdefgh", memoryview(b"ijkl"), b""])
    os.close(descriptor)
    assert path.read_bytes() == b"abcdefghijkl"
    assert path.name.endswith(durable.TEMP_SUFFIX)
    assert path.parent == tmp_path


def test_temporary_files_never_share_a_name(tmp_path: Path) -> None:
    made = [fill_temp(tmp_path, [b"x"]) for _ in range(20)]
    for descriptor, _ in made:
        os.close(descriptor)
    assert len({path for _, path in made}) == 20


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_mode(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        descriptor, path = fill_temp(tmp_path, [b"x"], 0o640)
        os.close(descriptor)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "writev"), reason="no gathering writes")
@pytest.mark.parametrize("most", [1, 2, 5, 7, 100])
def test_pieces_are_written_wholly_however_little_a_call_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    real = os.write
    monkeypatch.setattr(os, "writev", lambda descriptor, pieces: real(descriptor, b"".join(pieces)[:most]))
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:most])))
    cases: list[list[bytes | memoryview]] = [
        [b"12345", b"", memoryview(b"678"), b"9"],
        [b"123456789"],
        [b"1"] * 200,
        [],
    ]
    for pieces in cases:
        path = tmp_path / "file"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        durable.write_all(descriptor, pieces)
        os.close(descriptor)
        assert path.read_bytes() == b"".join(pieces)
