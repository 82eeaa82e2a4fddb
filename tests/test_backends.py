"""One suite for every backend."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from casvault.backends.backend import Backend, Entry, storage_errors
from casvault.backends.bucket import BucketBackend
from casvault.backends.local import LocalBackend
from casvault.backends.memory import MemoryBackend
from casvault.errors import NoSpace, NotFound, StorageError
from tests.support.stores import bucket_in

BAD_NAMES = ["", "/", "../x", "a/../b", "/etc/passwd", "a//b", "a/", ".x", "a\\b", "C:", "a b", "a\0b", "é", "a/.tmp"]

Make = Callable[[], Backend]


@pytest.fixture(params=["local", "memory", "bucket"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "bucket":
        with bucket_in(request.getfixturevalue("s3")) as made:
            yield made
    else:
        yield LocalBackend(tmp_path) if request.param == "local" else MemoryBackend()


threads = pytest.mark.parametrize(("threads", "many"), [(1, False), (4, False), (1, True), (4, True)])


def test_write_and_read(backend: Backend) -> None:
    blobs = {
        "vault.json": b"{}",
        "objects/abc/" + "a" * 64: bytes(range(256)) * 300,
        "a/b/c/d": b"",
        "a/x": b"\r\n\x1a",
    }
    for name, data in blobs.items():
        backend.write(name, data)
    for name, data in blobs.items():
        assert backend.read(name) == data
        assert backend.exists(name)


def test_overwrite(backend: Backend) -> None:
    for data in (b"long, the first", b"short", b""):
        backend.write("a/x", data, durable=False)
        assert backend.read("a/x") == data
        assert list(backend.list("a")) == [Entry("x", len(data))]


def test_what_is_not_there(backend: Backend) -> None:
    for name in ("x", "a/x"):
        with pytest.raises(NotFound, match=name):
            backend.read(name)
        assert not backend.exists(name)
        backend.delete(name)
    assert list(backend.list("a")) == []
    assert list(backend.folders("a")) == []


def test_delete(backend: Backend) -> None:
    for name in ("a/x", "a/y", "x"):
        backend.write(name, b"1")
    backend.delete("a/x")
    backend.delete("x")
    assert not backend.exists("a/x")
    assert not backend.exists("x")
    assert [entry.name for entry in backend.list("a")] == ["y"]
    with pytest.raises(NotFound):
        backend.read("a/x")


def test_list_names_only_blobs_directly_in_the_folder(backend: Backend) -> None:
    for name, size in (("a/one", 1), ("a/two", 2), ("a/b/three", 3), ("ab/four", 4), ("five", 5)):
        backend.write(name, b"x" * size)
    assert sorted(backend.list("a")) == [Entry("one", 1), Entry("two", 2)]
    assert sorted(backend.list("a/b")) == [Entry("three", 3)]


def test_folders(backend: Backend) -> None:
    for name in ("a/zz/1", "a/b/2", "a/b/c/3", "a/4", "other/d/5"):
        backend.write(name, b"")
    assert list(backend.folders("a")) == ["b", "zz"]
    assert list(backend.folders("a/b")) == ["c"]
    assert list(backend.folders("a/zz")) == []


def test_read_limit(backend: Backend) -> None:
    backend.write("a/x", b"12345")
    for limit in (5, 6, None):
        assert backend.read("a/x", limit) == b"12345"
    for limit in (0, 4):
        with pytest.raises(StorageError, match=f"more than {limit} bytes"):
            backend.read("a/x", limit)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_are_checked(backend: Backend, name: str) -> None:
    backend.write("a/x", b"1")
    calls: list[Callable[[], Any]] = [
        lambda: backend.read(name),
        lambda: backend.write(name, b"1"),
        lambda: backend.delete(name),
        lambda: backend.list(name),
        lambda: backend.folders(name),
        lambda: backend.exists(name + "/x"),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="not a name"):
            call()
    with backend.batch(1) as batch:
        with pytest.raises(StorageError, match="not a name"):
            batch.put(name, [b"1"])
        with pytest.raises(StorageError, match="not a name"):
            batch.flush([name])


@threads
def test_batch(backend: Backend, threads: int, many: bool) -> None:
    backend.write("a/x", b"before")
    with backend.batch(threads, many=many) as batch:
        batch.put("a/x", [b"aft", memoryview(b"er")])
        batch.put("new/y", [])
        batch.put("new/z/w", [b"w"])
        batch.flush(["a"])
        assert backend.read("a/x") == b"after"
        assert backend.read("new/y") == b""
        batch.put("later", [b"1"])
        batch.flush()
    assert backend.read("new/z/w") == b"w"
    assert backend.read("later") == b"1"


@threads
def test_batch_without_flush_leaves_whole_blobs_or_none(backend: Backend, threads: int, many: bool) -> None:
    def interrupted() -> None:
        with backend.batch(threads, many=many) as batch:
            for number in range(20):
                batch.put(f"a/{number}", [b"whole", b"blob"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(backend.read(f"a/{entry.name}") == b"wholeblob" for entry in backend.list("a"))


@threads
def test_batch_from_several_threads(backend: Backend, threads: int, many: bool) -> None:
    count = 28 if isinstance(backend, BucketBackend) else 210
    names = [f"objects/{number % 7:03}/{number}" for number in range(count)]
    with backend.batch(threads, many=many) as batch, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: batch.put(name, [name.encode(), b"!"]), names))
        batch.flush()
    assert all(backend.read(name) == name.encode() + b"!" for name in names)
    assert sum(len(backend.list(f"objects/{folder}")) for folder in backend.folders("objects")) == len(names)


def test_readers_never_meet_half_a_blob(backend: Backend) -> None:
    wanted = [bytes([letter]) * 200_000 for letter in range(4)]
    backend.write("a/x", wanted[0])
    done = threading.Event()

    def read() -> bool:
        whole = True
        while whole and not done.is_set():
            whole = backend.read("a/x") in wanted
        return whole

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        for number in range(10 if isinstance(backend, BucketBackend) else 100):
            backend.write("a/x", wanted[number % 4], durable=False)
        done.set()
        assert reading.result()


if os.name == "nt":
    # Windows refuses to replace a file that is open for reading.
    del test_readers_never_meet_half_a_blob


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC, NoSpace),
        (errno.ENOENT, NotFound),
        (errno.EIO, StorageError),
        (errno.EACCES, StorageError),
        (errno.EROFS, StorageError),
        (errno.EMFILE, StorageError),
    ],
)
def test_error_types(code: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="writing x") as caught, storage_errors("writing x"):
        raise OSError(code, os.strerror(code))
    assert type(caught.value) is kind
    assert isinstance(caught.value.__cause__, OSError)


def test_what_is_unfinished_is_told_and_cleared(tmp_path: Path) -> None:
    local = LocalBackend(tmp_path)
    local.write("a/x", b"whole")
    for name, age in ((".0123456789abcdef.tmp", 0), (".00000000000000ff.tmp", 10_000), ("y.tmp", 0), (".mine.tmp", 0)):
        path = tmp_path / "a" / name
        path.write_bytes(name.encode())
        now = path.stat().st_mtime
        os.utime(path, (now - age, now - age))
    assert sorted(local.unfinished("a")) == [Entry(".00000000000000ff.tmp", 21), Entry(".0123456789abcdef.tmp", 21)]
    assert [entry.name for entry in local.unfinished("a", 5_000)] == [".00000000000000ff.tmp"]
    for entry in (*local.unfinished("a"), Entry("x", 5), Entry("y.tmp", 5)):
        local.clear("a", entry)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [".mine.tmp", "x", "y.tmp"]


def test_nothing_is_unfinished_where_there_is_nothing(backend: Backend) -> None:
    assert list(backend.unfinished("nowhere")) == []
    backend.write("a/x", b"whole")
    assert list(backend.unfinished("a")) == []


def test_move(backend: Backend) -> None:
    if isinstance(backend, BucketBackend):
        pytest.skip("nothing is moved in an object store")
    backend.write("a/x", b"what is moved")
    backend.move("a/x", "new/y")
    assert backend.read("new/y") == b"what is moved"
    assert not backend.exists("a/x")
    backend.write("a/x", b"another")
    with pytest.raises(StorageError):
        backend.move("a/x", "new/y")
    with pytest.raises(NotFound):
        backend.move("a/z", "new/z")
    assert (backend.read("a/x"), backend.read("new/y")) == (b"another", b"what is moved")
    for bad in BAD_NAMES:
        with pytest.raises(StorageError):
            backend.move("a/x", bad)


def test_a_listing_gives_what_a_list_does(backend: Backend) -> None:
    for name in ("ab", "abc", "abd", "b", "a.x"):
        backend.write(f"a/{name}", name.encode())
    backend.write("a/folder/x", b"1")
    listing = backend.listing("a")
    assert [name for name in listing.names if name != "folder"] == ["a.x", "ab", "abc", "abd", "b"]
    # The first questions are answered in another way than many.
    for same in (backend.listing("a"), listing):
        for _ in range(6):
            assert [(entry.name, entry.size) for entry in same.starting("ab")] == [("ab", 2), ("abc", 3), ("abd", 3)]
            assert same.starting("") == sorted(backend.list("a"))
            assert same.starting("c") == []
    assert listing.get("folder") is listing.get("nothing") is None
    backend.delete("a/abc")
    assert backend.listing("a").get("abc") is None
    assert backend.listing("nowhere").names == []
    with pytest.raises(StorageError):
        backend.listing("../a")
