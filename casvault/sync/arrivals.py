"""Arrivals: objects that come from elsewhere are checked, then written.

Whoever sends them is not trusted: each is decoded against the bases that are in this vault, and what comes out must
have the digest in its name. Checksums only tell broken transfers from whole ones; anybody can make them.

While one portion is decoded, the one before is put on the disk and the next comes in. What is on its way to the disk
can be leaned on; it is written in the order in which it came, and what came after a failure is dropped.

Owns the invariants that no object is written whose bytes are not those of its name, none that makes a chain longer than
the vault's `max_depth` or closes a circle; and that the vault's lock is held from the look at an object's base until
the object is on the disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from math import inf

from casvault.codecs import CODEC_IDS, Bytes, codec_of
from casvault.digest import digest_of, is_digest
from casvault.errors import DamageError, FormatError, MissingObject
from casvault.objects import Frame, ObjectGraph, ObjectName, ObjectStore
from casvault.sync.recent import Recent
from casvault.sync.remote import Arrival
from casvault.vault.vault import Vault

__all__ = ["Arrivals", "graph_of", "load_decoders"]

_FLUSH_THREADS = 8
_ROOM = 32 << 20
"""Stored bytes that are on their way to the disk before the sender has to wait."""

_LATELY = 1200.0
"""Seconds: far less than an announcement counts, which keeps gc away."""

_ASIDE = 256
"""Bytes that an object takes besides its own."""

_KEPT = 16 << 20
"""Plain bytes that are kept for what leans on them and comes next."""


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


def load_decoders() -> None:
    """Begin to load what objects are decoded with, since some are on their way: it takes as long as many of them."""

    def work() -> None:
        # Those that meet numbers: the others are loaded in no time.
        for name in ("turned-planes", "delta", "rank-one"):
            codec_of(CODEC_IDS[name])

    threading.Thread(target=work, name="casvault load", daemon=True).start()


class Arrivals:
    """Takes objects into one vault; ``put`` and ``settle`` are for one thread."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._several = vault.threads > 1
        self._recent = Recent(_KEPT)
        self._coming: dict[ObjectName, int] = {}
        """What was found to be in order and is on its way to the disk, with the bases behind it."""
        self._flushed: dict[ObjectName, float] = {}
        self._waiting: list[Arrival] = []
        self._under_way = 0
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        if self._several:
            from concurrent.futures import ThreadPoolExecutor

            self._decoders = ThreadPoolExecutor(vault.threads, "decode")
            # Of one thread each: what is written keeps the order in which it came.
            self._checker = ThreadPoolExecutor(1, "check")
            self._writer = ThreadPoolExecutor(1, "write")

    def put(self, portion: Sequence[Arrival]) -> None:
        """Begin with a portion, once there is room for it; raises what an earlier one failed with."""
        size = _size(portion)
        with self._changed:
            self._changed.wait_for(lambda: self._failure or not self._under_way or self._under_way + size <= _ROOM)
            failed = self._failure is not None
            if not failed:
                self._waiting += portion
                self._under_way += size
        if failed:
            self.settle()
        elif self._several:
            self._checker.submit(self._begin)
        else:
            self._begin()
            self.settle()

    def settle(self) -> None:
        """Wait until all is on the disk; raises DamageError, NoSpace, StorageError, Locked."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way)
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def is_on_disk(self, name: ObjectName) -> bool:
        """Tell whether an object was put on the disk here, so lately that nobody can have written it anew since."""
        return time.monotonic() - self._flushed.get(name, -inf) < _LATELY

    def close(self) -> None:
        """End the workers; what they are at is finished, or left out as a whole."""
        if self._several:
            for pool in (self._checker, self._writer, self._decoders):
                pool.shutdown(wait=True)

    def _begin(self) -> None:
        """Check what has come by now, and have it written."""
        with self._changed:
            portion, self._waiting = self._waiting, []
        if not portion:
            return
        held = ExitStack()
        try:
            if self._failure is None:
                held.enter_context(self._vault.locks.shared("sync"))
                self._check(portion)
        except BaseException as error:  # noqa: BLE001
            self._failed(error)
        if self._several:
            self._writer.submit(self._end, portion, held)
        else:
            self._end(portion, held)

    def _end(self, portion: list[Arrival], held: ExitStack) -> None:
        """Write what was checked, in its turn, and let the lock go."""
        try:
            with held:
                if self._failure is None:
                    self._write(portion)
        except BaseException as error:  # noqa: BLE001
            self._failed(error)
        with self._changed:
            for arrival in portion:
                self._coming.pop(arrival.name, None)
            self._under_way -= _size(portion)
            self._changed.notify_all()

    def _failed(self, error: BaseException) -> None:
        with self._changed:
            self._failure = self._failure or error

    def _check(self, portion: list[Arrival]) -> None:
        """Raise DamageError unless all objects of a portion are what their names say and may be written."""
        for name, data in portion:
            if not is_digest(name.digest) or not (name.base is None or is_digest(name.base)):
                raise DamageError("an object was sent whose name is none; it was not taken.")
            if Frame.parse(data, name.blob, checked=False).base != name.base or name.size != len(data):
                raise DamageError(f"object {name.digest[:12]} was sent under a name that is not its own; "
                                  "it was not taken.")  # fmt: skip
        # Since the last portion anything may have been collected.
        self._vault.objects.forget()
        trees = _trees(portion)
        self._place([arrival.name for tree in trees for arrival in tree])
        if self._several:
            list(self._decoders.map(self._decode, trees))
        else:
            for tree in trees:
                self._decode(tree)

    def _place(self, names: Sequence[ObjectName]) -> None:
        """Raise DamageError where an object may not lean on what it leans on; bases come first."""
        graph = graph_of(self._vault.objects, [name.base for name in names if name.base is not None])
        with self._changed:
            earlier = dict(self._coming)
        coming: dict[str, list[tuple[ObjectName, int]]] = {}
        for known, depth in earlier.items():
            coming.setdefault(known.digest, []).append((known, depth))
        fresh: dict[ObjectName, int] = {}
        for name in names:
            depth = 0
            if name.base is not None:
                depths = [depth for _, depth in coming.get(name.base, ())]
                if name.base in graph.chosen:
                    depths.append(graph.depth(name.base))
                if not depths:
                    raise MissingObject(f"object {name.digest[:12]} was sent without chunk {name.base[:12]}, its base.")
                if self._leans_on(name.base, name.digest, coming):
                    raise DamageError(f"object {name.digest[:12]} was sent as a delta that would close a circle; "
                                      "try again.")  # fmt: skip
                depth = 1 + min(depths)
                if depth > self._vault.config.max_depth:
                    raise DamageError(f"object {name.digest[:12]} was sent as a delta with too many bases behind it; "
                                      "try again.")  # fmt: skip
            coming.setdefault(name.digest, []).append((name, depth))
            fresh[name] = depth
        with self._changed:
            self._coming.update(fresh)

    def _leans_on(self, digest: str, wanted: str, coming: dict[str, list[tuple[ObjectName, int]]]) -> bool:
        todo, seen = [digest], set[str]()
        while todo:
            current = todo.pop()
            if current not in seen:
                seen.add(current)
                names = [*self._vault.objects.encodings(current), *(name for name, _ in coming.get(current, ()))]
                todo.extend(name.base for name in names if name.base is not None)
        return wanted in seen

    def _decode(self, tree: Sequence[Arrival]) -> None:
        """Raise DamageError unless the objects of a tree, bases first, give the bytes that their names say."""
        plains: list[tuple[str, Bytes]] = []
        for name, data in tree:
            while plains and plains[-1][0] != name.base:
                plains.pop()
            frame = Frame.parse(data, name.blob)
            base = plains[-1][1] if plains else self._base(name, frame.plain_size)
            if not plains and base is not None:
                plains.append((str(name.base), base))
            plains.append((name.digest, _plain(name, frame, base)))
            self._recent.keep(*plains[-1])

    def _base(self, name: ObjectName, size: int) -> Bytes | None:
        """Return what an object leans on that is no part of its portion."""
        if name.base is None:
            return None
        plain = self._recent.get(name.base)
        if plain is None:
            with self._changed:
                # Where it is on its way to the disk, that is soon over.
                self._changed.wait_for(
                    lambda: self._failure or all(name.base != coming.digest for coming in self._coming)
                )
            plain = self._vault.objects.read(name.base, size)
        return plain

    def _write(self, portion: Sequence[Arrival]) -> None:
        objects = self._vault.objects
        objects.forget()
        own = {arrival.name.digest for arrival in portion}
        bases = {arrival.name.base for arrival in portion if arrival.name.base is not None} - own
        lacking = bases - graph_of(objects, bases).chosen.keys()
        if lacking:
            raise MissingObject(f"chunk {min(lacking)[:12]}, which others lean on, is not in the vault any more.")
        with self._vault.backend.batch(_FLUSH_THREADS if self._several else 1) as batch:
            for name, data in portion:
                batch.put(name.blob, [data])
            batch.flush()
        now = time.monotonic()
        for name, _ in portion:
            objects.note(name)
            self._flushed[name] = now


def _size(portion: Sequence[Arrival]) -> int:
    """Return the bytes of memory that objects take."""
    return sum(len(arrival.data) + _ASIDE for arrival in portion)


def _trees(portion: Sequence[Arrival]) -> list[list[Arrival]]:
    """Return objects grouped by what they lean on in the end, bases first; raises DamageError for a circle."""
    own = {arrival.name.digest for arrival in portion}
    leaning: dict[str, list[Arrival]] = {}
    roots: dict[str, list[Arrival]] = {}
    for arrival in portion:
        base = arrival.name.base
        if base is not None and base in own:
            leaning.setdefault(base, []).append(arrival)
        else:
            # What leans on the same base elsewhere needs it once.
            roots.setdefault(base or arrival.name.digest, []).append(arrival)
    trees = []
    for root in roots.values():
        todo, tree = root[::-1], list[Arrival]()
        while todo:
            arrival = todo.pop()
            tree.append(arrival)
            todo += leaning.pop(arrival.name.digest, [])[::-1]
        trees.append(tree)
    if leaning:
        raise DamageError("objects that lean on each other in a circle were sent; none of them was taken.")
    return trees


def _plain(name: ObjectName, frame: Frame, base: Bytes | None) -> Bytes:
    """Return the bytes of an object that was sent; raises DamageError unless they have the digest in its name."""
    try:
        codec = codec_of(frame.codec)
        if codec.needs_base != (base is not None):
            raise FormatError("a base where there must be none, or none where there must be one")
        plain = codec.decode(frame.payload, frame.plain_size, frame.layout, base)
    except FormatError as error:
        raise DamageError(f"object {name.digest[:12]} was sent damaged: {error}; it was not taken.") from error
    if digest_of(plain) != name.digest:
        raise DamageError(f"object {name.digest[:12]} was sent with the bytes of another one; it was not taken.")
    return plain
