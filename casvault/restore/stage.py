"""Staging: every file of a restore is built beside its target and verified before anything is touched.

Owns the invariant that a staged file has, to the last bit, the digest that its manifest says, and is on the disk.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from casvault.digest import Hasher
from casvault.errors import DamageError, NoSpace, StorageError
from casvault.files.durable import sync_descriptor
from casvault.manifest.manifest import ChunkRef, FileEntry
from casvault.progress import Progress
from casvault.vault.vault import Vault

__all__ = ["stage_file"]

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def stage_file(vault: Vault, entry: FileEntry, path: Path, progress: Progress) -> None:
    """Write the file ``entry`` to the new file ``path``, with its mode and its modification time, durably.

    Raises DamageError or MissingObject where the vault cannot give its bytes, NoSpace, StorageError.
    """
    try:
        descriptor = os.open(path, _FLAGS, 0o600)
        try:
            _write(vault, entry, descriptor, progress)
            # On Windows a mode is only the read-only mark, which would keep the trainer from replacing the file.
            if os.name != "nt":
                os.fchmod(descriptor, entry.mode)
            os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
            sync_descriptor(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        kind = NoSpace if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)) else StorageError
        raise kind(f"cannot write {path.parent.parent}: {error.strerror}; nothing was changed.") from error


def _write(vault: Vault, entry: FileEntry, descriptor: int, progress: Progress) -> None:
    hasher = Hasher()
    for plain in _chunks(vault, entry.chunks):
        hasher.update(plain)
        view = memoryview(plain)
        while view:
            view = view[os.write(descriptor, view) :]
        progress.advance(len(plain))
    if hasher.hexdigest() != entry.digest:
        raise DamageError(f"{entry.path} comes out with other bytes than were stored; nothing was changed.")


def _chunks(vault: Vault, chunks: tuple[ChunkRef, ...]) -> Iterator[bytes]:
    """Yield the plain bytes of the chunks in order, decoding a few ahead on all cores."""
    if vault.threads == 1:
        for chunk in chunks:
            yield vault.objects.read(chunk.digest, chunk.size)
        return
    pool = ThreadPoolExecutor(vault.threads, "decode")
    try:
        waiting: deque[Future[bytes]] = deque()
        for chunk in chunks:
            if len(waiting) > 2 * vault.threads:
                yield waiting.popleft().result()
            waiting.append(pool.submit(vault.objects.read, chunk.digest, chunk.size))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
