"""A volume: the file system that a folder lies on, put on the disk as a whole.

A snapshot makes some hundred files, most of them in a new folder. To sync each file and each folder by itself is a
tenth of its processor time; Linux has one call for all that is waiting (syncfs). Owns the knowledge of where that call
promises what fsync does for every file and folder, and tells of errors.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path
from typing import Any

__all__ = ["Volume"]

_TRUSTED = {0xEF53: "ext2, ext3, ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x01021994: "tmpfs"}
"""File systems, by the numbers of statfs(2). Those over a network or FUSE do not pass it on to who has the bytes."""

_OLDEST = (5, 17)
"""The first Linux whose syncfs tells both of writes that failed (5.8) and of what the file system failed at itself."""

_MOST_WAITING = 256 << 20
"""Bytes that other programs have written and that are not on a disk yet, above which all would take too long."""

_REFUSED = (errno.ENOSYS, errno.EPERM)


class Volume:
    """The file system that holds ``folder``, which stays open; raises OSError where it cannot be opened."""

    def __init__(self, folder: Path, library: Any) -> None:
        self._library = library
        self._descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        self._device = os.fstat(self._descriptor).st_dev

    @classmethod
    def trusted(cls, folder: Path) -> Volume | None:
        """Return the volume of ``folder`` where `sync` is as good as syncing each file, and quick just now, or None."""
        if sys.platform != "linux" or _release() < _OLDEST or not _quick():
            return None
        try:
            library = _library()
            volume = cls(folder, library)
        except (OSError, ImportError, AttributeError):
            return None
        if volume._kind() in _TRUSTED:
            return volume
        volume.close()
        return None

    def holds(self, folder: Path) -> bool:
        """Tell whether ``folder`` is on this volume: a link or a mount may lead elsewhere. Raises OSError."""
        return os.stat(folder).st_dev == self._device

    def sync(self, own: int = 0) -> bool:
        """Put everything that was written, made or renamed on this volume on the disk.

        False where nothing was done: the system does not let us, or more waits than the ``own`` bytes and some, which
        others have written. Raises OSError, also for a write of another program that failed since somebody synced last;
        once it has raised, nothing tells which writes failed, and no later call makes up for it.
        """
        import ctypes

        if not _quick(own):
            return False
        if self._library.syncfs(self._descriptor):
            code = ctypes.get_errno()
            if code in _REFUSED:
                return False
            what = "a write to this file system failed, ours or another program's; try again"
            raise OSError(code, f"{os.strerror(code)} ({what})")
        # ext4 without a journal tells the drive to empty its cache before the last folders are written; fsync tells it
        # once more.
        os.fsync(self._descriptor)
        return True

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._descriptor)

    def _kind(self) -> int:
        """Return what statfs calls the type: the first word of what it fills in; 0 where it cannot be told."""
        import ctypes

        told = (ctypes.c_ulong * 32)()
        failed = self._library.fstatfs(self._descriptor, told)
        return 0 if failed else int(told[0]) & 0xFFFFFFFF


def _library() -> Any:
    """Return the C library, which has both calls; raises ImportError, AttributeError, OSError where it has not."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    for name in ("syncfs", "fstatfs"):
        getattr(library, name)
    return library


def _release() -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"[0-9]+", os.uname().release)[:2])


def _quick(own: int = 0) -> bool:
    waiting = _waiting()
    return waiting >= 0 and waiting - own <= _MOST_WAITING


def _waiting() -> int:
    """Return how many bytes wait to be written, all programs together; -1 where that is not told."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return -1
    told = dict(re.findall(r"^(Dirty|Writeback): +([0-9]+) kB$", text, re.MULTILINE))
    return sum(map(int, told.values())) << 10 if len(told) == 2 else -1
