"""Staging: every file of a restore is built beside its target and verified before anything is touched.

Chunks are read and decoded a few ahead on all cores, across files; one thread puts them together, and others bring
finished files onto the disk meanwhile. Owns the invariant that a staged file has, to the last bit, the digest that its
manifest says, and is on the disk.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from casvault.codecs import Bytes
from casvault.crew import Crew, Task
from casvault.digest import Hasher
from casvault.errors import DamageError, NoSpace, StorageError
from casvault.files.durable import start_writing_back, sync_descriptor
from casvault.manifest.manifest import ChunkRef, FileEntry
from casvault.progress import Progress
from casvault.vault.vault import Vault

__all__ = ["stage_files"]

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_WRITE_BACK = 16 << 20
"""Bytes after which the disk is set to work; the last flush then has little left to wait for."""

_FLUSHES = 4


def stage_files(vault: Vault, files: Sequence[tuple[FileEntry, Path]], progress: Progress) -> None:
    """Write each entry to the new file at its path, with its mode and its modification time, durably.

    Raises DamageError or MissingObject where the vault cannot give its bytes, NoSpace, StorageError.
    """
    with ExitStack() as stack:
        flush = _Flush(stack, vault.threads)
        crew = stack.enter_context(Crew(vault.threads, "decode"))
        plains = _decoded(vault, [chunk for entry, _ in files for chunk in entry.chunks], crew)
        for entry, path in files:
            try:
                descriptor = os.open(path, _FLAGS, 0o600)
                try:
                    _write(entry, descriptor, plains, progress)
                except BaseException:
                    os.close(descriptor)
                    raise
                flush.finish(descriptor, entry, path)
            except OSError as error:
                raise _failure(error, path) from error
        try:
            flush.wait()
        except OSError as error:
            raise _failure(error, files[-1][1]) from error


def _decoded(vault: Vault, chunks: Sequence[ChunkRef], crew: Crew) -> Iterator[Bytes]:
    """Yield the plain bytes of chunks, in order, decoded a few ahead on all cores."""
    waiting: deque[Task[Bytes]] = deque()
    for chunk in chunks:
        waiting.append(crew.do(partial(vault.objects.read, chunk.digest, chunk.size)))
        while waiting and (len(waiting) > 2 * vault.threads or waiting[0].done()):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Flush:
    """Brings written files onto the disk, in threads of its own where there is more than one."""

    def __init__(self, stack: ExitStack, threads: int) -> None:
        self._pool = stack.enter_context(ThreadPoolExecutor(_FLUSHES, "flush")) if threads > 1 else None
        self._pending: list[Future[None]] = []

    def finish(self, descriptor: int, entry: FileEntry, path: Path) -> None:
        """Give a file its mode and time, put it on the disk and close it; raises OSError, or `wait` does."""
        if self._pool is None:
            _finish(descriptor, entry, path)
        else:
            self._pending.append(self._pool.submit(_finish, descriptor, entry, path))

    def wait(self) -> None:
        """Return when all is on the disk; raises OSError where something is not."""
        for future in self._pending:
            future.result()


def _finish(descriptor: int, entry: FileEntry, path: Path) -> None:
    try:
        # On Windows a mode is only the read-only mark, which would keep the trainer from replacing the file.
        if os.name != "nt":
            os.fchmod(descriptor, entry.mode)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def _write(entry: FileEntry, descriptor: int, plains: Iterator[Bytes], progress: Progress) -> None:
    hasher = Hasher()
    done = begun = 0
    for _ in entry.chunks:
        plain = next(plains)
        hasher.update(plain)
        view = memoryview(plain)
        while view:
            view = view[os.write(descriptor, view) :]
        done += len(plain)
        if done - begun >= _WRITE_BACK:
            start_writing_back(descriptor, begun, done - begun)
            begun = done
        progress.advance(len(plain))
    if hasher.hexdigest() != entry.digest:
        raise DamageError(f"{entry.path} comes out with other bytes than were stored; nothing was changed.")


def _failure(error: OSError, path: Path) -> NoSpace | StorageError:
    kind = NoSpace if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)) else StorageError
    return kind(f"cannot write {path.parent.parent}: {error.strerror}; nothing was changed.")
