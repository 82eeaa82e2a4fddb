"""Holdings: which chunks each snapshot holds.

A snapshot holds the chunks of its files, but for those that it was thinned of; a deleted one holds nothing. What is on
its way into the vault is held as well.

Owns the invariant that in doubt a chunk is held: the files of a snapshot whose newest label cannot be read all count,
and a snapshot whose manifest cannot be read is told, so that nobody takes its chunks for garbage.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from casvault.errors import BadManifest, CasvaultError, NotFound
from casvault.manifest.document import MAX_DOCUMENT
from casvault.manifest.manifest import ChunkRef, Held, read_held
from casvault.vault.head import Head
from casvault.vault.heads import SNAPSHOTS
from casvault.vault.pending import Pending
from casvault.vault.vault import Vault

__all__ = ["Holding", "Holdings", "HoldingsReader", "holding_of"]


@dataclass(frozen=True)
class Holding:
    """What one snapshot holds: ``chunks`` are digest -> plain bytes, ``logical_bytes`` those of the files it has.

    ``picture_bytes`` are those of its picture, which is no file of the model.
    """

    head: Head
    chunks: Mapping[str, int]
    logical_bytes: int
    picture_bytes: int = 0

    @property
    def id(self) -> str:
        """The snapshot's id."""
        return self.head.id


@dataclass(frozen=True)
class Holdings:
    """What all snapshots hold, oldest first; ``doomed`` are the ids of deleted ones whose manifests are still there.

    ``undecided`` are the errors of manifests that cannot be read, by id: such a snapshot may hold any chunk at all.
    """

    snapshots: tuple[Holding, ...]
    pending: frozenset[str]
    doomed: tuple[str, ...]
    undecided: Mapping[str, CasvaultError]

    def held(self) -> set[str]:
        """Return all chunks that are held."""
        return set(self.pending).union(*(holding.chunks for holding in self.snapshots))


def holding_of(held: Held, head: Head, thinned: Collection[str]) -> Holding:
    """Return what a snapshot holds that was ``thinned`` of these paths."""
    kept = [file for path, file in held.files.items() if path not in thinned]
    chunks = {chunk.digest: chunk.size for _, pieces in kept for chunk in pieces}
    logical = sum(size for size, _ in kept)
    if held.picture is None:
        return Holding(head, chunks, logical)
    return Holding(head, {**chunks, held.picture.digest: held.picture.size}, logical, held.picture.size)


class HoldingsReader:
    """Reads the holdings of a vault; manifests, which never change, are read once however often it is asked."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._held: dict[str, Held] = {}
        self._chunks: dict[str, ChunkRef] = {}

    def read(self, only: Collection[str] | None = None) -> Holdings:
        """Return what is held now; raises StorageError.

        With ``only`` just these snapshots count as deleted, and none as thinned: for who may not free what somebody
        else gave up.
        """
        found = self._vault.index.read()
        undecided = {id: error for id, error in found.damaged.items() if len(id) == _ID}
        snapshots, doomed = [], []
        for number, head in enumerate(found.heads):
            if number % _AHEAD == 0:
                coming = [each.id for each in found.heads[number : number + _AHEAD] if each.id not in self._held]
                self._vault.backend.ahead([f"{SNAPSHOTS}/{id}.json" for id in coming])
            if head.label.deleted and (only is None or head.id in only):
                doomed.append(head.id)
                continue
            thinned = frozenset(head.label.thinned if only is None else ())
            try:
                snapshots.append(holding_of(self.held(head.id), head, thinned))
            except CasvaultError as error:
                undecided[head.id] = error
        for id in [id for id, error in undecided.items() if isinstance(error, BadManifest)]:
            if (only is None or id in only) and self._is_given_up(id):
                doomed.append(id)
                del undecided[id]
        gone = [id for id, error in undecided.items() if isinstance(error, NotFound)]
        return Holdings(
            tuple(snapshots),
            self._pending(),
            tuple(sorted(doomed)),
            {id: error for id, error in undecided.items() if id not in gone},
        )

    def _is_given_up(self, id: str) -> bool:
        """Tell whether a snapshot whose manifest is damaged was deleted; in doubt it was not."""
        try:
            return self._vault.index.labels.newest(id).deleted
        except CasvaultError:
            return False

    def held(self, id: str) -> Held:
        """Return what the manifest of a snapshot says that it holds; raises NotFound, BadManifest, UnsupportedVault."""
        if id not in self._held:
            found = read_held(self._vault.backend.read(f"{SNAPSHOTS}/{id}.json", MAX_DOCUMENT), id)
            files = {path: (size, tuple(map(self._once, chunks))) for path, (size, chunks) in found.files.items()}
            self._held[id] = Held(files, found.picture)
        return self._held[id]

    def knows(self, id: str) -> bool:
        """Tell whether the manifest of a snapshot was read already."""
        return id in self._held

    def _once(self, chunk: ChunkRef) -> ChunkRef:
        """Return a chunk as it was seen first: many snapshots hold it, and it is kept in memory once."""
        return self._chunks.setdefault(chunk.digest, chunk)

    def _pending(self) -> frozenset[str]:
        found = Pending.every(self._vault.backend)
        return frozenset(digest for each in found if not each.expired() for digest in each.digests)


_AHEAD = 64
"""Manifests that are asked for at once, where the backend does that."""

_ID = 27
"""Characters of a snapshot's id; the names of labels are longer."""
