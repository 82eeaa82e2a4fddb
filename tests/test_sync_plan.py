"""Planning: which objects travel and how, told by names alone; and how much at once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.objects import ObjectGraph, ObjectName
from casvault.progress import Progress
from casvault.sync import transfer
from casvault.sync.plan import plan_objects, portions_of
from casvault.sync.remote import Standing, Wanted


def digest(number: int) -> str:
    return f"{number:064x}"


def name(number: int, base: int | None = None, size: int = 100) -> ObjectName:
    return ObjectName(digest(number), None if base is None else digest(base), size)


CHAIN = [name(1), name(2, 1), name(3, 2)]


def test_bases_go_first_and_deltas_stay_deltas() -> None:
    assert plan_objects(CHAIN, [digest(3)], Standing({}), 2, None) == [Wanted(each) for each in CHAIN]


def test_what_is_there_is_not_sent() -> None:
    assert plan_objects(CHAIN, [digest(3)], Standing({digest(2): 1}), 2, None) == [Wanted(CHAIN[2])]
    assert plan_objects(CHAIN, [digest(3)], Standing({digest(3): 0}), 2, None) == []


def test_a_chain_that_would_grow_too_long_stands_alone() -> None:
    assert plan_objects(CHAIN, [digest(3)], Standing({digest(2): 2}), 2, None) == [Wanted(CHAIN[2], True)]
    # Its bases are then of no use.
    assert plan_objects(CHAIN, [digest(3)], Standing({}), 1, None) == [Wanted(CHAIN[2], True)]


def test_a_base_that_nobody_chose_is_not_sent() -> None:
    assert plan_objects(CHAIN, [digest(3)], Standing({}), 2, {digest(3)}) == [Wanted(CHAIN[2], True)]
    assert plan_objects(CHAIN, [digest(3)], Standing({digest(2): 0}), 2, set()) == [Wanted(CHAIN[2])]


def test_what_something_there_leans_on_stands_alone() -> None:
    found = plan_objects(CHAIN, [digest(3)], Standing({}, frozenset({digest(2)})), 2, None)
    assert found == [Wanted(CHAIN[1], True), Wanted(CHAIN[2])]


@given(
    st.lists(st.integers(-1, 11), min_size=12, max_size=12),
    st.sets(st.integers(0, 11)),
    st.sets(st.integers(0, 11)),
    st.integers(0, 3),
    st.one_of(st.none(), st.sets(st.integers(0, 11))),
)
def test_whatever_is_there_what_was_wanted_can_be_had_and_no_chain_is_longer(
    bases: list[int], there: set[int], wanted: set[int], max_depth: int, held: set[int] | None
) -> None:
    names = [name(number, base if 0 <= base < number else None) for number, base in enumerate(bases)]
    graph = ObjectGraph(names)
    ordered = sorted(names, key=lambda one: graph.depth(one.digest))
    # What is there stands alone there.
    standing = Standing({digest(number): 0 for number in there})
    chosen = None if held is None else {digest(number) for number in held | wanted}
    found = plan_objects(ordered, [digest(number) for number in wanted], standing, max_depth, chosen)
    arrived = [name(number) for number in there]
    for each in found:
        assert each.alone or each.name.base is None or each.name.base in {one.digest for one in arrived}
        arrived.append(each.name._replace(base=None) if each.alone else each.name)
    after = ObjectGraph(arrived)
    assert {digest(number) for number in wanted} <= after.chosen.keys()
    assert all(after.depth(one) <= max_depth for one in after.chosen)
    assert not {each.name.digest for each in found} & standing.depths.keys()


@given(st.lists(st.integers(97, 3000), max_size=30), st.integers(1, 4000))
def test_portions_have_all_in_order_and_are_no_larger_than_asked(sizes: list[int], limit: int) -> None:
    wanted = [Wanted(name(number, size=size)) for number, size in enumerate(sizes)]
    portions = list(portions_of(wanted, lambda: limit))
    assert [each for portion in portions for each in portion] == wanted
    assert all(len(portion) == 1 or sum(each.name.size for each in portion) <= limit for portion in portions)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(transfer, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    return now


def test_a_rate_is_kept(clock: list[float]) -> None:
    pace = transfer._Pace(1000, Progress())
    begun = clock[0]
    for _ in range(20):
        assert pace.portion <= 1000
        clock[0] += 0.1
        pace.wait(500)
    assert 20 * 500 / (clock[0] - begun) == pytest.approx(1000, rel=0.11)


def test_portions_are_what_the_link_can_take(clock: list[float]) -> None:
    pace = transfer._Pace(None, Progress())
    assert pace.portion == 1 << 20
    for _ in range(10):
        pace.wait(pace.portion)
    assert pace.portion == 16 << 20
    for _ in range(10):
        clock[0] += 5
        pace.wait(pace.portion)
    assert pace.portion == 1 << 20
