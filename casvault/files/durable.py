"""Writes that survive a power cut: write, fsync, rename, fsync the folder.

Owns the two halves of that promise, `sync_descriptor` and `sync_folder`. A failed fsync is never tried again,
because the kernel may have dropped the dirty pages and a second call would succeed on nothing
(PostgreSQL's "fsyncgate"); the error goes up and the bytes are written anew from their source.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = [
    "TEMP_SUFFIX",
    "fill_temp",
    "is_temp_name",
    "make_folder",
    "start_writing_back",
    "sync_descriptor",
    "sync_folder",
    "write_all",
    "write_durably",
]

TEMP_SUFFIX = ".tmp"
"""What the name of an unfinished file ends with; such a file is never read."""

_TEMP_NAME = re.compile(r"\.[0-9a-f]{16}\.tmp")
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
_MOST_PIECES = 64
_BINARY = getattr(os, "O_BINARY", 0)


def sync_descriptor(descriptor: int) -> None:
    """Put the bytes of an open file on the disk; raises OSError.

    On macOS fsync leaves them in the drive's own cache; F_FULLFSYNC does not, where the file system has it.
    """
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise
    os.fsync(descriptor)


def start_writing_back(descriptor: int, offset: int, length: int) -> None:
    """Set the disk to work on bytes that were just written, without waiting; promises nothing, saves a later wait."""
    if sys.platform == "linux":
        # The advice that they will not be needed makes the kernel begin; what it has not written yet it keeps.
        with suppress(OSError):
            os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def write_all(descriptor: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Write ``pieces`` one after another, in as few calls as the system takes; raises OSError."""
    written = os.writev(descriptor, pieces) if hasattr(os, "writev") and 1 < len(pieces) <= _MOST_PIECES else 0
    for piece in pieces:
        view = memoryview(piece)
        skipped = min(written, len(view))
        written -= skipped
        view = view[skipped:]
        while view:
            view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Put the names in ``folder`` on the disk; raises OSError.

    Windows has no such call: NTFS journals its names.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        sync_descriptor(descriptor)
    except OSError as error:
        # CIFS and some FUSE file systems cannot sync a folder at all; there is nothing else to be done there.
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make ``folder`` and what is missing above it, durably; raises OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def fill_temp(folder: Path, pieces: Sequence[bytes | memoryview], mode: int = 0o666) -> tuple[int, Path]:
    """Write ``pieces`` to a new temporary file in ``folder``; return its open descriptor and path.

    The caller syncs, closes and renames it. Nothing is left behind when it raises OSError.
    """
    path = folder / f".{os.urandom(8).hex()}{TEMP_SUFFIX}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
    try:
        write_all(descriptor, pieces)
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor, path


def is_temp_name(name: str) -> bool:
    """Tell whether ``name`` is one that `fill_temp` gives."""
    return _TEMP_NAME.fullmatch(name) is not None


def write_durably(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Put ``data`` at ``path``, wholly or not at all; on the disk when it returns if ``durable``.

    Raises OSError; then ``path`` is as it was, or has ``data`` that may not survive a power cut.
    """
    descriptor, temp = fill_temp(path.parent, [data])
    try:
        try:
            if durable:
                sync_descriptor(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temp, path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)
