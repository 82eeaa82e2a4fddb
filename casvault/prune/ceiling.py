"""The ceiling: which snapshots go so that a vault stores no more than so many bytes.

Owns the invariant that no snapshot goes whose space gc would not need: what gc is going to win by coding anew what only
props up deltas is counted as won.
"""

from __future__ import annotations

from collections import Counter

from casvault.usage.ledger import Ledger

__all__ = ["Ceiling"]


class Ceiling:
    """The bytes that are stored once gc has collected, while snapshots go one after another out of ``ledger``."""

    def __init__(self, ledger: Ledger, gone: set[str]) -> None:
        self._ledger = ledger
        self._chunks = {holding.id: holding.chunks for holding in ledger.holdings.snapshots if holding.id not in gone}
        self._holders: Counter[str] = Counter(ledger.holdings.pending)
        for chunks in self._chunks.values():
            self._holders.update(chunks.keys())
        self._bases = ledger.only_leaned_on()
        self._stored = ledger.stored_in_all()

    @property
    def stored(self) -> int:
        """The bytes that are stored then, as far as that can be told before anything is coded."""
        return self._stored - sum(map(self._won, self._bases))

    def remove(self, id: str) -> int:
        """Let a snapshot go; return the bytes that this frees at once."""
        freed = self._ledger.remove(id)
        self._stored -= freed
        for digest in self._chunks.pop(id):
            self._holders[digest] -= 1
            if not self._holders[digest]:
                self._bases.add(digest)
        needed = self._ledger.needed()
        self._bases = {base for base in self._bases if base in needed}
        return freed

    def _won(self, base: str) -> int:
        """Return what doing without a base wins: one of those that lean on it takes its place, and its own is free."""
        graph, needed = self._ledger.graph, self._ledger.needed()
        return min((graph.sizes[one] for one in graph.leaning.get(base, ()) if one in needed), default=0)
