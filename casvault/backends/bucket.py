"""A backend in a bucket of an object store, through obstore.

A blob is an object whose key is the vault's prefix and the blob's name, so that a bucket copied to a disk by any tool
is a vault. Nothing here relies on conditional writes, on renaming, or on locks, none of which every store has.

Owns the invariants that what was written is what the store says it has, and that no listing is endless or tells of
what was not asked for.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from casvault.backends.backend import Backend, Batch, Entry, check_name
from casvault.backends.store_errors import LISTING, BrokenOff, store_errors
from casvault.errors import NotFound, RemoteError, StorageError
from casvault.files.names import is_vault_name

__all__ = ["MOST_ENTRIES", "BucketBackend", "BucketEntry"]

T = TypeVar("T")

MOST_ENTRIES = 1_000_000
"""The most objects that a listing may have: a terabyte of them."""

_MOST_IN_FOLDER = 200_000
"""The most blobs of one folder: documents of as many snapshots, or fifty times a share of all objects."""

_PAGE = 1000
_PAGE_LIMIT = 300.0
"""Seconds for one page of a listing, retries included."""

_MOST_BYTES = 66 << 20
"""The most bytes that a blob may have: no object and no document of a vault is larger."""

_THREADS = 16
_LEAST_IN_FLIGHT, _MOST_IN_FLIGHT = 2 << 20, 16 << 20
_SHARE_IN_FLIGHT = 32
"""Of all bytes that went, so many at once are on their way again: a link that breaks costs no more.

