"""The ledger: for every chunk that is needed, by how many snapshots.

A snapshot needs the chunks that it holds and all that those lean on. Deleting a set of snapshots frees exactly what
nobody outside the set needs; so the ledger answers for any set, before anything is deleted.

Owns the invariant that what it says a deletion frees is what gc frees then, to the byte, as long as nothing else is
written meanwhile and re-coding has no part in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import replace

from casvault.objects import ObjectGraph
from casvault.usage.holdings import Holdings

__all__ = ["Ledger"]


class Ledger:
    """Who needs what of ``graph``; all sizes are stored bytes."""

    def __init__(self, holdings: Holdings, graph: ObjectGraph) -> None:
        self.holdings = holdings
        self.graph = graph
        self._needs = {holding.id: graph.needs(holding.chunks) for holding in holdings.snapshots}
        self._count: Counter[str] = Counter()
        for digests in self._needs.values():
            self._count.update(digests)
        self._count.update(graph.needs(holdings.pending))
        self._spares = bool(graph.spare())

    def needed(self) -> Set[str]:
        """Return every chunk that is needed."""
        return self._count.keys()

    def stored(self, ids: Iterable[str]) -> int:
        """Return the bytes of all that these snapshots need, what others share included."""
        return self.graph.size_of(set().union(*(self._needs[id] for id in ids)))

    def stored_up_to(self) -> Iterator[int]:
        """Yield for each snapshot, oldest first, the bytes that it and all before it need."""
        seen, stored = set[str](), 0
        for holding in self.holdings.snapshots:
            new = self._needs[holding.id] - seen
            seen |= new
            stored += self.graph.size_of(new)
            yield stored

    def stored_in_all(self) -> int:
        """Return the bytes of all that is needed."""
        return self.graph.size_of(self._count)

    def frees(self, ids: Iterable[str]) -> int:
        """Return the bytes that deleting these snapshots together would free."""
        chosen = set(ids)
        if self._spares:
            return self._frees_by_choosing_anew(chosen)
        if len(chosen) == 1:
            return self.graph.size_of(digest for digest in self._needs[chosen.pop()] if self._count[digest] == 1)
        own: Counter[str] = Counter()
        for id in chosen:
            own.update(self._needs[id])
        return self.graph.size_of(digest for digest, count in own.items() if count == self._count[digest])

    def _frees_by_choosing_anew(self, chosen: Set[str]) -> int:
        """Do what `frees` does where chunks have several objects: which one is chosen depends on what is held."""
        left = tuple(holding for holding in self.holdings.snapshots if holding.id not in chosen)
        holdings = replace(self.holdings, snapshots=left)
        after = Ledger(holdings, ObjectGraph(self.graph.names, holdings.held()))
        return self.stored_in_all() - after.stored_in_all()

    def remove(self, id: str) -> int:
        """Take a snapshot out of the ledger, as if it was deleted; return the bytes that this frees.

        Where chunks have several objects gc may free a little less or more: `frees` tells.
        """
        return self._drop(self._needs.pop(id))

    def only_leaned_on(self) -> set[str]:
        """Return the chunks that no snapshot holds, kept since others lean on them."""
        held = set(self.holdings.pending).union(*(h.chunks for h in self.holdings.snapshots if h.id in self._needs))
        return self._count.keys() - held

    def leaned_bytes(self) -> int:
        """Return the bytes of what is only leaned on."""
        return self.graph.size_of(self.only_leaned_on())

    def _drop(self, digests: Iterable[str]) -> int:
        gone = []
        for digest in digests:
            self._count[digest] -= 1
            if not self._count[digest]:
                del self._count[digest]
                gone.append(digest)
        return self.graph.size_of(gone)
