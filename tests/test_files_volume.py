"""A volume that is synced as a whole: where it is trusted, in which order, and that errors are told."""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from casvault.files import volume
from casvault.files.volume import Volume

pytestmark = pytest.mark.skipif(not hasattr(os, "uname") or os.uname().sysname != "Linux", reason="needs Linux")

_EXT4, _FUSE, _NFS = 0xEF53, 0x65735546, 0x6969
_GIB = 1 << 30


class Library:
    """A C library whose file systems are of a kind, and whose syncfs fails with a number, 0 for not at all."""

    def __init__(self, kind: int = _EXT4, error: int = 0) -> None:
        self.kind, self.error = kind, error

    def fstatfs(self, descriptor: int, told: ctypes.Array[ctypes.c_ulong]) -> int:
        told[0] = self.kind
        return 0

    def syncfs(self, descriptor: int) -> int:
        ctypes.set_errno(self.error)
        return -1 if self.error else 0


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> Library:
    """Everything as on a machine where volumes are synced."""
    library = Library()
    monkeypatch.setattr(volume, "_library", lambda: library)
    monkeypatch.setattr(volume, "_release", lambda: (6, 1))
    monkeypatch.setattr(volume, "_waiting", lambda: 1 << 20)
    return library


@pytest.fixture
def trusted(usual: Library, tmp_path: Path) -> Iterator[Volume]:
    found = Volume.trusted(tmp_path)
    assert found is not None
    yield found
    found.close()


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_link_that_leads_to_another_volume(trusted: Volume, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "link").symlink_to("/proc")
    assert trusted.holds(tmp_path / "inside")
    assert not trusted.holds(tmp_path / "link")


def test_a_folder_that_is_not_there(usual: Library, tmp_path: Path) -> None:
    assert Volume.trusted(tmp_path / "nothing") is None


@pytest.mark.parametrize("kind", [_FUSE, _NFS, 0])
def test_a_file_system_that_is_not_known_to_keep_the_promise(usual: Library, tmp_path: Path, kind: int) -> None:
    usual.kind = kind
    before = handles()
    assert Volume.trusted(tmp_path) is None
    assert handles() == before


def test_a_kernel_that_does_not_tell_of_failed_writes(
    usual: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for release, trusted in (((5, 16), False), ((4, 19), False), ((5, 17), True), ((6, 1), True)):
        monkeypatch.setattr(volume, "_release", lambda told=release: told)
        found = Volume.trusted(tmp_path)
        assert (found is not None) == trusted
        if found is not None:
            found.close()


@pytest.mark.parametrize("waiting", [-1, 257 << 20, 64 * _GIB])
def test_what_others_wrote_is_not_waited_for(
    usual: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: int
) -> None:
    monkeypatch.setattr(volume, "_waiting", lambda: waiting)
    assert Volume.trusted(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "MemFree:  5 kB\nDirty:         300 kB\nWriteback:      20 kB\nWritebackTmp:    7 kB\n",
            320 << 10,
        ),
        ("MemFree:  5 kB\n", -1),
        ("Dirty:               300 kB\n", -1),
        ("", -1),
    ],
)
def test_what_waits_is_told_by_the_kernel(monkeypatch: pytest.MonkeyPatch, text: str, told: int) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path: text)
    assert volume._waiting() == told


def test_what_waits_where_the_kernel_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", fail)
    assert volume._waiting() == -1


def test_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, told in (("6.18.44-fc-v657", (6, 18)), ("5.8", (5, 8)), ("4.4.0", (4, 4))):
        monkeypatch.setattr(os, "uname", lambda text=text: SimpleNamespace(release=text))
        assert volume._release() == told


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_write_that_failed_is_told(usual: Library, trusted: Volume, code: int) -> None:
    usual.error = code
    with pytest.raises(OSError, match=re.escape(os.strerror(code))) as raised:
        trusted.sync()
    assert raised.value.errno == code


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_a_system_that_refuses_the_call(usual: Library, trusted: Volume, code: int) -> None:
    usual.error = code
    assert not trusted.sync()


def test_others_that_wrote_much_meanwhile(usual: Library, trusted: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []

    def syncfs(descriptor: int) -> int:
        called.append(descriptor)
        return 0

    monkeypatch.setattr(usual, "syncfs", syncfs)
    monkeypatch.setattr(volume, "_waiting", lambda: 300 << 20)
    assert not trusted.sync()
    assert called == []
    assert trusted.sync(own=100 << 20)
    assert len(called) == 1


@pytest.mark.parametrize("error", [ImportError, AttributeError, OSError])
def test_a_library_that_has_no_such_call(
    usual: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail() -> Library:
        raise error

    monkeypatch.setattr(volume, "_library", fail)
    before = handles()
    assert Volume.trusted(tmp_path) is None
    assert handles() == before


def test_the_drive_is_told_once_more(
    usual: Library, trusted: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def syncfs(descriptor: int) -> int:
        order.append("volume")
        return 0

    monkeypatch.setattr(usual, "syncfs", syncfs)
    monkeypatch.setattr(os, "fsync", lambda descriptor: order.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    assert trusted.sync()
    assert order == ["volume", str(tmp_path)]


def test_it_really_works_where_it_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume, "_MOST_WAITING", 1 << 62)
    found = Volume.trusted(tmp_path)
    if found is None:
        pytest.skip("not on this file system")
    try:
        (tmp_path / "new").write_bytes(b"1")
        assert found.sync()
    finally:
        found.close()


def test_the_kind_is_that_of_statfs(tmp_path: Path) -> None:
    found = Volume(Path("/proc"), volume._library())
    try:
        assert found._kind() == 0x9FA0
    finally:
        found.close()
