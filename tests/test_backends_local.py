"""What only a backend in a folder can get wrong: the order of syncs and renames, and a disk that fails."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from casvault.backends import local_batch
from casvault.backends.backend import Batch, Entry
from casvault.backends.local import LocalBackend
from casvault.errors import NoSpace, NotFound, StorageError
from casvault.files import durable
from casvault.files.volume import Volume

threads = pytest.mark.parametrize("threads", [1, 4])


class Log:
    """The calls that make writes durable, in the order in which they returned."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.calls: list[tuple[str, str]] = []
        self._root = root
        self._temps: dict[int, str] = {}
        real_fill, real_sync, real_folder, real_replace = (
            durable.fill_temp,
            durable.sync_descriptor,
            durable.sync_folder,
            os.replace,
        )

        def fill(folder: Path, pieces: Sequence[bytes | memoryview], mode: int = 0o666) -> tuple[int, Path]:
            descriptor, temp = real_fill(folder, pieces, mode)
            self._temps[descriptor] = temp.name
            return descriptor, temp

        def sync(descriptor: int) -> None:
            real_sync(descriptor)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                self.calls.append(("sync", self._temps[descriptor]))

        def folder(path: Path) -> None:
            real_folder(path)
            self.calls.append(("folder", path.relative_to(root).as_posix()))

        def replace(source: Any, target: Any) -> None:
            real_replace(source, target)
            self.calls.append(("rename", Path(source).name))
            self.calls.append(("appeared", Path(target).relative_to(root).as_posix()))

        for module in (durable, local_batch):
            monkeypatch.setattr(module, "fill_temp", fill)
            monkeypatch.setattr(module, "sync_descriptor", sync)
            monkeypatch.setattr(module, "sync_folder", folder)
        monkeypatch.setattr(os, "replace", replace)

    def place(self, kind: str, what: str) -> int:
        return self.calls.index((kind, what))

    def last(self, kind: str, what: str) -> int:
        return len(self.calls) - 1 - self.calls[::-1].index((kind, what))

    def check_renames(self) -> None:
        """Each temporary file was synced before it was renamed."""
        for kind, what in self.calls:
            if kind == "rename":
                assert self.place("sync", what) < self.place("rename", what)


def temps(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.endswith(".tmp")]


def test_write_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, tmp_path)
    LocalBackend(tmp_path).write("snapshots/deep/x.json", b"1")
    log.check_renames()
    renamed = log.place("appeared", "snapshots/deep/x.json")
    assert log.last("folder", "snapshots/deep") > renamed
    # The folders that were made on the way are named durably, the outer one first.
    assert log.place("folder", ".") < log.place("folder", "snapshots") < renamed


@threads
def test_batch_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    backend = LocalBackend(tmp_path)
    backend.write("objects/fff/hit", b"somebody else wrote it")
    log = Log(monkeypatch, tmp_path)
    names = [f"objects/{number % 3:03}/{number}" for number in range(30)]
    with backend.batch(threads) as batch:
        for name in names:
            batch.put(name, [b"x"])
        batch.flush(["objects/fff"])
        flushed = len(log.calls)
    log.check_renames()
    last_rename = max(log.place("appeared", name) for name in names)
    for folder in ("objects/000", "objects/001", "objects/002", "objects/fff"):
        assert last_rename < log.last("folder", folder) < flushed
    # The fan-out folders' own names are durable too, whoever made them.
    assert last_rename < log.last("folder", "objects") < flushed
    assert [call for call in log.calls[last_rename + 1 :] if call[0] != "folder"] == []


@threads
def test_flush_of_folders_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    backend = LocalBackend(tmp_path)
    backend.write("objects/fff/hit", b"1")
    log = Log(monkeypatch, tmp_path)
    with backend.batch(threads) as batch:
        batch.flush(["objects/fff"])
    assert sorted(log.calls) == [("folder", "objects"), ("folder", "objects/fff")]


def put_and_flush(batch: Batch) -> None:
    for number in range(5):
        batch.put(f"a/{number}", [b"x"])
    batch.flush()


