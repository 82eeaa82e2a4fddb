"""Arrivals: objects that come from elsewhere are checked, then written.

Whoever sends them is not trusted: each is decoded against the bases that are in this vault, and what comes out must
have the digest in its name. Checksums only tell broken transfers from whole ones; anybody can make them.

Owns the invariants that no object is written whose bytes are not those of its name, none that makes a chain longer than
the vault's `max_depth` or closes a circle; and that the vault's lock is held from the look at an object's base until
the object is on the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from casvault.codecs import codec_of
from casvault.digest import digest_of, is_digest
from casvault.errors import DamageError, FormatError
from casvault.objects import Frame, ObjectGraph, ObjectName, ObjectStore
from casvault.sync.remote import Arrival
from casvault.vault.vault import Vault

__all__ = ["Arrivals", "graph_of"]

_FLUSH_THREADS = 8


def graph_of(objects: ObjectStore, digests: Iterable[str]) -> ObjectGraph:
    """Return the graph of all objects of these chunks and of all that they lean on."""
    todo, seen, names = list(digests), set[str](), list[ObjectName]()
    while todo:
        digest = todo.pop()
        if digest not in seen:
            seen.add(digest)
            found = objects.encodings(digest)
            names += found
            todo.extend(name.base for name in found if name.base is not None)
    return ObjectGraph(names)


class Arrivals:
    """Takes objects into one vault, one portion at a time, while the next is on its way."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        several = vault.threads > 1
        self._writer = ThreadPoolExecutor(1, "arrive") if several else None
        self._checkers = ThreadPoolExecutor(vault.threads, "check") if several else None
        self._under_way: Future[None] | None = None
        self._lock = threading.Lock()

    def put(self, portion: Sequence[Arrival]) -> None:
        """Begin with a portion once the one before is done; raises what that one failed with."""
        self.settle()
        if self._writer is None:
            self._take(list(portion))
            return
        with self._lock:
            self._under_way = self._writer.submit(self._take, list(portion))

    def settle(self) -> None:
        """Wait until all is on the disk; raises DamageError, NoSpace, StorageError, Locked."""
        with self._lock:
            under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def close(self) -> None:
        """End the workers; what they are at is finished, or left out as a whole."""
        for pool in (self._writer, self._checkers):
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)

    def _take(self, portion: list[Arrival]) -> None:
        with self._vault.locks.shared("sync"):
            # Since the last portion anything may have been collected.
            self._vault.objects.forget()
            while portion:
                # Bases of this portion have to be readable before what leans on them can be checked.
                coming = {arrival.name.digest for arrival in portion}
                now = [arrival for arrival in portion if arrival.name.base not in coming]
                if not now:
                    raise DamageError("objects that lean on each other in a circle were sent; none of them was taken.")
                self._write(now)
                portion = [arrival for arrival in portion if arrival.name.base in coming]

    def _write(self, portion: list[Arrival]) -> None:
        if self._checkers is None:
            for arrival in portion:
                self._check(arrival)
        else:
            list(self._checkers.map(self._check, portion))
        with self._vault.backend.batch(_FLUSH_THREADS if self._vault.threads > 1 else 1) as batch:
            for name, data in portion:
                batch.put(name.blob, [data])
            batch.flush()
        for name, _ in portion:
            self._vault.objects.note(name)

    def _check(self, arrival: Arrival) -> None:
        """Raise DamageError unless an object is what its name says and may lean on what it leans on."""
        name, data = arrival
        if not is_digest(name.digest) or not (name.base is None or is_digest(name.base)):
            raise DamageError("an object was sent whose name is none; it was not taken.")
        short = name.digest[:12]
        frame = Frame.parse(bytes(data), name.blob)
        if frame.base != name.base or name.size != len(data):
            raise DamageError(f"object {short} was sent under a name that is not its own; it was not taken.")
        base = self._base(name, frame.plain_size)
        try:
            codec = codec_of(frame.codec)
            if codec.needs_base != (base is not None):
                raise FormatError("a base where there must be none, or none where there must be one")
            plain = codec.decode(frame.payload, frame.plain_size, frame.layout, base)
        except FormatError as error:
            raise DamageError(f"object {short} was sent damaged: {error}; it was not taken.") from error
        if digest_of(plain) != name.digest:
            raise DamageError(f"object {short} was sent with the bytes of another one; it was not taken.")

    def _base(self, name: ObjectName, size: int) -> bytes | memoryview | None:
        if name.base is None:
            return None
        objects = self._vault.objects
        if name.digest in objects.closure(name.base):
            raise DamageError(f"object {name.digest[:12]} was sent as a delta that would close a circle; try again.")
        graph = graph_of(objects, [name.base])
        if graph.depth(name.base) >= self._vault.config.max_depth:
            raise DamageError(
                f"object {name.digest[:12]} was sent as a delta with too many bases behind it; try again."
            )
        return objects.read(name.base, size)
