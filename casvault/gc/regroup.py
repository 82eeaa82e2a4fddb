"""Regrouping: how chunks lean on each other once a base that no snapshot holds is taken out.

One of those that lean on the base, the heir, takes its place: it leans on what the base leaned on, or stands alone.
The others lean on the heir. So nothing comes to lie deeper than it did, and no more chunks lean on the heir than leaned
on the base. The heir is the middle one by age, which is nearest to all.

Owns the invariant that a regrouping never makes a circle: the heir leans on what was below the base, the others on it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from casvault.objects import ObjectGraph

__all__ = ["Regrouping", "regroup"]


@dataclass
class Regrouping:
    """Bases that go together, and the ``moves``: chunk -> its new base, None where it stands alone from now on."""

    bases: list[str] = field(default_factory=list)
    moves: dict[str, str | None] = field(default_factory=dict)

    def is_heir(self, digest: str) -> bool:
        """Tell whether it is the one that takes the place of the lowest base: the only one that leans on no other."""
        return self.moves[digest] not in self.moves


def regroup(
    graph: ObjectGraph, bases: Collection[str], needed: Collection[str], age: Mapping[str, int]
) -> list[Regrouping]:
    """Return how to do without the ``bases``, of which nobody holds one; each regrouping can be done on its own.

    ``needed`` are the chunks that count, ``age`` their places in time, as far as they are held.
    """
    base_of = {digest: graph.chosen[digest].base for digest in needed if digest in graph.chosen}
    leaning: dict[str, list[str]] = {}
    for digest, base in base_of.items():
        if base is not None:
            leaning.setdefault(base, []).append(digest)
    groups: dict[str, Regrouping] = {}
    # The deepest go first, so that who leans on a base is never one that goes as well.
    for base in sorted((base for base in bases if base in base_of), key=lambda base: (-graph.depth(base), base)):
        children = sorted(leaning.pop(base, ()), key=lambda digest: (age.get(digest, 0), digest))
        if not children:
            continue
        group = groups.setdefault(_top(graph, bases, base), Regrouping())
        group.bases.append(base)
        heir, below = children[len(children) // 2], base_of.pop(base)
        for child in children:
            base_of[child] = group.moves[child] = below if child == heir else heir
        leaning.setdefault(heir, []).extend(child for child in children if child != heir)
        if below is not None:
            leaning[below] = [heir if digest == base else digest for digest in leaning[below]]
    return [groups[key] for key in sorted(groups)]


def _top(graph: ObjectGraph, bases: Collection[str], base: str) -> str:
    """Return the last of the bases that go, on the way down from ``base``."""
    below = graph.chosen[base].base
    while below is not None and below in bases and below in graph.chosen:
        base, below = below, graph.chosen[below].base
    return base
