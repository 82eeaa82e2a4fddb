"""Listing a folder: which of its entries can be files of a model, and which must not be.

Owns the invariant that a model consists of regular files with names that every system can restore: a symbolic
link would be captured as something else than it is, and reading a FIFO never ends.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casvault.errors import StorageError, UsageError
from casvault.files.names import model_path_problem

__all__ = ["OWN_PREFIX", "absolute", "check_entry", "check_file", "check_text", "is_folder", "listing"]

OWN_PREFIX = ".casvault"
"""What the names of casvault's own files and folders begin with, in any case; never part of a model."""

_MOUNT_POINT = 0xA0000003  # Windows: a junction, which leads elsewhere as a symbolic link does


@contextmanager
def listing(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
    """Give the entries of ``folder``, sorted by name and without casvault's own; none if it is not there.

    An OSError, while listing or inside the block, becomes a StorageError.
    """
    try:
        try:
            with os.scandir(folder) as found:
                entries = [entry for entry in found if not entry.name.lower().startswith(OWN_PREFIX)]
        except (FileNotFoundError, NotADirectoryError):
            entries = []
        yield sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise StorageError(f"cannot list {folder}: {error.strerror or error}.") from error


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether ``entry`` is a folder of its own, not a link to one."""
    if not entry.is_dir(follow_symlinks=False):
        return False
    return os.name != "nt" or getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0) != _MOUNT_POINT


def check_entry(entry: os.DirEntry[str], path: str) -> bool:
    """Do as check_file for an entry of a listing, without a system call where the listing tells enough."""
    return check_file(entry.path, path, entry.is_file(follow_symlinks=False))


def check_file(place: str, path: str, regular: bool = False) -> bool:
    """Check that what is at ``place`` can be the file ``path`` of a model, which is relative to its folder.

    ``regular`` when it is known to be a plain file. Return False when nothing is there: a trainer's files
    come and go. Raises UsageError when it is no regular file, or ``path`` is a name that not every system can
    restore; OSError as the system does.
    """
    problem = model_path_problem(path)
    if problem is not None:
        raise UsageError(f"{place!r} {problem}, so it could not be restored everywhere: rename it.")
    if regular:
        return True
    try:
        mode = os.stat(place, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(mode):
        what = "a symbolic link" if stat.S_ISLNK(mode) or stat.S_ISDIR(mode) else "no regular file"
        raise UsageError(f"{place} is {what}; a model is made of regular files: put the file itself there.")
    return True


def check_text(path: str) -> None:
    """Raise UsageError, naming ``path``, when it is empty or has bytes that are no text."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(
            f"the name {path!r} has bytes that are no text in this system's encoding: rename it."
        ) from None
    if not path or "\0" in path:
        raise UsageError(f"{path!r} is not a path.")


def absolute(path: Path) -> Path:
    """Return ``path`` from the root, without ``..``; links stay, because people know their folders by them.

    Raises UsageError as check_text does.
    """
    check_text(str(path))
    return Path(os.path.abspath(path))
