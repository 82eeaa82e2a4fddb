"""Opening what a trainer is about to replace: regular files only, and without being in its way."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from casvault.files.shared_open import (
    name_is_free_at_once,
    open_shared,
    probe,
    windows_descriptor,
    windows_handle,
)

module: Any = importlib.import_module("casvault.files.shared_open")

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only")


def test_an_open_file_may_be_deleted_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"old bytes")
    descriptor = open_shared(path)
    try:
        path.unlink()
        (tmp_path / "b").write_bytes(b"new bytes")
        if os.name != "nt":
            os.rename(tmp_path / "b", path)
        assert os.read(descriptor, 100) == b"old bytes"
        assert os.read(descriptor, 100) == b""
    finally:
        os.close(descriptor)


def test_bytes_are_not_translated(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a\r\nb\x1ac\n")
    descriptor = open_shared(tmp_path / "a")
    try:
        assert os.read(descriptor, 100) == b"a\r\nb\x1ac\n"
    finally:
        os.close(descriptor)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_shared(tmp_path / "a")


@posix
def test_links_pipes_sockets_and_devices_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").write_bytes(b"x")
    os.symlink(tmp_path / "real", tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # the name of a socket may have hardly 100 bytes
        server.bind("sock")
        before = len(os.listdir("/dev/fd"))
        for name in ("link", "pipe", "folder", "sock"):
            with pytest.raises(OSError, match=r"."):
                open_shared(tmp_path / name)
        with pytest.raises(OSError, match="not a regular file"):
            open_shared(Path("/dev/null"))
        assert len(os.listdir("/dev/fd")) == before


def test_the_name_of_a_deleted_file_is_free(tmp_path: Path) -> None:
    assert probe(tmp_path)
    assert name_is_free_at_once(tmp_path)
    assert list(tmp_path.iterdir()) == []


def delete_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a deleted file keep its name for as long as somebody has it open, as old Windows and FAT do."""
    monkeypatch.setattr(module.os, "unlink", lambda path: None)


def test_a_name_that_stays_taken_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else None
    with monkeypatch.context() as patched:
        delete_pending(patched)
        assert not probe(tmp_path)
    for path in tmp_path.iterdir():
        assert path.name.startswith(".casvault_"), "a name without an underscore breaks the trainer"
    if before is not None:
        assert len(os.listdir("/dev/fd")) == before


def test_where_nothing_can_be_tried_nothing_is_held(tmp_path: Path) -> None:
    assert not probe(tmp_path / "gone")


@posix
def test_a_volume_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Path] = []

    def find_out(folder: Path) -> bool:
        tried.append(folder)
        return False

    class Windows:
        name = "nt"
        stat = staticmethod(os.stat)

    monkeypatch.setattr(module, "os", Windows)
    monkeypatch.setattr(module, "probe", find_out)
    monkeypatch.setattr(module, "_probed", {})
    (tmp_path / "a").mkdir()
    assert [name_is_free_at_once(folder) for folder in (tmp_path, tmp_path / "a", tmp_path / "gone")] == [False] * 3
    assert tried == [tmp_path]


class Kernel32:
    """Notes how it is called; gives the handle that it is told to."""

    def __init__(self, handle: int | None) -> None:
        self.handle = handle
        self.opened: list[tuple[Any, ...]] = []
        self.closed: list[int] = []
        self.CreateFileW: Callable[..., int | None] = self._create
        self.CloseHandle: Callable[[int], None] = self.closed.append

    def _create(self, *arguments: Any) -> int | None:
        self.opened.append(arguments)
        return self.handle


def test_windows_opens_for_reading_and_lets_others_do_anything() -> None:
    """The numbers are those of the Windows SDK, fileapi.h and winnt.h."""
    kernel = Kernel32(1234)
    assert windows_handle(kernel, "C:\\DFL\\model\\new_SAEHD_encoder.npy") == 1234
    ((path, access, share, security, how, flags, template),) = kernel.opened
    assert path == "C:\\DFL\\model\\new_SAEHD_encoder.npy"
    assert access == 0x80000000, "GENERIC_READ and no right to write"
    assert share == 0x00000001 | 0x00000002 | 0x00000004, "FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_SHARE_DELETE"
    assert how == 3, "OPEN_EXISTING: nothing is made or cut"
    assert flags == 0x00200000, "FILE_FLAG_OPEN_REPARSE_POINT: a link is opened as itself"
    assert security is None, "so that no child inherits the handle"
    assert template is None


@pytest.mark.parametrize("handle", [None, -1, (1 << 64) - 1, (1 << 32) - 1])
def test_a_windows_handle_that_is_none(handle: int | None) -> None:
    assert windows_handle(Kernel32(handle), "C:\\x") == -1


def test_a_windows_handle_becomes_a_descriptor_or_is_closed() -> None:
    kernel = Kernel32(1234)
    flags = []

    def adopt(handle: int, how: int) -> int:
        flags.append((handle, how))
        return 7

    def fail(handle: int, how: int) -> int:
        raise OSError("too many descriptors")

    assert windows_descriptor(kernel, 1234, adopt) == 7
    assert flags == [(1234, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0))]
    assert kernel.closed == []
    with pytest.raises(OSError, match="too many"):
        windows_descriptor(kernel, 1234, fail)
    assert kernel.closed == [1234]
