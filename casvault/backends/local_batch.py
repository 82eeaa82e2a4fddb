"""Many files written at once, in folders of a local file system: each synced by itself, or the whole volume.

Either way a file is written under a temporary name in its own folder, its bytes are on the disk before it gets its
name, and its name is before `flush` returns. Where each is synced by itself the syncs run in parallel, and each folder
is synced once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from casvault.backends.backend import Batch
from casvault.files.durable import fill_temp, start_writing_back, sync_descriptor, sync_folder
from casvault.files.volume import Volume

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["SeparateBatch", "VolumeBatch"]

_PENDING = 64
"""How many files a batch may hold open: far below the usual limit of 1,024 descriptors."""

_LARGE = 64 << 10
"""Bytes from which on the disk is set to work on a file before the volume is synced."""

_UNNAMED, _UNNAMED_BYTES = 1024, 256 << 20
"""Files that may wait for their names, and their bytes: what is lost, and lies there until gc, where it is killed."""


class _Folders:
    """The folders that files of a batch go to, each made once, not durably."""

    def __init__(self) -> None:
        self.made: set[Path] = set()
        self._lock = threading.Lock()

    def make(self, folder: Path) -> None:
        """Have ``folder`` there."""
        with self._lock:
            known = folder in self.made
        if not known:
            # `flush` puts the names of all folders on the disk: one by one that would take longer than the blobs.
            _make(folder)
            with self._lock:
                self.made.add(folder)


def _make(folder: Path) -> None:
    # Most folders are new, below one that is there; pathlib would ask more often.
    try:
        os.mkdir(folder)
    except OSError:
        folder.mkdir(parents=True, exist_ok=True)


class SeparateBatch(Batch):
    """Each file is synced as soon as it is written, by ``threads`` threads; 1 means in the caller's own."""

    def __init__(self, root: Path, threads: int) -> None:
        self._root = root
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._room = threading.BoundedSemaphore(_PENDING)
        self._lock = threading.Lock()
        self._pending: list[Future[None]] = []
        self._folders = _Folders()
        self._failure: BaseException | None = None

    def _put(self, name: str, pieces: Sequence[bytes | memoryview]) -> None:
        path = self._root / name
        self._folders.make(path.parent)
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
        wanted = _with_parents(self._folders.made | {self._root / name for name in folders}, self._root)
        self._folders = _Folders()
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


class VolumeBatch(Batch):
    """Files are written, the volume is synced, they get their names, and it is synced again; ``volume`` is closed.

    Where it turns out that the volume cannot be synced, or not soon, files and folders are synced one by one. What does
    not lie on it is left to a batch of the other kind, ``apart``.
    """

    def __init__(self, root: Path, volume: Volume, apart: SeparateBatch) -> None:
        self._root = root
        self._volume = volume
        self._apart = apart
        self._folders = _Folders()
        self._lock = threading.Lock()
        self._naming = threading.Lock()
        self._unnamed: list[tuple[Path, Path]] = []
        self._bytes = 0
        self._named: set[Path] = set()
        self._failure: BaseException | None = None

    def _put(self, name: str, pieces: Sequence[bytes | memoryview]) -> None:
        path = self._root / name
        self._folders.make(path.parent)
        if not self._volume.holds(path.parent):
            self._apart._put(name, pieces)
            return
        descriptor, temp = fill_temp(path.parent, pieces)
        size = sum(len(piece) for piece in pieces)
        try:
            if size >= _LARGE:
                # Else all of it would still be to be written when the volume is synced.
                start_writing_back(descriptor, 0, size)
        finally:
            os.close(descriptor)
        with self._lock:
            self._unnamed.append((temp, path))
            self._bytes += size
            full = len(self._unnamed) >= _UNNAMED or self._bytes >= _UNNAMED_BYTES
        if full or self._failure is not None:
            self._name()

    def _name(self) -> None:
        """Give all files that were written their names, once their bytes are on the disk."""
        with self._naming:
            with self._lock:
                waiting, self._unnamed = self._unnamed, []
                own, self._bytes = self._bytes, 0
            try:
                # Once it has failed, no later call can vouch for the batch.
                if self._failure is not None:
                    raise self._failure
                if waiting and not self._volume.sync(own):
                    for temp, _ in waiting:
                        _sync_file(temp)
                for temp, path in waiting:
                    os.replace(temp, path)
                    self._named.add(path.parent)
            except BaseException as error:
                self._failure = error
                _remove(waiting)
                raise

    def _flush(self, folders: Sequence[str]) -> None:
        self._name()
        places = {self._root / name for name in folders}
        elsewhere = {place for place in places if not self._volume.holds(place)}
        self._apart._flush([place.relative_to(self._root).as_posix() for place in elsewhere])
        wanted = (places - elsewhere) | self._named
        try:
            if wanted and not self._volume.sync():
                for folder in sorted(_with_parents(wanted, self._root)):
                    sync_folder(folder)
        except BaseException as error:
            self._failure = error
            raise
        self._named = set()

    def _close(self) -> None:
        try:
            self._apart._close()
        finally:
            with self._naming, self._lock:
                waiting, self._unnamed = self._unnamed, []
                self._failure = self._failure or ValueError("this batch is over")
            _remove(waiting)
            self._volume.close()


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def _with_parents(folders: set[Path], root: Path) -> set[Path]:
    """Return ``folders`` and those above them: another process may have made one and not flushed its name yet."""
    return folders | {folder.parent for folder in folders if folder != root}


def _remove(unnamed: Sequence[tuple[Path, Path]]) -> None:
    for temp, _ in unnamed:
        # What cannot be removed now gc clears.
        with suppress(OSError):
            temp.unlink(missing_ok=True)
