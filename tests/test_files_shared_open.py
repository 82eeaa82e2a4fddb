"""Opening what a trainer is about to replace: regular files only, and without being in its way."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from casvault.files.shared_open import open_shared

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