The least fills a link of 20 MB/s at 100 ms, the most one of 160 MB/s.
"""

_MOST_AHEAD = 64 << 20
"""Bytes of what is kept since it was asked for ahead; what is more is asked for again."""

_DELETED_AT_ONCE = 100
_TRIES = 3
_PAUSE = 0.3


class BucketEntry(NamedTuple):
    """A blob in a bucket: its name in the vault, its bytes, and when the store says it was written."""

    name: str
    size: int
    modified: datetime


class BucketBackend(Backend):
    """Blobs below ``prefix`` in ``store``, one of obstore's; ``title`` is what messages call it.

    With ``threads`` of 1 one request is made at a time.
    """

    def __init__(self, store: Any, prefix: str, title: str, threads: int) -> None:
        self.title = title
        self._store = store
        self._prefix = f"{prefix}/" if prefix else ""
        self._pool = ThreadPoolExecutor(_THREADS, "bucket") if threads > 1 else None
        self._room = _Room()
        self._ahead: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._tells_md5: bool | None = None
        self.moved = 0

    def batch(self, threads: int, *, many: bool = False) -> Batch:
        """Begin a batch; how many blobs are sent at once is told by their sizes."""
        return _BucketBatch(self)

    def give_up(self) -> None:
        """Begin no request any more, and try none again; what is asked for from now on raises BrokenLink."""
        self._closed.set()

    def close(self) -> None:
        """End the workers; the request that one is at is finished first."""
        self.give_up()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have ``work`` done beside the caller's, or at once where there is one thread only."""
        if self._pool is not None:
            return self._pool.submit(work)
        done: Future[T] = Future()
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001
            done.set_exception(error)
        return done

    def walk(self, folder: str = "", most: int | None = None) -> Iterator[BucketEntry]:
        """Yield all blobs in ``folder`` and below, by name; raises RemoteError where there are more than ``most``.

        What has no name that a vault could have is left out.
        """
        prefix = self._prefix + (f"{folder}/" if folder else "")
        most = MOST_ENTRIES if most is None else most
        last, count = "", 0
        for page in self._pages(prefix):
            for meta in page:
                path, size = str(meta["path"]), meta["size"]
                if not path.startswith(prefix):
                    if f"{path}/" == prefix:
                        continue
                    raise RemoteError(f"{self.title} lists what it was not asked for; nothing it lists is believed.")
                count += 1
                if path <= last or size < 0 or count > most:
                    why = (
                        "lists without an end" if count > most else "lists names out of their order, or a size below 0"
                    )
                    raise RemoteError(f"{self.title} {why}; nothing it lists is believed.")
                last = path
                name = path[len(self._prefix) :]
                if is_vault_name(name):
                    yield BucketEntry(name, size, meta["last_modified"])

    def modified(self, name: str) -> datetime:
        """Return when a blob was written, by the store's own clock; raises NotFound, RemoteError."""
        check_name(name)
        when: datetime = self._head(name)["last_modified"]
        return when

    def delete_all(self, names: Sequence[str]) -> None:
        """Remove blobs, many at a time, those that come first before the others; raises RemoteError."""
        for at in range(0, len(names), _DELETED_AT_ONCE):
            pending = [
                self.submit(lambda name=name: self.delete(name))  # type: ignore[misc]
                for name in names[at : at + _DELETED_AT_ONCE]
            ]
            for each in pending:
                each.result()

    def ahead(self, names: Collection[str]) -> None:
        """Read blobs at once that are going to be asked for one by one; those that are gone are left out."""
        with self._lock:
            self._ahead.clear()

        def read(name: str) -> None:
            with suppress(NotFound):
                data = self.read(name, _MOST_BYTES)
                with self._lock:
                    if sum(map(len, self._ahead.values())) + len(data) <= _MOST_AHEAD:
                        self._ahead[name] = data

        for each in [self.submit(lambda name=name: read(name)) for name in names]:  # type: ignore[misc]
            each.result()

    def put(self, name: str, data: bytes) -> None:
        """Write a blob, and make sure that the store has these bytes; raises RemoteError, StorageError."""
        import obstore

        check_name(name)
        for attempt in range(_TRIES):
            with self._room.taken(len(data)):
                told = self._tried(
                    f"writing {name}",
                    lambda: obstore.put(self._store, self._prefix + name, data, use_multipart=False),
                )
            with self._lock:
                self.moved += len(data)
            if self._has(name, data, str(told.get("e_tag") or "")):
                return
            time.sleep(_PAUSE * attempt)
        raise StorageError(f"{self.title} took {name} and has other bytes under that name.")

    def _has(self, name: str, data: bytes, tag: str) -> bool:
        """Tell whether the store has ``data``: by its tag where that is the MD5 of it, else by what comes back.

        Where a store's tags turn out to be no MD5s, which encryption makes of them, sizes are compared.
        """
        if tag.strip('"').lower() == hashlib.md5(data, usedforsecurity=False).hexdigest():
            self._tells_md5 = True
            return True
        if self._tells_md5 is False:
            return bool(self._head(name)["size"] == len(data))
        if self.read(name, _MOST_BYTES) != data:
            return False
        if self._tells_md5 is None:
            self._tells_md5 = False
        return True

    def _head(self, name: str) -> Any:
        import obstore

        try:
            return self._tried(f"asking for {name}", lambda: obstore.head(self._store, self._prefix + name))
        except FileNotFoundError:
            raise NotFound(f"{name} is not in {self.title}.") from None

    def _tried(self, what: str, work: Callable[[], T]) -> T:
        """Ask the store, some times where an answer breaks off; raises RemoteError, and FileNotFoundError.

        obstore itself tries again to get an answer that is none or an error, and takes longer over it.
        """
        for attempt in range(_TRIES):
            if self._closed.is_set():
                break
            try:
                with store_errors(self.title, what):
                    return work()
            except BrokenOff:
                if attempt + 1 == _TRIES:
                    raise
                self._closed.wait(_PAUSE * (attempt + 1))
        raise BrokenOff(f"{self.title}: {what} was given up.")

    def _pages(self, prefix: str) -> Iterator[Sequence[Any]]:
        import obstore

        stream: Any = None
        last: str | None = None

        def page() -> Sequence[Any] | None:
            nonlocal stream
            try:
                if stream is None:
                    folder = prefix.rstrip("/") or None
                    stream = iter(obstore.list(self._store, folder, offset=last, chunk_size=_PAGE))
                return next(stream, None)
            except Exception:
                # A stream that failed is at its end: the next begins after what came.
                stream = None
                raise

        def turn() -> Sequence[Any] | None:
            # Pages without a name in them, one after another, would else be asked for without an end.
            try:
                return _within(_PAGE_LIMIT, page)
            except FutureTimeout:
                raise RemoteError(f"{self.title} lists without an end; nothing it lists is believed.") from None

        while (found := self._tried(LISTING, turn)) is not None:
            last = str(found[-1]["path"]) if found else last
            yield found

    def fetch(self, name: str, size: int, limit: int) -> bytes:
        """Read a blob of which a listing says how many bytes it has; raises what `read` raises."""
        # Once it is asked for, it comes, into the system's own memory, whether there is room for it or not.
        with self._room.taken(min(size, limit)):
            return self._get(name, limit)

    def _read(self, name: str, limit: int | None) -> bytes:
        with self._lock:
            data = self._ahead.pop(name, None)
        return self._get(name, _MOST_BYTES if limit is None else limit) if data is None else data

    def _get(self, name: str, limit: int) -> bytes:
        import obstore

        def get() -> bytes:
            got = obstore.get(self._store, self._prefix + name)
            size = got.meta["size"]
            if size > _MOST_BYTES:
                raise StorageError(f"{name} in {self.title} has {size:,} bytes, which cannot be right.")
            wanted = min(size, limit + 1)
            if wanted == size:
                data = bytes(got.bytes())
            else:
                data = bytes(obstore.get_range(self._store, self._prefix + name, start=0, length=wanted))
            with self._lock:
                self.moved += len(data)
            if len(data) != wanted:
                raise BrokenOff(f"{self.title}: {name} comes with another length than the store says.")
            return data

        return self._tried(f"reading {name}", get)

    def _write(self, name: str, data: bytes, durable: bool) -> None:
        self.put(name, data)

    def _delete(self, name: str) -> None:
        import obstore

        with suppress(FileNotFoundError):
            self._tried(f"deleting {name}", lambda: obstore.delete(self._store, self._prefix + name))

    def _exists(self, name: str) -> bool:
        with suppress(NotFound):
            self.modified(name)
            return True
        return False

    def _move(self, name: str, target: str) -> None:
        raise StorageError(f"nothing is moved in {self.title}: an object store cannot do that in one step.")

    def _list(self, folder: str) -> list[Entry]:
        cut = len(folder) + 1
        found = self.walk(folder, min(_MOST_IN_FOLDER, MOST_ENTRIES))
        return [Entry(one.name[cut:], one.size) for one in found if "/" not in one.name[cut:]]

    def _folders(self, folder: str) -> list[str]:
        cut = len(folder) + 1
        rests = (one.name[cut:] for one in self.walk(folder))
        return list({rest.partition("/")[0] for rest in rests if "/" in rest})


