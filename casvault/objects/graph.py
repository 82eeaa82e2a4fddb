"""What leans on what, told by names alone.

For every chunk that can be had the graph picks the one object that gives it, in such a way that following bases always
ends at an object that stands alone. The others are spare; objects whose bases are missing, or that lean on each other
in a circle, are stranded: they give nothing, but are evidence where a snapshot needs them.

Owns the invariant that what `needs` returns for a chunk is enough to decode it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from itertools import repeat

from casvault.objects.store import MAX_CHAIN, ObjectName, ObjectStore

__all__ = ["ObjectGraph", "is_there"]


class ObjectGraph:
    """The objects ``names``. Where a chunk has several, bases that are among the ``held`` chunks are preferred."""

    def __init__(self, names: Iterable[ObjectName], held: Collection[str] = ()) -> None:
        self.names = list(names)
        self._held = held
        self._encodings: dict[str, list[ObjectName]] = {}
        for name in self.names:
            self._encodings.setdefault(name.digest, []).append(name)
        self.chosen: dict[str, ObjectName] = {}
        self._depths: dict[str, int] = {}
        self._choose()
        self.sizes = {digest: sum(name.size for name in self.kept(digest)) for digest in self._encodings}
        """Stored bytes of what is kept for each chunk, its bases not counted."""

    def kept(self, digest: str) -> list[ObjectName]:
        """Return the objects to keep for a chunk that is needed: the chosen one, or all where none gives it."""
        chosen = self.chosen.get(digest)
        return [chosen] if chosen is not None else self._encodings.get(digest, [])

    def size_of(self, digests: Iterable[str]) -> int:
        """Return the stored bytes of what is kept for these chunks, their bases not counted."""
        return sum(map(self.sizes.get, digests, repeat(0)))

    def needs(self, digests: Iterable[str]) -> set[str]:
        """Return these chunks and all that they lean on, directly or not."""
        todo, seen = list(digests), set[str]()
        while todo:
            digest = todo.pop()
            if digest not in seen:
                seen.add(digest)
                todo.extend(name.base for name in self.kept(digest) if name.base is not None)
        return seen

    def depth(self, digest: str) -> int:
        """Return how many bases stand behind the chosen object of a chunk."""
        return self._depths.get(digest, 0)

    def spare(self) -> list[ObjectName]:
        """Return the objects of chunks that another object gives already."""
        return [name for name in self.names if self.chosen.get(name.digest, name) != name]

    @cached_property
    def leaning(self) -> dict[str, list[str]]:
        """For each base the chunks whose chosen object is a delta against it."""
        found: dict[str, list[str]] = {}
        for digest, name in self.chosen.items():
            if name.base is not None:
                found.setdefault(name.base, []).append(digest)
        return found

    def _choose(self) -> None:
        """Choose in layers: what stands alone, then what leans on that, and so on; thus no choice makes a circle."""
        waiting: dict[str, list[ObjectName]] = {}
        layer: list[str] = []
        for digest, encodings in self._encodings.items():
            alone = next((name for name in encodings if name.base is None), None)
            if alone is not None:
                self.chosen[digest] = alone
                layer.append(digest)
                continue
            for name in encodings:
                assert name.base is not None
                waiting.setdefault(name.base, []).append(name)
        depth = 0
        while layer:
            found: dict[str, ObjectName] = {}
            for base in layer:
                for name in waiting.get(base, ()):
                    if name.digest not in self.chosen:
                        other = found.get(name.digest)
                        found[name.digest] = name if other is None else min(name, other, key=self._rank)
            self.chosen.update(found)
            depth += 1
            self._depths.update(dict.fromkeys(found, depth))
            layer = list(found)

    def _rank(self, name: ObjectName) -> tuple[bool, int, str]:
        return name.base not in self._held, name.size, name.base or ""


def is_there(objects: ObjectStore, digest: str) -> bool:
    """Tell by names alone whether a chunk can be had: an object holds it, and so on for all that it leans on.

    What an interrupted sweep left may lean on what is gone.
    """
    current = digest
    for _ in range(MAX_CHAIN):
        found = objects.encodings(current)
        if not found:
            break
        if found[0].base is None:
            return True
        current = found[0].base
    names = [name for one in objects.closure(digest) for name in objects.encodings(one)]
    return digest in ObjectGraph(names).chosen
