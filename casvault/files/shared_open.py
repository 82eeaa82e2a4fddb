"""Opening a file that somebody else may delete, replace or write while we read it.

On POSIX every open file is like that. On Windows it takes CreateFileW with all three sharing modes; a plain open()
there would make the trainer's unlink fail.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

__all__ = ["open_shared"]

_POSIX_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_GENERIC_READ = 0x80000000
_SHARE_READ_WRITE_DELETE = 0x1 | 0x2 | 0x4
_OPEN_EXISTING = 3
_FLAG_OPEN_REPARSE_POINT = 0x00200000


def open_shared(path: Path) -> int:
    """Return a descriptor to read the regular file ``path``; raises OSError, also for a link, a FIFO or a device."""
    descriptor = _open_windows(path) if sys.platform == "win32" else os.open(path, _POSIX_FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def _open_windows(path: Path) -> int:  # pragma: no cover
    import ctypes
    import msvcrt

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    kernel.CreateFileW.restype = ctypes.c_void_p
    handle = kernel.CreateFileW(
        str(path),
        _GENERIC_READ,
        _SHARE_READ_WRITE_DELETE,
        None,
        _OPEN_EXISTING,
        _FLAG_OPEN_REPARSE_POINT,
        None,
    )
    if handle is None or handle == ctypes.c_void_p(-1).value:
        raise ctypes.WinError(ctypes.get_last_error())  # type: ignore[attr-defined,unused-ignore]
    descriptor: int = msvcrt.open_osfhandle(handle, os.O_RDONLY | os.O_BINARY)  # type: ignore[attr-defined,unused-ignore]
    return descriptor