class _BucketBatch(Batch):
    def __init__(self, backend: BucketBackend) -> None:
        self._backend = backend
        self._pending: list[Future[None]] = []

    def _put(self, name: str, pieces: Sequence[bytes | memoryview]) -> None:
        data = bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
        self._pending.append(self._backend.submit(lambda: self._backend.put(name, data)))

    def _flush(self, folders: Iterable[str]) -> None:
        pending, self._pending = self._pending, []
        failure: BaseException | None = None
        for each in pending:
            # Whatever fails, the others end before anybody goes on.
            failure = each.exception() or failure
        if failure is not None:
            raise failure

    def _close(self) -> None:
        for each in self._pending:
            each.cancel()
        for each in self._pending:
            if not each.cancelled():
                each.exception()


class _Room:
    """Room for bytes that are on their way, in turn: what is larger than all of it goes alone, and is not passed by."""

    def __init__(self) -> None:
        self._used = self._went = 0
        self._waiting = deque[object]()
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            self._changed.wait_for(lambda: self._waiting[0] is turn and self._has_room(size))
            self._waiting.popleft()
            self._used += size
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._went += size
                self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        most = min(max(self._went // _SHARE_IN_FLIGHT, _LEAST_IN_FLIGHT), _MOST_IN_FLIGHT)
        return not self._used or self._used + size <= most


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Return what ``work`` gives, or raise FutureTimeout; what takes longer is left to itself."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(seconds)
