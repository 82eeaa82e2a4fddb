"""A backend in a folder of a local file system.

Each blob is a file. A file is written under a temporary name in its own folder, synced, renamed, and then its
folder is synced; how that is done for many at once is in `casvault.backends.local_batch`.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from functools import partial
from pathlib import Path

from casvault.backends.backend import Backend, Batch, Entry, Listing
from casvault.backends.local_batch import SeparateBatch, VolumeBatch
from casvault.files.durable import TEMP_SUFFIX, is_temp_name, make_folder, sync_folder, write_durably
from casvault.files.volume import Volume

__all__ = ["LocalBackend"]


class LocalBackend(Backend):
    """Blobs as files below ``root``, which must exist."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def batch(self, threads: int, *, many: bool = False) -> Batch:
        """Begin a batch that syncs files with ``threads`` threads, 1 means in the caller's own; or all of the volume
        at once, if it will be ``many`` and that is as good here.
        """
        volume = Volume.trusted(self.root) if many else None
        separate = SeparateBatch(self.root, threads)
        return separate if volume is None else VolumeBatch(self.root, volume, separate)

    def path(self, name: str) -> Path:
        """Return where the blob or folder ``name`` lies."""
        return self.root / name

    def _read(self, name: str, limit: int | None) -> bytes:
        with open(self.path(name), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            wanted = size if limit is None else min(size, limit + 1)
            data = file.read(wanted)
            while len(data) < wanted:
                more = file.read(wanted - len(data))
                if not more:
                    break
                data += more
            return data

    def _write(self, name: str, data: bytes, durable: bool) -> None:
        path = self.path(name)
        make_folder(path.parent)
        write_durably(path, data, durable=durable)

    def _delete(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)

    def _move(self, name: str, target: str) -> None:
        source, place = self.path(name), self.path(target)
        make_folder(place.parent)
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, "something is there already", str(place))
        os.rename(source, place)
        # The new name first: a power cut in between leaves both, not none.
        sync_folder(place.parent)
        sync_folder(source.parent)

    def _list(self, folder: str) -> list[Entry]:
        try:
            with os.scandir(self.path(folder)) as entries:
                # In one go: a vault has hundreds of folders, and a long history fills each.
                return [
                    Entry(entry.name, partial(_size, entry))
                    for entry in entries
                    if not entry.name.endswith(TEMP_SUFFIX) and entry.is_file(follow_symlinks=False)
                ]
        except FileNotFoundError:
            return []

    def _listing(self, folder: str) -> Listing:
        place = self.path(folder)
        try:
            names = os.listdir(place)
        except FileNotFoundError:
            names = []
        return Listing(folder, names, partial(_look, f"{place}{os.sep}"), TEMP_SUFFIX)

    def _unfinished(self, folder: str, older_than: float) -> list[Entry]:
        try:
            with os.scandir(self.path(folder)) as entries:
                found = [one for one in entries if one.name.endswith(TEMP_SUFFIX) and is_temp_name(one.name)]
                if older_than:
                    found = [entry for entry in found if entry.stat().st_mtime <= time.time() - older_than]
                return [Entry(entry.name, partial(_size, entry)) for entry in found]
        except FileNotFoundError:
            return []

    def _clear(self, folder: str, entry: Entry) -> None:
        if is_temp_name(entry.name):
            (self.path(folder) / entry.name).unlink(missing_ok=True)

    def _folders(self, folder: str) -> list[str]:
        try:
            with os.scandir(self.path(folder)) as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []


def _look(place: str, name: str) -> Entry | None:
    try:
        told = os.lstat(place + name)
    except FileNotFoundError:
        return None
    return Entry(name, told.st_size) if stat.S_ISREG(told.st_mode) else None


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        # It was deleted since the folder was listed; the others are still there.
        return 0
