"""Opening a file that somebody else may delete, replace or write while we read it.

On POSIX every open file is like that, and its name is free as soon as it is deleted. On Windows it takes CreateFileW
with all three sharing modes; a plain open() there would make the trainer's unlink fail. And even then the name of a
deleted file is free at once only on volumes with POSIX deletes (NTFS since Windows 10, 1903): elsewhere it stays taken
until the last handle is closed, and the trainer's rename to it fails. `name_is_free_at_once` tells by trying.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import Any, Protocol

__all__ = ["name_is_free_at_once", "open_shared"]

_POSIX_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_GENERIC_READ = 0x80000000
_SHARE_READ_WRITE_DELETE = 0x1 | 0x2 | 0x4
_OPEN_EXISTING = 3
_FLAG_OPEN_REPARSE_POINT = 0x00200000
_INVALID_HANDLE = (1 << 64) - 1, (1 << 32) - 1, -1

_probed: dict[int, bool] = {}
"""What was found for a volume, by its device number."""


class Kernel(Protocol):
    """What is needed of kernel32."""

    CreateFileW: Any
    CloseHandle: Any


def open_shared(path: Path) -> int:
    """Return a descriptor to read the regular file ``path``; raises OSError, also for a link, a FIFO or a device."""
    descriptor = _open_windows(path) if sys.platform == "win32" else os.open(path, _POSIX_FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def name_is_free_at_once(folder: Path) -> bool:
    """Tell whether a file in ``folder`` that is deleted while `open_shared` holds it leaves its name free at once.

    On Windows it is tried, once for each volume, with a file of casvault's own; where that cannot be, it is not so.
    """
    if os.name != "nt":
        return True
    try:
        device = os.stat(folder).st_dev
    except OSError:
        return False
    if device not in _probed:
        _probed[device] = probe(folder)
    return _probed[device]


def probe(folder: Path) -> bool:
    """Delete an open file in ``folder``, make one of the same name, and tell whether that went."""
    path = folder / f".casvault_probe_{os.urandom(8).hex()}"
    held = None
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        held = open_shared(path)
        os.unlink(path)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        return True
    except OSError:
        return False
    finally:
        if held is not None:
            os.close(held)
        path.unlink(missing_ok=True)


def windows_handle(kernel: Kernel, path: str) -> int:
    """Return a handle to read what is at ``path``, which others may read, write and delete; -1 where there is none.

    A link is opened as itself. The handle is not inherited by other processes.
    """
    handle = kernel.CreateFileW(
        path, _GENERIC_READ, _SHARE_READ_WRITE_DELETE, None, _OPEN_EXISTING, _FLAG_OPEN_REPARSE_POINT, None
    )
    return -1 if handle is None or handle in _INVALID_HANDLE else int(handle)


def windows_descriptor(kernel: Kernel, handle: int, adopt: Any) -> int:
    """Return a descriptor for a handle, made by ``adopt``; the handle is closed where that fails."""
    try:
        descriptor: int = adopt(handle, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0))
    except OSError:
        kernel.CloseHandle(handle)
        raise
    return descriptor


def _open_windows(path: Path) -> int:  # pragma: no cover
    import ctypes
    import msvcrt

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    text, number, pointer = ctypes.c_wchar_p, ctypes.c_uint32, ctypes.c_void_p
    kernel.CreateFileW.argtypes = (text, number, number, pointer, number, number, pointer)
    kernel.CreateFileW.restype = pointer
    kernel.CloseHandle.argtypes = (pointer,)
    handle = windows_handle(kernel, str(path))
    if handle == -1:
        raise ctypes.WinError(ctypes.get_last_error())  # type: ignore[attr-defined,unused-ignore]
    return windows_descriptor(kernel, handle, msvcrt.open_osfhandle)  # type: ignore[attr-defined,unused-ignore]
