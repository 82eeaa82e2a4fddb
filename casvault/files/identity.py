"""The identity of a file: what stat says of it, which tells whether it may have changed.

A trainer's save makes a new inode, an in-place write moves mtime and ctime. Equality of all five fields means
"the same bytes" only when the file was already older than the clock's grain when it was looked at (git calls
the other case *racily clean*); `FileIdentity.settled` is that test.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from casvault.files.durable import fill_temp

__all__ = ["SETTLE_NS", "FileIdentity", "clock_ns", "is_plain_folder"]

SETTLE_NS = 2_000_000_000
"""How much older than the clock a file must be to be trusted, in nanoseconds: FAT's time stamps have a grain of 2 s."""


class FileIdentity(NamedTuple):
    """Device, inode, size in bytes, and times in nanoseconds."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """Take the identity out of a stat result."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    @classmethod
    def at(cls, path: Path) -> FileIdentity | None:
        """Return the identity of what is at ``path``, a link taken as itself; None where nothing is. Raises OSError."""
        try:
            return cls.of(os.stat(path, follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def settled(self, now_ns: int) -> bool:
        """Tell whether a later change is sure to show, given the file system's clock."""
        return now_ns - max(self.mtime_ns, self.ctime_ns) > SETTLE_NS


def is_plain_folder(path: Path) -> bool:
    """Tell whether ``path`` is a folder and no link to one."""
    return path.is_dir() and not path.is_symlink()


def clock_ns(folder: Path, device: int) -> int:
    """Return the time in nanoseconds by the clock of the file system that ``folder`` is on.

    The clock of a network file system may differ from ours. ``device`` is the file system that matters: where
    ``folder`` is on another one, or takes no file, the system's own clock has to do.
    """
    try:
        if folder.stat().st_dev == device:
            descriptor, path = fill_temp(folder, [])
            try:
                return os.fstat(descriptor).st_mtime_ns
            finally:
                os.close(descriptor)
                path.unlink(missing_ok=True)
    except OSError:
        pass
    return time.time_ns()
