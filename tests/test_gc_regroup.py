"""Regrouping: no base that goes is leaned on, nothing gets deeper, nothing makes a circle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from casvault.gc.regroup import regroup
from casvault.objects import ObjectGraph, ObjectName

DIGESTS = [f"{number:064x}" for number in range(12)]


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[ObjectName], set[str]]:
    """Draw objects, each leaning on an earlier one or on none, and which of them somebody holds."""
    made = []
    for place, digest in enumerate(DIGESTS):
        base = draw(st.none() | st.sampled_from(DIGESTS[:place])) if place else None
        made.append(ObjectName(digest, base, 200))
    return made, draw(st.sets(st.sampled_from(DIGESTS)))


def depth(base_of: dict[str, str | None], digest: str) -> int:
    steps, base = 0, base_of[digest]
    while base is not None:
        steps, base = steps + 1, base_of[base]
        assert steps <= len(DIGESTS), "a circle"
    return steps


@given(forests(), st.data())
def test_any_of_the_regroupings_can_be_done(forest: tuple[list[ObjectName], set[str]], data: st.DataObject) -> None:
    found, held = forest
    graph = ObjectGraph(found, held)
    needed = graph.needs(held)
    before = {name.digest: name.base for name in found if name.digest in needed}
    bases = needed - held
    groups = regroup(graph, bases, needed, {digest: place for place, digest in enumerate(DIGESTS)})
    assert sorted(base for group in groups for base in group.bases) == sorted(bases)
    done = data.draw(st.sets(st.sampled_from(range(len(groups))))) if groups else set()
    after = dict(before)
    for place in done:
        after.update(groups[place].moves)
        assert held.issuperset(groups[place].moves)
    gone = {base for place in done for base in groups[place].bases}
    for digest in needed - gone:
        assert after[digest] not in gone
        assert depth(after, digest) <= depth(before, digest)


def test_the_heir_is_the_middle_one_and_takes_the_place() -> None:
    key, low, one, two, three, child = DIGESTS[:6]
    found = [
        ObjectName(low, None, 200),
        ObjectName(key, low, 200),
        *(ObjectName(digest, key, 200) for digest in (one, two, three)),
        ObjectName(child, three, 200),
    ]
    graph = ObjectGraph(found)
    (group,) = regroup(graph, {key}, {name.digest for name in found}, {low: 0, two: 1, one: 2, three: 3, child: 4})
    assert group.bases == [key]
    assert group.moves == {two: one, one: low, three: one}


def test_bases_on_bases_go_together() -> None:
    top, middle, one, two = DIGESTS[:4]
    found = [
        ObjectName(top, None, 200),
        ObjectName(middle, top, 200),
        ObjectName(one, middle, 200),
        ObjectName(two, middle, 200),
    ]
    (group,) = regroup(ObjectGraph(found), {top, middle}, set(DIGESTS[:4]), {one: 1, two: 2})
    assert sorted(group.bases) == sorted([top, middle])
    assert group.moves == {one: two, two: None}


def test_a_base_that_nobody_leans_on_is_left_to_the_sweep() -> None:
    found = [ObjectName(DIGESTS[0], None, 200)]
    assert regroup(ObjectGraph(found), {DIGESTS[0]}, {DIGESTS[0]}, {}) == []
