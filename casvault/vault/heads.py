"""The heads of all snapshots, and the cache that makes listing a thousand of them cheap.

Which snapshots and labels there are is always told by the listing; only their contents are cached, which never change.
The cache is derived: whatever is wrong with it, the documents themselves are read again. What was found to be damaged
belongs to one reading, so that threads which read at once do not take each other's word for it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from casvault.backends import Backend, Entry
from casvault.digest import digest_of
from casvault.errors import CasvaultError
from casvault.manifest.document import MAX_DOCUMENT
from casvault.manifest.label import Label
from casvault.manifest.stamp import Stamp
from casvault.vault.head import Head
from casvault.vault.labels import LABELS, LabelIndex

__all__ = ["LABELS", "MAX_DOCUMENT", "SNAPSHOTS", "HeadIndex", "Heads"]

SNAPSHOTS = "snapshots"

_CACHE = "heads"
_CACHE_FORMAT = 2
_SUFFIX = ".json"
_MAX_CACHE = 256 << 20
_RECENT = "heads-recent"
_MOST_RECENT = 32
"""Snapshots that wait in the small part of the cache, which is written each time, for the large one."""

_AHEAD = 64
"""Snapshots whose documents are asked for at once, where the backend does that."""
_AS_DEAR = 100
"""Heads in the large part that take as long to read as one manifest does."""

_MEMBERS = {"id", "created", "saved_at", "kind", "model", "iteration", "loss", "incomplete", "health"}


class Heads(NamedTuple):
    """One reading: all heads, deleted ones too, oldest first, and the errors of what could not be read, by name."""

    heads: list[Head]
    damaged: dict[str, CasvaultError]


class HeadIndex:
    """Reads the heads of a vault; safe to use from several threads. ``damaged`` are the errors of the last reading.

    The cache is kept in ``folder`` of the backend ``cache``, by default in the vault itself.
    """

    def __init__(self, backend: Backend, cache: Backend | None = None, folder: str = "cache") -> None:
        self._backend = backend
        self._cache = cache or backend
        self._folder = folder
        self._known: dict[str, Any] = {}
        self._newest: dict[str, Any] | None = None
        self._stored: dict[str, Any] = {}
        self._heads: dict[str, tuple[list[Any], Head]] = {}
        self._lock = threading.RLock()
        self.labels = LabelIndex(backend)
        self.damaged: dict[str, CasvaultError] = {}

    def ids(self) -> list[str]:
        """Return the ids of all snapshots, deleted ones too, oldest first."""
        return sorted(id for id, _ in self._entries())

    def newest_id(self) -> str | None:
        """Return the newest id that stands for a real moment, None where there is none."""
        names = reversed(self._backend.listing(SNAPSHOTS).names)
        ids = (name[: -len(_SUFFIX)] for name in names if name.endswith(_SUFFIX))
        return next(filter(Stamp.valid, ids), None)

    def newest_first(self) -> Iterator[Head]:
        """Yield the heads of all snapshots, deleted ones too, newest first; what cannot be read is passed over.

        The small part of the cache has most of those that are asked for first, and documents the others: as long as
        that is less than reading the large part, whose cost grows with the number of snapshots.
        """
        snapshots, labels = self._backend.listing(SNAPSHOTS), self._backend.listing(LABELS)
        room = len(snapshots.names) // _AS_DEAR
        for name in reversed(snapshots.names):
            id = name[: -len(_SUFFIX)]
            entry = snapshots.get(name) if name.endswith(_SUFFIX) and Stamp.shaped(id) else None
            if entry is None:
                continue
            stamps = self.labels.of(id, labels)
            with self._lock:
                head, read = self._one(id, [entry.size, stamps[0] if stamps else None], stamps, room > 0)
            room -= read
            if head is not None:
                yield head

    def _one(self, id: str, key: list[Any], stamps: list[str], spare: bool) -> tuple[Head | None, bool]:
        """Return one head, None where it cannot be read, and whether its documents were read.

        With ``spare`` they are read before the large part of the cache is.
        """
        known = self._known or self._recent()
        if not self._known and not spare and known.get(id, [])[:2] != key:
            known = self._known = self._cached()
        record = known.get(id)
        if record is not None and record[:2] == key:
            return self._made(id, record), False
        record, doubtful = self._record(id, key, stamps, {})
        if record is None:
            return None, True
        if doubtful:
            return _head(record, doubtful), True
        known[id] = record
        return self._made(id, record), True

    def read(self, *, cached: bool = True) -> Heads:
        """Return all heads, and what could not be read.

        Without ``cached`` every document is read, whatever the cache holds.
        """
        with self._lock:
            found = self._read(cached)
            self.damaged = found.damaged
            return found

    def _read(self, cached: bool) -> Heads:
        damaged: dict[str, CasvaultError] = {}
        sizes = self._snapshot_sizes()
        labels = self.labels.stamps()
        known = (self._known or self._cached()) if cached else {}
        kept: dict[str, Any] = {}
        heads = []
        keys = {id: [sizes[id], next(iter(labels.get(id, ())), None)] for id in sorted(sizes)}
        unknown = [id for id, key in keys.items() if known.get(id, [])[:2] != key]
        groups = {unknown[at]: unknown[at : at + _AHEAD] for at in range(0, len(unknown), _AHEAD)}
        for id, key in keys.items():
            if id in groups:
                self._backend.ahead([name for each in groups[id] for name in _documents(each, keys[each])])
            stamps = labels.get(id, [])
            record, doubtful = known.get(id), False
            if record is None or record[:2] != key:
                record, doubtful = self._record(id, key, stamps, damaged)
            if record is None:
                continue
            if not doubtful:
                kept[id] = record
            heads.append(_head(record, doubtful) if doubtful else self._made(id, record))
        if cached:
            self._known = kept
            if self._known != known:
                self._remember(small=False)
        return Heads(heads, damaged)

    def add(self, head: Head, size: int, stamp: str | None) -> None:
        """Remember the head of a snapshot that was just written: its document's bytes and its label's stamp."""
        label = head.label.to_json()
        record = [size, stamp, head.document, label, head.size, head.file_count, head.contents]
        with self._lock:
            recent = self._recent()
            recent[head.id] = record
            if not self._known and len(recent) <= _MOST_RECENT:
                with suppress(CasvaultError):
                    self._store(_RECENT, recent)
                return
            self._known = self._known or self._cached()
            self._known[head.id] = record
            self._remember(small=True)

    def drop_cache(self) -> None:
        """Remove the cache from the disk: it is the one thing in a vault that nobody misses."""
        with suppress(CasvaultError):
            for name in (_CACHE, _RECENT):
                self._cache.delete(f"{self._folder}/{name}")

    def _made(self, id: str, record: list[Any]) -> Head:
        """Return the head that ``record`` stands for; a command reads all of them several times."""
        made = self._heads.get(id)
        if made is None or made[0] is not record:
            made = self._heads[id] = (record, _head(record))
        return made[1]

    def _snapshot_sizes(self) -> dict[str, int]:
        return {id: entry.size for id, entry in self._entries()}

    def _entries(self) -> Iterator[tuple[str, Entry]]:
        for entry in self._backend.list(SNAPSHOTS):
            id = entry.name[: -len(_SUFFIX)]
            if entry.name.endswith(_SUFFIX) and Stamp.shaped(id):
                yield id, entry

    def _record(
        self, id: str, key: list[Any], stamps: list[str], damaged: dict[str, CasvaultError]
    ) -> tuple[list[Any] | None, bool]:
        """Read one snapshot's documents: size, label stamp, head, label, logical size, files, contents.

        Returns also whether its newest label could not be read.
        """
        from casvault.manifest.manifest import Manifest

        try:
            manifest = Manifest.parse(self._backend.read(f"{SNAPSHOTS}/{id}{_SUFFIX}", MAX_DOCUMENT), id)
        except CasvaultError as error:
            damaged[id] = error
            return None, False
        found = self.labels.found(id, stamps)
        damaged.update(found.damaged)
        return [
            *key,
            manifest.head(),
            found.label.to_json(),
            manifest.logical_size,
            len(manifest.files),
            manifest.contents,
        ], found.doubtful

    def _cached(self) -> dict[str, Any]:
        self._stored = self._load(_CACHE)
        return {**self._stored, **self._recent()}

    def _recent(self) -> dict[str, Any]:
        """Return the small part of the cache, and what was read or written since."""
        if self._newest is None:
            self._newest = self._load(_RECENT)
        return self._newest

    def _load(self, name: str) -> dict[str, Any]:
        try:
            checksum, _, body = self._cache.read(f"{self._folder}/{name}", _MAX_CACHE).partition(b"\n")
            if checksum != digest_of(body).encode():
                return {}
            cache = json.loads(body)
            if cache["format"] != _CACHE_FORMAT:
                return {}
            heads: dict[str, Any] = cache["heads"]
            for id, record in heads.items():
                document = self._made(id, record).document
                if document["id"] != id or not document.keys() >= _MEMBERS or not isinstance(document["model"], dict):
                    return {}
        except (CasvaultError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return {}
        return heads

    def _remember(self, *, small: bool) -> None:
        """Write what is known: what the large part of the cache lacks to the small one, until that is full."""
        recent = {id: record for id, record in self._known.items() if self._stored.get(id) != record}
        try:
            if not small or len(recent) > _MOST_RECENT:
                self._store(_CACHE, self._known)
                self._stored, self._newest = dict(self._known), {}
                self._cache.delete(f"{self._folder}/{_RECENT}")
            else:
                self._store(_RECENT, recent)
        except CasvaultError:
            # On a full or read-only disk the next list is slower; nothing else.
            return

    def _store(self, name: str, records: dict[str, Any]) -> None:
        body = json.dumps({"format": _CACHE_FORMAT, "heads": records}, separators=(",", ":")).encode()
        self._cache.write(f"{self._folder}/{name}", digest_of(body).encode() + b"\n" + body, durable=False)


def _documents(id: str, key: list[Any]) -> list[str]:
    """Return the names of a snapshot's manifest and of its newest label."""
    return [f"{SNAPSHOTS}/{id}{_SUFFIX}", *([f"{LABELS}/{id}.{key[1]}{_SUFFIX}"] if key[1] is not None else [])]


def _head(record: list[Any], doubtful: bool = False) -> Head:
    _, _, document, label, size, count, contents = record
    return Head(
        document=document,
        label=Label(
            snapshot=document["id"],
            name=label["name"],
            notes=label["notes"],
            pinned=label["pinned"],
            tags=tuple(label["tags"]),
            thinned=tuple(label["thinned"]),
            deleted=label["deleted"],
        ),
        size=size,
        file_count=count,
        contents=contents,
        doubtful=doubtful,
    )
