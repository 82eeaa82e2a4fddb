"""The graph: what is chosen can be decoded, choices never make a circle, what is needed is enough and no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from casvault.backends.memory import MemoryBackend
from casvault.objects import ObjectGraph, ObjectName, ObjectStore, is_there

SIZE = 200
DIGESTS = [f"{number:064x}" for number in range(8)]

digests = st.sampled_from(DIGESTS)
names = st.builds(ObjectName, digests, st.none() | digests, st.integers(97, 300))


def unique(found: list[ObjectName]) -> list[ObjectName]:
    """Leave one of those that have one name: a folder has each name once."""
    return list({name.blob: name for name in found}.values())


def can_be_had(found: list[ObjectName]) -> set[str]:
    """Return what can be decoded, by trying until nothing is added any more."""
    had: set[str] = set()
    while True:
        more = {name.digest for name in found if name.base is None or name.base in had} | had
        if more == had:
            return had
        had = more


@given(st.lists(names, max_size=24).map(unique), st.sets(digests))
def test_what_is_chosen_can_be_decoded(found: list[ObjectName], held: set[str]) -> None:
    graph = ObjectGraph(found, held)
    assert graph.chosen.keys() == can_be_had(found)
    for digest, name in graph.chosen.items():
        assert name.digest == digest
        assert name in found
        walk, steps = name, 0
        while walk.base is not None:
            walk, steps = graph.chosen[walk.base], steps + 1
            assert steps <= len(DIGESTS)
        assert graph.depth(digest) == steps
    assert {*graph.chosen.values(), *graph.spare()} | {n for n in found if n.digest not in graph.chosen} == {*found}


@given(st.lists(names, max_size=24).map(unique), st.sets(digests), st.sets(digests))
def test_what_is_needed_is_enough(found: list[ObjectName], held: set[str], wanted: set[str]) -> None:
    graph = ObjectGraph(found, held)
    needed = graph.needs(wanted)
    kept = [name for digest in needed for name in graph.kept(digest)]
    assert can_be_had(kept) & wanted == can_be_had(found) & wanted
    for name in kept:
        if name.digest in graph.chosen and name.digest not in wanted:
            fewer = [other for other in kept if other != name]
            assert can_be_had(fewer) & needed != can_be_had(kept) & needed


def test_what_cannot_be_decoded_is_kept_whole_where_it_is_needed() -> None:
    one, two, three, four = DIGESTS[:4]
    found = [ObjectName(one, two, SIZE), ObjectName(two, one, SIZE), ObjectName(one, three, SIZE)]
    graph = ObjectGraph(found)
    assert graph.chosen == {}
    assert {name for digest in graph.needs([one]) for name in graph.kept(digest)} == {*found}
    assert graph.size_of([one, four]) == 2 * SIZE


def test_one_that_stands_alone_is_chosen_first_then_one_on_a_base_that_is_held() -> None:
    one, two, three = DIGESTS[:3]
    bases = [ObjectName(two, None, SIZE), ObjectName(three, None, SIZE)]
    small, large = ObjectName(one, two, SIZE - 50), ObjectName(one, three, SIZE + 50)
    assert ObjectGraph([*bases, small, large]).chosen[one] == small
    assert ObjectGraph([*bases, small, large], {three}).chosen[one] == large
    alone = ObjectName(one, None, 10 * SIZE)
    assert ObjectGraph([*bases, small, large, alone], {three}).chosen[one] == alone
    assert ObjectGraph([*bases, small, large, alone]).spare() == [small, large]


def test_leaning_tells_who_leans_on_a_base() -> None:
    one, two, three = DIGESTS[:3]
    graph = ObjectGraph([ObjectName(one, None, SIZE), ObjectName(two, one, SIZE), ObjectName(three, one, SIZE)])
    assert {base: sorted(found) for base, found in graph.leaning.items()} == {one: [two, three]}


@given(st.lists(names, max_size=16).map(unique), digests)
def test_what_is_there_is_told_by_names(found: list[ObjectName], digest: str) -> None:
    backend = MemoryBackend()
    for name in found:
        backend.write(name.blob, bytes(name.size))
    assert is_there(ObjectStore(backend), digest) == (digest in can_be_had(found))