@threads
def test_a_failing_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    backend = LocalBackend(tmp_path)
    count = []

    def sync(descriptor: int) -> None:
        count.append(descriptor)
        if len(count) == 3:
            raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(local_batch, "sync_descriptor", sync)
    with backend.batch(threads) as batch:
        with pytest.raises(StorageError, match="the disk is broken"):
            put_and_flush(batch)
        # Whoever asks again is not told that all is well.
        with pytest.raises(StorageError, match="the disk is broken"):
            batch.flush()
    assert len(backend.list("a")) == len(count) - 1
    assert temps(tmp_path) == []


def test_a_failing_sync_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(folder: Path) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    backend = LocalBackend(tmp_path)
    backend.write("a/x", b"1")
    monkeypatch.setattr(local_batch, "sync_folder", sync)
    for threads in (1, 4):
        with backend.batch(threads) as batch:
            batch.put("a/x", [b"2"])
            with pytest.raises(StorageError, match="the disk is broken"):
                batch.flush()
    assert temps(tmp_path) == []


@threads
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    backend = LocalBackend(tmp_path)
    backend.write("a/x", b"before")
    real, written = os.write, [0]

    def write(descriptor: int, data: Any) -> int:
        written[0] += 1
        if written[0] > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[:3])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with backend.batch(threads) as batch, pytest.raises(NoSpace, match="the disk is full"):
            batch.put("a/x", [b"after all"])
        with pytest.raises(NoSpace, match="the disk is full"):
            backend.write("a/x", b"after all")
    assert backend.read("a/x") == b"before"
    assert temps(tmp_path) == []


def test_more_files_than_may_be_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = LocalBackend(tmp_path)
    open_now, most = [0], [0]
    lock = threading.Lock()
    real_fill, real_sync = durable.fill_temp, durable.sync_descriptor

    def fill(*arguments: Any) -> tuple[int, Path]:
        with lock:
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
        return real_fill(*arguments)

    def sync(descriptor: int) -> None:
        real_sync(descriptor)
        with lock:
            open_now[0] -= 1

    monkeypatch.setattr(local_batch, "fill_temp", fill)
    monkeypatch.setattr(local_batch, "sync_descriptor", sync)
    with backend.batch(2) as batch:
        for number in range(300):
            batch.put(f"a/{number}", [b"x"])
        batch.flush()
    assert len(backend.list("a")) == 300
    assert most[0] <= 64


