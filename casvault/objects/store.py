"""The object store: chunks by digest, where the listing is the index.

An object's name says what it is and what it depends on: ``objects/abc/<digest>`` stands alone,
``objects/abc/<digest>.<base>`` is a delta against another chunk; ``abc`` are the digest's first three digits.
So which chunks are there, and what leans on what, is told by names and sizes alone, and there is no database that
could be damaged. A folder is listed when a digest in it is first asked for, and remembered.

Owns the invariants that an object of a header's size or less counts as absent, that what `read` returns has the
digest that was asked for, and that resolving bases always ends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from casvault.backends import Backend, Entry, Listing, storage_errors
from casvault.codecs import Bytes, codec_of
from casvault.digest import DIGEST_SIZE, digest_of, is_digest
from casvault.errors import CasvaultError, DamageError, FormatError, MissingObject, NotFound
from casvault.objects.frame import HEADER_SIZE, Frame

__all__ = ["MAX_CHAIN", "MAX_STORED", "OBJECTS", "ObjectName", "ObjectStore"]

OBJECTS = "objects"
MAX_CHAIN = 64
"""How many bases may stand behind one object before a reader calls it damage."""

_MAX_READS = 512
"""How many objects a reader opens for one chunk before it calls them damage: encodings lean on each other in more
ways than can be tried."""

_FAN_OUT = 3
_DIGEST_DIGITS = 2 * DIGEST_SIZE
MAX_STORED = (64 << 20) + (1 << 20)
"""The most bytes that an object may have."""


class ObjectName(NamedTuple):
    """What an object's name says, and its stored size in bytes, the header included."""

    digest: str
    base: str | None
    size: int

    @property
    def blob(self) -> str:
        """The object's name in the backend."""
        return f"{self.folder}/{self.digest}" + (f".{self.base}" if self.base else "")

    @property
    def folder(self) -> str:
        """The fan-out folder that holds it."""
        return folder_of(self.digest)


@dataclass
class _Walk:
    """One resolution: the bases on the way down, the digests that no encoding gave, and how many objects were read."""

    trail: list[str] = field(default_factory=list)
    given_up: set[str] = field(default_factory=set)
    reads: int = 0


def folder_of(digest: str) -> str:
    """Return the fan-out folder for the objects of ``digest``."""
    return f"{OBJECTS}/{digest[:_FAN_OUT]}"


