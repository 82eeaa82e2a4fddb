"""Vaults that have the same snapshots and code them in different ways, since each was collected on its own."""

from __future__ import annotations

import random
from pathlib import Path

from casvault import api
from casvault.objects import ObjectGraph, ObjectName
from tests.support.lines import Line, copy_of

__all__ = ["check_no_circles", "two_that_recoded"]


def two_that_recoded(line: Line, root: Path, random: random.Random) -> list[api.Vault]:
    """Return two copies of the line's vault, each of which lost other snapshots, and coded anew what is left."""
    vaults = [copy_of(line.vault, root / name) for name in "ab"]
    # The newest is in place: the vault would miss it.
    ids = sorted(line.saves)[:-1]
    for vault in vaults:
        gone = random.sample(ids, random.randint(1, len(ids) // 2))
        # No tombstones: it never had them, so that they may come from the other.
        for id in gone:
            (Path(str(vault.path)) / "snapshots" / f"{id}.json").unlink()
        for record in (Path(str(vault.path)) / "live").iterdir():
            record.unlink()
        api.open(str(vault.path), threads=1).gc()
    return [api.open(str(vault.path), threads=1) for vault in vaults]


def check_no_circles(vault: api.Vault) -> None:
    """Assert that the bases of every object end somewhere, whichever of two objects of a chunk is chosen."""
    leans: dict[str, set[str]] = {}
    for name in _every(vault):
        leans.setdefault(name.digest, set()).update([name.base] if name.base else [])
    done: set[str] = set()
    for digest in leans:
        _follow(digest, leans, done, [])
    graph = ObjectGraph(_every(vault))
    assert all(graph.depth(digest) <= vault.config.max_depth for digest in graph.chosen)


def _every(vault: api.Vault) -> list[ObjectName]:
    return list(api.open(str(vault.path), threads=1).objects.every())


def _follow(digest: str, leans: dict[str, set[str]], done: set[str], trail: list[str]) -> None:
    assert digest not in trail, f"a circle: {trail}"
    if digest not in done:
        for base in leans.get(digest, ()):
            _follow(base, leans, done, [*trail, digest])
        done.add(digest)