@threads
def test_a_folder_that_another_thread_is_about_to_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    backend = LocalBackend(tmp_path)
    first_is_in, second_is_done = threading.Event(), threading.Event()
    real = Path.mkdir

    def make(folder: Path, *arguments: Any, **options: Any) -> None:
        if threading.current_thread().name == "first":
            first_is_in.set()
            assert second_is_done.wait(10)
        real(folder, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", make)
    with backend.batch(threads) as batch:
        first = threading.Thread(target=batch.put, args=("objects/abc/1", [b"1"]), name="first")
        first.start()
        assert first_is_in.wait(10)
        try:
            batch.put("objects/abc/2", [b"2"])
        finally:
            second_is_done.set()
            first.join()
        batch.flush()
    assert sorted(entry.name for entry in backend.list("objects/abc")) == ["1", "2"]


def test_unfinished_files_links_and_folders_are_not_listed(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    backend.write("a/x", b"1")
    (tmp_path / "a" / ".0123.tmp").write_bytes(b"half")
    (tmp_path / "a" / "folder").mkdir()
    if os.name != "nt":
        os.symlink(tmp_path / "a" / "x", tmp_path / "a" / "link")
        os.symlink(tmp_path / "a", tmp_path / "a" / "loop")
    assert list(backend.list("a")) == [Entry("x", 1)]
    assert list(backend.folders("a")) == ["folder"]


def test_a_blob_that_vanishes_while_it_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = LocalBackend(tmp_path)
    for name in ("a/x", "a/y", "a/z"):
        backend.write(name, b"1")
    real_scandir = os.scandir

    class Entries:
        def __init__(self, path: Any) -> None:
            self._found = real_scandir(path)

        def __enter__(self) -> list[os.DirEntry[str]]:
            found = list(self._found)
            (tmp_path / "a" / "y").unlink(missing_ok=True)
            return found

        def __exit__(self, *_: object) -> None:
            self._found.close()

    monkeypatch.setattr(os, "scandir", Entries)
    assert {"x", "z"} <= {entry.name for entry in backend.list("a")} <= {"x", "y", "z"}


def test_what_is_no_blob(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    backend.write("a/x", b"1")
    for call in (lambda: backend.read("a"), lambda: backend.list("a/x"), lambda: backend.write("a/x/y", b"")):
        with pytest.raises((StorageError, NotFound)):
            call()


def test_a_read_only_vault(tmp_path: Path) -> None:
    if os.name == "nt" or os.geteuid() == 0:
        pytest.skip("permissions do not bind here")
    backend = LocalBackend(tmp_path)
    backend.write("a/x", b"1")
    (tmp_path / "a").chmod(0o500)
    try:
        with pytest.raises(StorageError):
            backend.write("a/y", b"2")
        assert backend.read("a/x") == b"1"
    finally:
        (tmp_path / "a").chmod(0o700)


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_what_is_no_blob_is_not_found_in_a_listing(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    backend.write("a/real", b"1")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "real")
    (tmp_path / "a" / "rest.tmp").write_bytes(b"unfinished")
    listing = backend.listing("a")
    assert [entry.name for entry in listing.starting("")] == ["real"]
    assert "rest.tmp" not in listing.names
    (tmp_path / "a" / "real").unlink()
    assert listing.get("real") is None


class Notes:
    """A volume whose syncs are noted with what was there: how many blobs with names, and how many files without."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.syncs: list[tuple[int, int]] = []
        self.fails_at = 0
        self.can = True
        self._root = root
        monkeypatch.setattr(Volume, "trusted", classmethod(lambda kind, folder: self))
        self.closed = False

    def sync(self, own: int = 0) -> bool:
        if not self.can:
            return False
        unnamed = len(temps(self._root))
        files = sum(path.is_file() for path in self._root.rglob("*"))
        self.syncs.append((files - unnamed, unnamed))
        if len(self.syncs) == self.fails_at:
            raise OSError(errno.EIO, "the disk is broken")
        return True

    def holds(self, folder: Path) -> bool:
        return "elsewhere" not in os.fspath(folder.resolve(strict=True))

    def close(self) -> None:
        self.closed = True


def test_a_volume_is_synced_before_names_and_after_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = Notes(tmp_path, monkeypatch)
    backend = LocalBackend(tmp_path)
    with backend.batch(4, many=True) as batch:
        for number in range(30):
            batch.put(f"objects/{number % 3:03}/{number}", [b"a", memoryview(b"b")])
        assert volume.syncs == []
        batch.flush()
        assert volume.syncs == [(0, 30), (30, 0)]
        batch.flush()
        assert len(volume.syncs) == 2
    assert volume.closed
    assert backend.read("objects/001/7") == b"ab"


def test_names_that_others_made_are_flushed_with_the_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = Notes(tmp_path, monkeypatch)
    backend = LocalBackend(tmp_path)
    backend.write("objects/fff/hit", b"somebody else wrote it")
    with backend.batch(1, many=True) as batch:
        batch.flush()
        assert volume.syncs == []
        batch.flush(["objects/fff"])
    assert volume.syncs == [(1, 0)]


@pytest.mark.parametrize("many", [False, True])
def test_a_folder_that_is_relied_on_and_gone(tmp_path: Path, many: bool) -> None:
    with LocalBackend(tmp_path).batch(1, many=many) as batch, pytest.raises(NotFound):
        batch.flush(["objects/abc"])


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_volume_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int) -> None:
    volume = Notes(tmp_path, monkeypatch)
    volume.fails_at = fails_at
    backend = LocalBackend(tmp_path)
    with backend.batch(4, many=True) as batch:
        with pytest.raises(StorageError, match="the disk is broken"):
            put_and_flush(batch)
        assert len(backend.list("a")) == (0 if fails_at == 1 else 5)
        # Whoever asks again is not told that all is well, and no other sync is tried.
        with pytest.raises(StorageError, match="the disk is broken"):
            put_and_flush(batch)
        assert len(volume.syncs) == fails_at
    assert temps(tmp_path) == []


def test_a_name_that_cannot_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Notes(tmp_path, monkeypatch)
    real, count = os.replace, [0]

    def replace(source: Any, target: Any) -> None:
        count[0] += 1
        if count[0] == 3:
            raise OSError(errno.EIO, "the disk is broken")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with (
        LocalBackend(tmp_path).batch(1, many=True) as batch,
        pytest.raises(StorageError, match="the disk is broken"),
    ):
        put_and_flush(batch)
    assert temps(tmp_path) == []


def test_what_was_not_flushed_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = Notes(tmp_path, monkeypatch)
    backend = LocalBackend(tmp_path)
    with backend.batch(4, many=True) as batch:
        batch.put("a/x", [b"1"])
    assert (backend.list("a"), temps(tmp_path), volume.closed) == ([], [], True)


@pytest.mark.parametrize(("name", "limit"), [("_UNNAMED", 10), ("_UNNAMED_BYTES", 1000)])
def test_a_long_batch_is_named_in_portions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    volume = Notes(tmp_path, monkeypatch)
    monkeypatch.setattr(local_batch, name, limit)
    backend = LocalBackend(tmp_path)
    with backend.batch(1, many=True) as batch:
        for number in range(25):
            batch.put(f"a/{number}", [bytes(100)])
        batch.flush()
    assert volume.syncs == [(0, 10), (10, 10), (20, 5), (25, 0)]


def test_a_batch_of_many_where_no_volume_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Volume, "trusted", classmethod(lambda kind, folder: None))
    log = Log(monkeypatch, tmp_path)
    with LocalBackend(tmp_path).batch(1, many=True) as batch:
        put_and_flush(batch)
    log.check_renames()
    assert ("folder", "a") in log.calls


@pytest.mark.parametrize("threads", [1, 4])
def test_what_lies_on_another_volume_is_synced_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    volume, log = Notes(tmp_path, monkeypatch), Log(monkeypatch, tmp_path)
    backend = LocalBackend(tmp_path)
    with backend.batch(threads, many=True) as batch:
        batch.put("elsewhere/x", [b"1"])
        batch.put("here/y", [b"2"])
        batch.flush(["elsewhere", "here"])
    (synced,) = (what for kind, what in log.calls if kind == "sync")
    assert log.place("sync", synced) < log.place("rename", synced)
    assert log.last("folder", "elsewhere") > log.place("appeared", "elsewhere/x")
    assert not any("here/y" in what and kind == "folder" for kind, what in log.calls)
    assert len(volume.syncs) == 2
    assert (backend.read("elsewhere/x"), backend.read("here/y")) == (b"1", b"2")


@pytest.mark.parametrize("until", ["the files", "the names"])
def test_a_volume_that_cannot_be_synced_after_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: str) -> None:
    volume, log = Notes(tmp_path, monkeypatch), Log(monkeypatch, tmp_path)
    backend = LocalBackend(tmp_path)
    backend.write("objects/fff/hit", b"somebody else wrote it")
    log.calls.clear()
    synced: list[str] = []
    monkeypatch.setattr(local_batch, "sync_descriptor", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    with backend.batch(1, many=True) as batch:
        batch.put("objects/abc/x", [b"1"])
        batch.put("objects/def/y", [b"2"])
        volume.can = until == "the names"
        batch._name()  # type: ignore[attr-defined]
        assert len(synced) == (0 if volume.can else 2)
        assert all(path.endswith(".tmp") for path in synced)
        volume.can = False
        batch.flush(["objects/fff"])
    named = max(log.place("appeared", name) for name in ("objects/abc/x", "objects/def/y"))
    for folder in ("objects/abc", "objects/def", "objects/fff", "objects"):
        assert log.place("folder", folder) > named


def test_a_batch_that_is_over_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Notes(tmp_path, monkeypatch)
    with LocalBackend(tmp_path).batch(1, many=True) as batch:
        pass
    with pytest.raises(ValueError, match="over"):
        batch.put("a/x", [b"1"])
    assert temps(tmp_path) == []