class ObjectStore:
    """The objects of one vault; safe to use from several threads."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._folders: dict[str, Listing] = {}
        self._asked: dict[str, list[ObjectName]] = {}
        self._lock = threading.Lock()

    def encodings(self, digest: str) -> list[ObjectName]:
        """Return the objects that hold ``digest``, the one that stands alone first; none: it is not there."""
        with self._lock:
            found = self._found(digest)
            return sorted(found, key=lambda name: (name.base is not None, name.base or "")) if found[1:] else [*found]

    def _found(self, digest: str) -> list[ObjectName]:
        """Return what is known of ``digest``, for who holds the lock; of most of what lies in a folder nobody asks."""
        if digest not in self._asked:
            folder = folder_of(digest)
            if folder not in self._folders:
                self._folders[folder] = self._backend.listing(folder)
            self._asked[digest] = list(_named(folder, self._folders[folder].starting(digest)))
        return self._asked[digest]

    def is_whole(self, digest: str, chain: int = MAX_CHAIN) -> bool:
        """Tell whether an object that holds ``digest`` and its bases have their checksums, by reading them.

        One that has not is forgotten until the next listing, so that who has the bytes writes it anew. Raises
        StorageError.
        """
        for name in self.encodings(digest):
            try:
                Frame.parse(self._backend.read(name.blob, MAX_STORED), name.blob)
                if name.base is None or (chain > 0 and self.is_whole(name.base, chain - 1)):
                    return True
            except (DamageError, NotFound):
                pass
            with self._lock:
                known = self._asked.get(digest, [])
                if name in known:
                    known.remove(name)
        return False

    def note(self, name: ObjectName) -> None:
        """Add an object that was written since its folder was listed."""
        with self._lock:
            if name.digest in self._asked or name.folder in self._folders:
                known = self._found(name.digest)
                if name not in known:
                    known.append(name)

    def forget(self) -> None:
        """Forget every listing, so that the next question looks at the backend anew."""
        with self._lock:
            self._folders.clear()
            self._asked.clear()

    def folders(self) -> list[str]:
        """Return the fan-out folders that there are, in order."""
        return [f"{OBJECTS}/{name}" for name in self._backend.folders(OBJECTS)]

    def every(self, *, husks: bool = False) -> Iterator[ObjectName]:
        """List all objects, in the order of their names; with ``husks`` also what is too short to be one."""
        for folder in self.folders():
            index = self._by_digest(folder)
            for digest in sorted(index):
                yield from _named(folder, index[digest], husks)

    def alone(self, digest: str) -> int | None:
        """Return the stored size of what ``digest`` leans on in the end, in bytes: its own where it stands alone.

        None where that is not there. Told by names alone, of the objects that `read` tries first.
        """
        for _ in range(MAX_CHAIN + 1):
            found = self.encodings(digest)
            if not found:
                return None
            if found[0].base is None:
                return found[0].size
            digest = found[0].base
        return None

    def closure(self, digest: str) -> set[str]:
        """Return ``digest`` and every base that an encoding of it leans on, directly or not."""
        todo, seen = [digest], set[str]()
        while todo:
            current = todo.pop()
            if current not in seen:
                seen.add(current)
                todo.extend(name.base for name in self.encodings(current) if name.base)
        return seen

    def read(self, digest: str, size: int | None = None) -> Bytes:
        """Return the plain bytes of ``digest``; ``size`` is how many they must be, where it is known.

        Every encoding is tried before it gives up. Raises MissingObject or DamageError.
        """
        plain = self._straight(digest)
        if plain is not None and len(plain) == (len(plain) if size is None else size):
            return plain
        return self._resolve(digest, size, _Walk())

    def read_object(self, name: ObjectName) -> Bytes:
        """Return the plain bytes of one encoding; raises MissingObject, DamageError."""
        return self._decode(name, _Walk())

    def frame(self, name: ObjectName) -> Frame:
        """Return the frame of one object, checked; raises MissingObject, DamageError."""
        try:
            return Frame.parse(self._backend.read(name.blob, MAX_STORED), name.blob)
        except NotFound as error:
            raise MissingObject(f"object {name.blob} vanished from the vault.") from error

    def _straight(self, digest: str) -> Bytes | None:
        """Return the plain bytes of ``digest`` by its first encoding, None where anything at all is not as it should.

        Whole objects are the rule, and the digest of what comes out at the end vouches for every byte on the way:
        neither checksums nor the digests of bases have to be looked at before it fails.
        """
        names: list[ObjectName] = []
        wanted: str | None = digest
        while wanted is not None and len(names) <= MAX_CHAIN:
            found = self.encodings(wanted)
            if not found:
                return None
            names.append(found[0])
            wanted = found[0].base
        plain: Bytes | None = None
        try:
            for name in reversed(names):
                frame = Frame.parse(self._backend.read(name.blob, MAX_STORED), name.blob, checked=False)
                codec = codec_of(frame.codec)
                if frame.base != name.base or codec.needs_base != (plain is not None):
                    return None
                plain = codec.decode(frame.payload, frame.plain_size, frame.layout, plain)
        except (CasvaultError, FormatError):
            return None
        return plain if plain is not None and digest_of(plain) == digest else None

    def _resolve(self, digest: str, size: int | None, walk: _Walk) -> Bytes:
        failure: CasvaultError = MissingObject(
            f"chunk {digest[:12]} is not in the vault; `casvault verify` tells more."
        )
        if digest in walk.given_up:
            raise failure
        for name in self.encodings(digest):
            try:
                plain = self._decode(name, walk)
            except CasvaultError as error:
                failure = error
                continue
            if size is not None and len(plain) != size:
                raise DamageError(f"chunk {digest[:12]} has {len(plain)} bytes where a manifest says {size}.")
            return plain
        walk.given_up.add(digest)
        raise failure

    def _decode(self, name: ObjectName, walk: _Walk) -> Bytes:
        walk.reads += 1
        if walk.reads > _MAX_READS:
            raise DamageError(f"object {name.digest[:12]} leans on more objects than a vault ever writes.")
        frame = self.frame(name)
        if frame.base != name.base:
            raise DamageError(f"object {name.blob} is damaged: its name and its header name different bases.")
        try:
            codec = codec_of(frame.codec)
            if codec.needs_base != (frame.base is not None):
                raise FormatError("a base where there must be none, or none where there must be one")
            base = self._base(name, frame.base, walk) if frame.base else None
            plain = codec.decode(frame.payload, frame.plain_size, frame.layout, base)
        except FormatError as error:
            raise DamageError(f"object {name.blob} is damaged: {error}.") from error
        if digest_of(plain) != name.digest:
            raise DamageError(f"object {name.blob} is damaged: it decodes to other bytes than its name says.")
        return plain

    def _base(self, name: ObjectName, base: str, walk: _Walk) -> Bytes:
        if len(walk.trail) >= MAX_CHAIN or base in walk.trail or base == name.digest:
            raise DamageError(f"object {name.digest[:12]} leans on an endless or too long chain of bases.")
        walk.trail.append(base)
        try:
            return self._resolve(base, None, walk)
        finally:
            walk.trail.pop()

    def _by_digest(self, folder: str) -> dict[str, list[Entry]]:
        index: dict[str, list[Entry]] = {}
        for entry in self._backend.list(folder):
            digest = entry.name[:_DIGEST_DIGITS]
            if digest in index:
                index[digest].append(entry)
            else:
                index[digest] = [entry]
        return index


def _named(folder: str, entries: Iterable[Entry], husks: bool = False) -> Iterator[ObjectName]:
    """Yield what the names in a fan-out folder say, of those that are objects."""
    for entry in entries:
        digest, _, base = entry.name.partition(".")
        if is_digest(digest) and (not base or is_digest(base)) and folder_of(digest) == folder:
            with storage_errors(f"{folder}/{entry.name} in the vault"):
                size = entry.size
            if husks or size > HEADER_SIZE:
                yield ObjectName(digest, base or None, size)
