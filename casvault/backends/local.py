"""A backend in a folder of a local file system.

Each blob is a file. A file is written under a temporary name in its own folder, synced, renamed, and then its
folder is synced; in a batch the syncs run in parallel and each folder is synced once.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from casvault.backends.backend import Backend, Batch, Entry, Listing
from casvault.files.durable import (
    TEMP_SUFFIX,
    fill_temp,
    is_temp_name,
    make_folder,
    sync_descriptor,
    sync_folder,
    write_durably,
)

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["LocalBackend"]

_PENDING = 64
"""How many files a batch may hold open: far below the usual limit of 1,024 descriptors."""


class LocalBackend(Backend):
    """Blobs as files below ``root``, which must exist."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def batch(self, threads: int) -> Batch:
        """Begin a batch that syncs files with ``threads`` threads; 1 means in the caller's own."""
        return _LocalBatch(self, threads)

    def path(self, name: str) -> Path:
        """Return where the blob or folder ``name`` lies."""
        return self.root / name

    def _read(self, name: str, limit: int | None) -> bytes:
        with open(self.path(name), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            wanted = size if limit is None else min(size, limit + 1)
            data = file.read(wanted)
            while len(data) < wanted:
                more = file.read(wanted - len(data))
                if not more:
                    break
                data += more
            return data

    def _write(self, name: str, data: bytes, durable: bool) -> None:
        path = self.path(name)
        make_folder(path.parent)
        write_durably(path, data, durable=durable)

    def _delete(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)

    def _move(self, name: str, target: str) -> None:
        source, place = self.path(name), self.path(target)
        make_folder(place.parent)
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, "something is there already", str(place))
        os.rename(source, place)
        # The new name first: a power cut in between leaves both, not none.
        sync_folder(place.parent)
        sync_folder(source.parent)

    def _list(self, folder: str) -> list[Entry]:
        try:
            with os.scandir(self.path(folder)) as entries:
                # In one go: a vault has hundreds of folders, and a long history fills each.
                return [
                    Entry(entry.name, partial(_size, entry))
                    for entry in entries
                    if not entry.name.endswith(TEMP_SUFFIX) and entry.is_file(follow_symlinks=False)
                ]
        except FileNotFoundError:
            return []

    def _listing(self, folder: str) -> Listing:
        place = self.path(folder)
        try:
            names = os.listdir(place)
        except FileNotFoundError:
            names = []
        names = sorted(name for name in names if not name.endswith(TEMP_SUFFIX))
        return Listing(folder, names, partial(_look, f"{place}{os.sep}"))

    def _unfinished(self, folder: str, older_than: float) -> list[Entry]:
        try:
            with os.scandir(self.path(folder)) as entries:
                found = [one for one in entries if one.name.endswith(TEMP_SUFFIX) and is_temp_name(one.name)]
                if older_than:
                    found = [entry for entry in found if entry.stat().st_mtime <= time.time() - older_than]
                return [Entry(entry.name, partial(_size, entry)) for entry in found]
        except FileNotFoundError:
            return []

    def _clear(self, folder: str, entry: Entry) -> None:
        if is_temp_name(entry.name):
            (self.path(folder) / entry.name).unlink(missing_ok=True)

    def _folders(self, folder: str) -> list[str]:
        try:
            with os.scandir(self.path(folder)) as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []


def _look(place: str, name: str) -> Entry | None:
    try:
        told = os.lstat(place + name)
    except FileNotFoundError:
        return None
    return Entry(name, told.st_size) if stat.S_ISREG(told.st_mode) else None


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        # It was deleted since the folder was listed; the others are still there.
        return 0


class _LocalBatch(Batch):
    def __init__(self, backend: LocalBackend, threads: int) -> None:
        self._backend = backend
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._room = threading.BoundedSemaphore(_PENDING)
        self._lock = threading.Lock()
        self._pending: list[Future[None]] = []
        self._touched: set[Path] = set()
        self._failure: BaseException | None = None

    def _put(self, name: str, pieces: Sequence[bytes | memoryview]) -> None:
        path = self._backend.path(name)
        with self._lock:
            known = path.parent in self._touched
        if not known:
            # `flush` puts the names of all folders on the disk: one by one that would take longer than the blobs.
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                self._touched.add(path.parent)
        self._room.acquire()
        try:
            descriptor, temp = fill_temp(path.parent, pieces)
        except BaseException:
            self._room.release()
            raise
        if self._threads == 1:
            self._finish(descriptor, temp, path)
            return
        with self._lock:
            self._pending.append(self._workers().submit(self._finish, descriptor, temp, path))

    def _finish(self, descriptor: int, temp: Path, path: Path) -> None:
        try:
            try:
                sync_descriptor(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temp, path)
        except BaseException as error:
            self._failure = error
            temp.unlink(missing_ok=True)
            raise
        finally:
            self._room.release()

    def _flush(self, folders: Sequence[str]) -> None:
        self._wait()
        with self._lock:
            wanted = self._touched | {self._backend.path(name) for name in folders}
            self._touched = set()
        # Another process may have made a fan-out folder and not flushed its name yet.
        wanted |= {folder.parent for folder in wanted if folder != self._backend.root}
        if self._threads == 1:
            for folder in sorted(wanted):
                sync_folder(folder)
        elif wanted:
            with self._lock:
                pool = self._workers()
            list(pool.map(sync_folder, sorted(wanted)))

    def _workers(self) -> ThreadPoolExecutor:
        """Return the threads that sync, started when there is something for them; for who holds the lock."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._threads, "flush")
        return self._pool

    def _wait(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, []
        for future in pending:
            future.exception()
        # Once a file has failed, no later flush can vouch for the batch.
        if self._failure is not None:
            raise self._failure

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)
