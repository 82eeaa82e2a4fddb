"""How a process of the command line keeps its memory.

The C library gives large blocks back to the system as soon as they are free and asks for new ones a moment later, each
page of which the kernel has to clear first; where chunks of megabytes come and go that took a sixth of a restore. A
command is over soon and its memory with it, so it keeps what it has. A program that uses casvault as a library is left
alone.
"""

from __future__ import annotations

import os

__all__ = ["keep_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGEST = 32 << 20
"""Bytes up to which a block is kept: the most that the C library allows."""


def keep_memory() -> None:
    """Tell the C library to keep freed memory; does nothing where that is not glibc."""
    if not _is_glibc():
        return
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    for option, value in ((_MMAP_THRESHOLD, _LARGEST), (_TOP_PAD, _LARGEST), (_TRIM_THRESHOLD, 1 << 30)):
        mallopt(option, value)


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):
        # Windows has no such call, other C libraries no such name.
        return False
