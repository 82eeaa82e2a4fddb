"""A vault on this machine as one end of a transfer; `serve` makes it the far end of somebody else's.

The vault's lock is held in portions. Why that is safe beside gc: what a snapshot will need is announced in
``pending/`` under the lock, so that every sweep that begins later spares it; only after that is looked what is there.
Each portion is checked and written under the lock. The commit looks at every chunk once more under the lock, and does
not let it go before the manifest is written, which then holds what the announcement held. So where an announcement ran
out meanwhile, what was collected is noticed and sent anew, and nothing half is ever seen.

Owns the invariant that a manifest is only written where every chunk that it needs can be had, and every folder that
holds one is on the disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Generator, Iterable, Sequence
from typing import TYPE_CHECKING

from casvault.codecs import Bytes
from casvault.digest import digest_of
from casvault.errors import BadManifest, CasvaultError, MissingObject, NotFound, StorageError
from casvault.manifest.label import Label
from casvault.manifest.stamp import Stamp
from casvault.objects import Frame, ObjectName
from casvault.objects.store import folder_of
from casvault.sync.arrivals import Arrivals, graph_of, load_decoders
from casvault.sync.remote import Arrival, Commit, Known, Outcome, Remote, Standing, State, Wanted
from casvault.vault.head import Head
from casvault.vault.heads import LABELS, MAX_DOCUMENT, SNAPSHOTS
from casvault.vault.labels import FoundLabel
from casvault.vault.pending import Pending
from casvault.vault.vault import Vault

if TYPE_CHECKING:
    from casvault.usage.usage import Usage

__all__ = ["LocalRemote", "fingerprint"]

_MOST_ANNOUNCED = 400_000
"""Chunks; twice that still fits into a document that gc reads."""

DELETED = "the receiving vault has deleted it, and the dead do not come back"


def fingerprint(head: Head) -> str:
    """Return a digest of what never changes about a snapshot: its manifest's head, and its paths and bytes."""
    text = json.dumps(head.document, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return digest_of(f"{head.contents}\n{text}".encode())


class LocalRemote(Remote):
    """The vault ``vault``; ``title`` is what messages call it."""

    def __init__(self, vault: Vault, title: str | None = None) -> None:
        self.vault = vault
        self.title = title or str(vault.path)
        self.uuid = vault.config.uuid
        self.max_depth = vault.config.max_depth
        self._arrivals: Arrivals | None = None
        self._leaned_on: set[str] | None = None
        self._announced = False
        self._moved = 0

    @property
    def wire_bytes(self) -> int:
        """Bytes of objects and documents that were put here."""
        return self._moved

    def is_same_as(self, other: Remote) -> bool:
        """Tell whether both are one vault in one folder."""
        return (
            isinstance(other, LocalRemote)
            and self.vault.path is not None
            and other.vault.path is not None
            and os.path.realpath(self.vault.path) == os.path.realpath(other.vault.path)
        )

    def state(self) -> State:
        """Return which snapshots and labels there are."""
        found = self.vault.index.read()
        stamps = self.vault.index.labels.stamps()
        known = {
            head.id: Known(head, next(iter(stamps.get(head.id, ())), None), fingerprint(head)) for head in found.heads
        }
        there = set(self.vault.index.ids())
        self.vault.backend.ahead([f"{LABELS}/{id}.{each[0]}.json" for id, each in stamps.items() if id not in there])
        tombstones = {id: each[0] for id, each in stamps.items() if id not in there and self._is_deleted(id, each)}
        return State(known, tombstones, frozenset(there - known.keys()))

    def manifest(self, id: str) -> bytes:
        """Return the document of a snapshot as it is stored."""
        return self.vault.backend.read(f"{SNAPSHOTS}/{_stamp(id)}.json", MAX_DOCUMENT)

    def label(self, id: str, stamp: str) -> bytes:
        """Return the document of a label as it is stored."""
        return self.vault.backend.read(f"{LABELS}/{_stamp(id)}.{_stamp(stamp)}.json", MAX_DOCUMENT)

    def closure(self, digests: Collection[str]) -> list[ObjectName]:
        """Return the objects that give these chunks and all their bases, bases first."""
        with self.vault.locks.shared("sync"):
            self.vault.objects.forget()
            graph = graph_of(self.vault.objects, digests)
            needed = [digest for digest in graph.needs(digests) if digest in graph.chosen]
            return [graph.chosen[digest] for digest in sorted(needed, key=lambda one: (graph.depth(one), one))]

    def read(self, portions: Iterable[Sequence[Wanted]]) -> Generator[list[Arrival], None, None]:
        """Yield each portion of objects."""
        for portion in portions:
            with self.vault.locks.shared("sync"):
                read = [self._read(wanted) for wanted in portion]
            yield read

    def announce(self, id: str, digests: Collection[str]) -> None:
        """Say which chunks snapshot ``id`` will need; somebody else who brings in the same one may have said others."""
        if not self._announced and self.vault.threads > 1:
            load_decoders()
        self._announced = True
        with self.vault.locks.shared("sync"):
            if len(digests) > _MOST_ANNOUNCED:
                raise StorageError(f"snapshot {_stamp(id)} is said to need {len(digests):,} chunks, more than one has.")
            pending = Pending.every(self.vault.backend)
            said = [one.digests for one in pending if one.id == id and not one.expired()]
            Pending.write(
                self.vault.backend, _stamp(id), tuple(sorted({*digests, *(one for each in said for one in each)}))
            )

    def withdraw(self, id: str) -> None:
        """Take back what was announced for ``id``."""
        Pending.withdraw(self.vault.backend, _stamp(id))

    def standing(self, digests: Collection[str]) -> Standing:
        """Tell which of these chunks can be had."""
        objects = self.vault.objects
        objects.forget()
        if self._leaned_on is None:
            # Only an interrupted sweep leaves what leans on nothing: to look once is enough, and what is put is
            # checked again.
            self._leaned_on = {name.base for name in objects.every() if name.base is not None}
        graph = graph_of(objects, digests)
        depths = {digest: graph.depth(digest) for digest in digests if digest in graph.chosen}
        return Standing(depths, frozenset(self._leaned_on.intersection(digests) - depths.keys()))

    def put(self, portion: Sequence[Arrival]) -> None:
        """Take in objects, bases first."""
        if self._arrivals is None:
            self._arrivals = Arrivals(self.vault)
        self._arrivals.put(portion)
        self._moved += sum(arrival.name.size for arrival in portion)

    def settle(self) -> None:
        """Return when all that was put is on the disk."""
        if self._arrivals is not None:
            self._arrivals.settle()

    def commit(self, commit: Commit) -> Outcome:
        """Write the label, then the manifest, where all chunks can be had."""
        from casvault.manifest.manifest import Manifest

        manifest = Manifest.parse(commit.manifest, commit.id)
        label = _parsed_label(commit.id, commit.stamp, commit.label)
        if label is not None and label.deleted:
            return Outcome(refused="its label says that it was deleted")
        with self.vault.locks.one("labels"), self.vault.locks.shared("sync"):
            there = self._bytes(f"{SNAPSHOTS}/{commit.id}.json")
            if there is not None and there != commit.manifest:
                return Outcome(refused="the receiving vault has a snapshot of that id with other bytes", conflict=True)
            stamps = self.vault.index.labels.stamps().get(commit.id, [])
            here = self.vault.index.labels.found(commit.id, stamps)
            outcome = self._refusal(commit, here, stamps, there is not None)
            if outcome is not None:
                return outcome
            newer = label is not None and (not stamps or str(commit.stamp) > stamps[0])
            holds = label if label is not None and newer else here.label
            digests = {chunk.digest for chunk in manifest.chunks(holds.thinned)}
            missing = self._missing_and_flushed(digests)
            if missing:
                return Outcome(missing=missing)
            if newer and commit.label is not None:
                self._write(f"{LABELS}/{commit.id}.{commit.stamp}.json", commit.label)
            if there is None:
                self._write(f"{SNAPSHOTS}/{commit.id}.json", commit.manifest)
        return Outcome()

    def bury(self, id: str, stamp: str, label: bytes) -> Outcome:
        """Write the label that says that a snapshot was deleted."""
        parsed = _parsed_label(id, stamp, label)
        if parsed is None or not parsed.deleted:
            return Outcome(refused="its label does not say that it was deleted")
        with self.vault.locks.one("labels"), self.vault.locks.shared("sync"):
            stamps = self.vault.index.labels.stamps().get(id, [])
            here = self.vault.index.labels.found(id, stamps)
            if here.label.pinned or here.doubtful:
                return Outcome(
                    refused="it is pinned in the receiving vault"
                    if here.label.pinned
                    else "its label in the receiving vault is damaged"
                )
            if stamps and stamps[0] >= stamp:
                return Outcome(
                    refused=None
                    if here.label.deleted
                    else "its label in the receiving vault is newer than the deletion"
                )
            self._write(f"{LABELS}/{id}.{stamp}.json", label)
        return Outcome()

    def usage(self, ids: Sequence[str], heads: Sequence[Head]) -> Usage:
        """Return what the vault takes."""
        from casvault.usage.usage import usage

        return usage(self.vault, ids)

    def close(self) -> None:
        """End the workers."""
        if self._arrivals is not None:
            self._arrivals.close()

    def _refusal(self, commit: Commit, here: FoundLabel, stamps: Sequence[str], there: bool) -> Outcome | None:
        if here.label.deleted:
            return Outcome(refused=DELETED)
        if here.doubtful and not there:
            return Outcome(refused="its label in the receiving vault is damaged, and may say that it was deleted")
        if commit.stamp in stamps and self._bytes(f"{LABELS}/{commit.id}.{commit.stamp}.json") != commit.label:
            return Outcome(refused="the receiving vault has a label of the same time with other bytes", conflict=True)
        return None

    def _missing_and_flushed(self, digests: Collection[str]) -> tuple[str, ...]:
        """Return which chunks cannot be had; where all can, their folders are put on the disk."""
        self.vault.objects.forget()
        graph = graph_of(self.vault.objects, digests)
        missing = tuple(sorted(digest for digest in digests if digest not in graph.chosen))
        if not missing:
            # Another process may have renamed an object and not have flushed its folder yet.
            with self.vault.backend.batch(1 if self.vault.threads == 1 else 8) as batch:
                batch.flush(
                    sorted(
                        {
                            folder_of(digest)
                            for digest in graph.needs(digests)
                            if not self._is_on_disk(graph.chosen.get(digest))
                        }
                    )
                )
        return missing

    def _is_on_disk(self, name: ObjectName | None) -> bool:
        return name is not None and self._arrivals is not None and self._arrivals.is_on_disk(name)

    def _write(self, name: str, data: bytes) -> None:
        self.vault.backend.write(name, data)
        self._moved += len(data)

    def _bytes(self, name: str) -> bytes | None:
        try:
            return self.vault.backend.read(name, MAX_DOCUMENT)
        except NotFound:
            return None

    def _read(self, wanted: Wanted) -> Arrival:
        name = wanted.name
        if not wanted.alone:
            try:
                return Arrival(name, self.vault.backend.read(name.blob))
            except NotFound as error:
                raise MissingObject(f"object {name.digest[:12]} vanished from the vault.") from error
        from casvault.codecs import encode_in_pieces

        plain = self.vault.objects.read(name.digest)
        layout = self.vault.objects.frame(name).layout
        codec, payload = encode_in_pieces(plain, layout)
        data: Bytes = b"".join(Frame(codec, layout, len(plain), None, b"").around(payload))
        return Arrival(ObjectName(name.digest, None, len(data)), data)

    def _is_deleted(self, id: str, stamps: Sequence[str]) -> bool:
        """Tell whether a snapshot without a manifest was deleted; in doubt it was."""
        try:
            return Label.parse(self.label(id, stamps[0]), f"{id}.{stamps[0]}").deleted
        except NotFound:
            return False
        except CasvaultError:
            return True


def _parsed_label(id: str, stamp: str | None, label: bytes | None) -> Label | None:
    if stamp is None or label is None:
        return None
    return Label.parse(label, f"{_stamp(id)}.{_stamp(stamp)}")


def _stamp(text: str) -> str:
    """Return what is to be part of a file's name, if it is a stamp; it may come from a stranger."""
    if not Stamp.valid(text):
        raise BadManifest(f"{text[:40]!r} is no id of a snapshot and no time of a label.")
    return text
