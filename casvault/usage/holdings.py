"""Holdings: which chunks each snapshot holds.

A snapshot holds the chunks of its files, but for those that it was thinned of; a deleted one holds nothing. What is on
its way into the vault is held as well.

Owns the invariant that in doubt a chunk is held: the files of a snapshot whose newest label cannot be read all count,
and a snapshot whose manifest cannot be read is told, so that nobody takes its chunks for garbage.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from casvault.errors import CasvaultError, NotFound
from casvault.manifest.document import MAX_DOCUMENT
from casvault.manifest.manifest import held_by_file
from casvault.vault.head import Head
from casvault.vault.heads import SNAPSHOTS
from casvault.vault.pending import Pending
from casvault.vault.vault import Vault

__all__ = ["Holding", "Holdings", "HoldingsReader"]


@dataclass(frozen=True)
class Holding:
    """What one snapshot holds: ``chunks`` are digest -> plain bytes, ``logical_bytes`` those of the files it has."""

    head: Head
    chunks: Mapping[str, int]
    logical_bytes: int

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


@dataclass(frozen=True)
class _Files:
    """A manifest as far as holdings are told from it: path -> size and chunks of a file, in plain bytes."""

    files: Mapping[str, tuple[int, tuple[tuple[str, int], ...]]]

    def holding(self, head: Head, thinned: Collection[str]) -> Holding:
        kept = [file for path, file in self.files.items() if path not in thinned]
        chunks = {digest: size for _, pieces in kept for digest, size in pieces}
        return Holding(head, chunks, sum(size for size, _ in kept))


class HoldingsReader:
    """Reads the holdings of a vault; manifests, which never change, are read once however often it is asked."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._files: dict[str, _Files] = {}
        self._digests: dict[str, str] = {}

    def read(self, only: Collection[str] | None = None) -> Holdings:
        """Return what is held now; raises StorageError.

        With ``only`` just these snapshots count as deleted, and none as thinned: for who may not free what somebody
        else gave up.
        """
        index = self._vault.index
        heads = index.read()
        undecided = {id: error for id, error in index.damaged.items() if len(id) == _ID}
        doubtful = {name[:_ID] for name in index.damaged if len(name) > _ID}
        snapshots, doomed = [], []
        for head in heads:
            if head.label.deleted and head.id not in doubtful and (only is None or head.id in only):
                doomed.append(head.id)
                continue
            thinned = head.label.thinned if only is None and head.id not in doubtful else ()
            try:
                snapshots.append(self._of(head.id).holding(head, thinned))
            except CasvaultError as error:
                undecided[head.id] = error
        for id in [id for id in undecided if id not in doubtful and (only is None or id in only)]:
            if index.label(id).deleted:
                doomed.append(id)
                del undecided[id]
        gone = [id for id, error in undecided.items() if isinstance(error, NotFound)]
        return Holdings(
            tuple(snapshots),
            self._pending(),
            tuple(sorted(doomed)),
            {id: error for id, error in undecided.items() if id not in gone},
        )

    def _of(self, id: str) -> _Files:
        if id not in self._files:
            data = self._vault.backend.read(f"{SNAPSHOTS}/{id}.json", MAX_DOCUMENT)
            # One chunk is held by many: its digest is kept once.
            one = self._digests.setdefault
            self._files[id] = _Files(
                {
                    path: (size, tuple((one(chunk.digest, chunk.digest), chunk.size) for chunk in chunks))
                    for path, (size, chunks) in held_by_file(data, id).items()
                }
            )
        return self._files[id]

    def _pending(self) -> frozenset[str]:
        found = Pending.every(self._vault.backend)
        return frozenset(digest for each in found if not each.expired() for digest in each.digests)


_ID = 27
"""Characters of a snapshot's id; the names of labels are longer."""
