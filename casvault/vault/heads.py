"""The heads of all snapshots, and the cache that makes listing a thousand of them cheap.

Which snapshots and labels there are is always told by the listing; only their contents are cached, which never change.
The cache is derived: whatever is wrong with it, the documents themselves are read again.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from casvault.backends import Backend
from casvault.digest import digest_of
from casvault.errors import CasvaultError
from casvault.manifest.document import MAX_DOCUMENT
from casvault.manifest.label import Label, label_parts
from casvault.manifest.stamp import Stamp
from casvault.vault.head import Head

__all__ = ["LABELS", "MAX_DOCUMENT", "SNAPSHOTS", "HeadIndex"]

SNAPSHOTS = "snapshots"
LABELS = "labels"

_CACHE = "cache/heads"
_CACHE_FORMAT = 1
_SUFFIX = ".json"
_MAX_CACHE = 256 << 20
_RECENT = "cache/heads-recent"
_MOST_RECENT = 32
"""Snapshots that wait in the small part of the cache, which is written each time, for the large one."""

_MEMBERS = {"id", "created", "saved_at", "kind", "model", "iteration", "loss", "incomplete", "health"}


class HeadIndex:
    """Reads the heads of a vault. ``damaged`` are the errors of the last `read`, by document name."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._known: dict[str, Any] = {}
        self._stored: dict[str, Any] = {}
        self.damaged: dict[str, CasvaultError] = {}

    def ids(self) -> list[str]:
        """Return the ids of all snapshots, deleted ones too, oldest first."""
        return sorted(self._snapshot_sizes())

    def read(self, *, cached: bool = True) -> list[Head]:
        """Return all heads, deleted ones too, oldest first; those that cannot be read are in ``damaged``.

        Without ``cached`` every document is read, whatever the cache holds.
        """
        self.damaged = {}
        sizes = self._snapshot_sizes()
        labels = self._labels()
        known = (self._known or self._cached()) if cached else {}
        kept: dict[str, Any] = {}
        heads = []
        for id in sorted(sizes):
            stamps = labels.get(id, [])
            key = [sizes[id], stamps[0] if stamps else None]
            record = known.get(id)
            if record is None or record[:2] != key:
                record = self._record(id, key, stamps)
            if record is None:
                continue
            kept[id] = record
            heads.append(_head(record))
        if cached:
            self._known = self._intact(kept)
            if self._known != known:
                self._remember(small=False)
        return heads

    def add(self, head: Head, size: int, stamp: str | None) -> None:
        """Remember the head of a snapshot that was just written: its document's bytes and its label's stamp."""
        if not self._known:
            self._known = self._cached()
        label = head.label.to_json()
        self._known[head.id] = [size, stamp, head.document, label, head.size, head.file_count, head.contents]
        self._remember(small=True)

    def label(self, id: str) -> Label:
        """Return the newest label of snapshot ``id`` that can be read, also where its manifest cannot or is gone."""
        return self._label(id, self._labels().get(id, []))

    def newest_label(self, id: str) -> str | None:
        """Return the stamp of the newest label of snapshot ``id``."""
        return next(iter(self._labels().get(id, [])), None)

    def outdated_labels(self, doomed: Collection[str] = ()) -> list[str]:
        """Return the names of labels that count no more: older ones, and those of snapshots that never came to be.

        The label that says that a snapshot was deleted stays, also of the ``doomed``, whose manifests are about to go.
        Where the newest label is damaged all stay.
        """
        there = self._snapshot_sizes().keys() - doomed
        found = []
        for id, stamps in self._labels().items():
            if id in there and len(stamps) == 1:
                continue
            label = self._label(id, stamps)
            if f"{id}.{stamps[0]}" not in self.damaged:
                counts = id in there or label.deleted
                found += [f"{id}.{stamp}" for stamp in (stamps[1:] if counts else stamps)]
        return sorted(found)

    def _snapshot_sizes(self) -> dict[str, int]:
        found = {}
        for entry in self._backend.list(SNAPSHOTS):
            id = entry.name[: -len(_SUFFIX)]
            if entry.name.endswith(_SUFFIX) and Stamp.shaped(id):
                found[id] = entry.size
        return found

    def _labels(self) -> dict[str, list[str]]:
        """Return for each snapshot the stamps of its labels, the newest first."""
        stamps: dict[str, list[str]] = {}
        for entry in self._backend.list(LABELS):
            if entry.name.endswith(_SUFFIX):
                id, stamp = label_parts(entry.name[: -len(_SUFFIX)])
                if Stamp.shaped(id) and Stamp.shaped(stamp):
                    stamps.setdefault(id, []).append(stamp)
        for each in stamps.values():
            each.sort(reverse=True)
        return stamps

    def _record(self, id: str, key: list[Any], stamps: list[str]) -> list[Any] | None:
        """Read one snapshot's documents: size, label stamp, head, label, logical size, files, contents."""
        from casvault.manifest.manifest import Manifest

        try:
            manifest = Manifest.parse(self._backend.read(f"{SNAPSHOTS}/{id}{_SUFFIX}", MAX_DOCUMENT), id)
        except CasvaultError as error:
            self.damaged[id] = error
            return None
        label = self._label(id, stamps)
        return [
            *key,
            manifest.head(),
            label.to_json(),
            manifest.logical_size,
            len(manifest.files),
            manifest.contents,
        ]

    def _label(self, id: str, stamps: list[str]) -> Label:
        """Return the newest label that can be read: a snapshot whose name is lost is still a snapshot."""
        for stamp in stamps:
            name = f"{id}.{stamp}"
            try:
                return Label.parse(self._backend.read(f"{LABELS}/{name}{_SUFFIX}", MAX_DOCUMENT), name)
            except CasvaultError as error:
                self.damaged[name] = error
        return Label(id)

    def _cached(self) -> dict[str, Any]:
        self._stored = self._load(_CACHE)
        return {**self._stored, **self._load(_RECENT)}

    def _load(self, name: str) -> dict[str, Any]:
        try:
            checksum, _, body = self._backend.read(name, _MAX_CACHE).partition(b"\n")
            if checksum != digest_of(body).encode():
                return {}
            cache = json.loads(body)
            if cache["format"] != _CACHE_FORMAT:
                return {}
            heads: dict[str, Any] = cache["heads"]
            for id, record in heads.items():
                document = _head(record).document
                if document["id"] != id or not document.keys() >= _MEMBERS or not isinstance(document["model"], dict):
                    return {}
        except (CasvaultError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return {}
        return heads

    def _intact(self, records: dict[str, Any]) -> dict[str, Any]:
        return {id: record for id, record in records.items() if f"{id}.{record[1]}" not in self.damaged}

    def _remember(self, *, small: bool) -> None:
        """Write what is known: what the large part of the cache lacks to the small one, until that is full."""
        recent = {id: record for id, record in self._known.items() if self._stored.get(id) != record}
        try:
            if not small or len(recent) > _MOST_RECENT:
                self._store(_CACHE, self._known)
                self._stored, recent = dict(self._known), {}
                self._backend.delete(_RECENT)
            else:
                self._store(_RECENT, recent)
        except CasvaultError:
            # On a full or read-only disk the next list is slower; nothing else.
            return

    def _store(self, name: str, records: dict[str, Any]) -> None:
        body = json.dumps({"format": _CACHE_FORMAT, "heads": records}, separators=(",", ":")).encode()
        self._backend.write(name, digest_of(body).encode() + b"\n" + body, durable=False)


def _head(record: list[Any]) -> Head:
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
    )
