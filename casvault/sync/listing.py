"""The objects of a vault in a bucket, known by listings that are made when they are asked for.

A listing of all takes a request for each thousand objects, one after another; looking into the folders of some chunks
takes one for each, many at once. Whichever is shorter is done.

Owns the invariant that what was looked at is remembered until it is looked at again: a portion that arrives does not
cause a listing.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from math import ceil

from casvault.backends.backend import Entry, Listing
from casvault.backends.bucket import MOST_ENTRIES, BucketBackend
from casvault.codecs import Bytes
from casvault.errors import CasvaultError
from casvault.objects import ObjectName, ObjectStore
from casvault.objects.store import OBJECTS, folder_of

__all__ = ["BucketObjects"]

_PAGE = 1000
_AT_ONCE = 16
_LEAST_PAGES = 2


class BucketObjects(ObjectStore):
    """The objects in ``backend``; what the objects ``near`` have as well is read there."""

    def __init__(self, backend: BucketBackend, near: ObjectStore | None) -> None:
        super().__init__(backend)
        self._bucket = backend
        self._near = near
        self._all = False
        self._look = threading.Lock()

    def forget(self) -> None:
        """Do nothing: `look` is what looks anew, and that is only done where it counts."""

    def look(self, digests: Collection[str]) -> None:
        """List anew what there is of these chunks and of all that they lean on; raises RemoteError."""
        with self._look:
            folders = {folder_of(digest) for digest in digests}
            super().forget()
            self._all = self._list_all(max(_LEAST_PAGES, ceil(len(folders) / _AT_ONCE)))
            done = set[str]()
            while not self._all and folders:
                self._list_folders(sorted(folders))
                done |= folders
                bases = {name.base for name in self.every() if name.base is not None}
                folders = {folder_of(base) for base in bases} - done

    def look_at_all(self) -> None:
        """List anew everything there is; raises RemoteError."""
        with self._look:
            super().forget()
            self._all = self._list_all(MOST_ENTRIES // _PAGE + 1)

    def folders(self) -> list[str]:
        """Return the folders that were looked into and hold something, in order."""
        with self._lock:
            return sorted(folder for folder, found in self._folders.items() if found.names)

    def every(self, *, husks: bool = False) -> Iterator[ObjectName]:
        """List the objects that were looked at, in the order of their names."""
        with self._lock:
            known = {name.partition(".")[0] for listing in self._folders.values() for name in listing.names}
            known |= self._asked.keys()
        for digest in sorted(known):
            yield from self.encodings(digest)

    def read(self, digest: str, size: int | None = None) -> Bytes:
        """Return the plain bytes of a chunk, from near where it is there."""
        if self._near is not None and self._near.encodings(digest):
            try:
                return self._near.read(digest, size)
            except CasvaultError:
                pass
        return super().read(digest, size)

    def _found(self, digest: str) -> list[ObjectName]:
        if self._all:
            # What a listing of everything had no name in holds nothing.
            folder = folder_of(digest)
            self._folders.setdefault(folder, _listing(folder, {}))
        return super()._found(digest)

    def _list_all(self, pages: int) -> bool:
        """List all objects, and tell whether they fit into so many pages."""
        found: dict[str, dict[str, Entry]] = {}
        for number, one in enumerate(self._bucket.walk(OBJECTS)):
            if number >= pages * _PAGE:
                return False
            folder, _, name = one.name.rpartition("/")
            found.setdefault(folder, {})[name] = Entry(name, one.size)
        with self._lock:
            self._folders.update({folder: _listing(folder, entries) for folder, entries in found.items()})
        return True

    def _list_folders(self, folders: list[str]) -> None:
        """List these folders, many at once."""
        asked = [self._bucket.submit(lambda folder=folder: self._bucket.listing(folder)) for folder in folders]  # type: ignore[misc]
        for folder, each in zip(folders, asked, strict=True):
            listing = each.result()
            with self._lock:
                self._folders[folder] = listing


def _listing(folder: str, entries: dict[str, Entry]) -> Listing:
    return Listing(folder, list(entries), entries.get)
