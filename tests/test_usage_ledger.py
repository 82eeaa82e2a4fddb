"""The ledger: what deleting any set would free, against counting it anew from names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from casvault.objects import ObjectGraph, ObjectName
from casvault.usage.holdings import Holding, Holdings
from casvault.usage.ledger import Ledger
from tests.support.vaults import make_head, stamp

DIGESTS = [f"{number:064x}" for number in range(10)]

chunks = st.sets(st.sampled_from(DIGESTS), max_size=5)


@st.composite
def objects(draw: st.DrawFn) -> list[ObjectName]:
    """Draw one object for each digest, which leans on an earlier one or on none."""
    made = []
    for place, digest in enumerate(DIGESTS):
        base = draw(st.none() | st.sampled_from(DIGESTS[:place])) if place else None
        made.append(ObjectName(digest, base, draw(st.integers(97, 500))))
    return made


def holdings(held: list[set[str]], pending: set[str]) -> Holdings:
    made = [
        Holding(make_head(stamp(place)), dict.fromkeys(sorted(digests), 1000), 1000 * len(digests))
        for place, digests in enumerate(held)
    ]
    return Holdings(tuple(made), frozenset(pending), (), {})


def needed_bytes(found: list[ObjectName], held: list[set[str]], pending: set[str]) -> int:
    """Return the bytes of all objects that these need, by going down one step after another."""
    by_digest = {name.digest: name for name in found}
    needed = pending.union(*held)
    for _ in DIGESTS:
        needed |= {base for digest in needed if (base := by_digest[digest].base) is not None}
    return sum(by_digest[digest].size for digest in needed)


@given(objects(), st.lists(chunks, min_size=1, max_size=6), chunks, st.data())
def test_what_a_set_frees_is_what_the_others_do_not_need(
    found: list[ObjectName], held: list[set[str]], pending: set[str], data: st.DataObject
) -> None:
    ledger = Ledger(holdings(held, pending), ObjectGraph(found))
    gone = data.draw(st.sets(st.sampled_from(range(len(held)))))
    left = [digests for place, digests in enumerate(held) if place not in gone]
    total, rest = needed_bytes(found, held, pending), needed_bytes(found, left, pending)
    assert ledger.stored_in_all() == total
    assert ledger.frees(stamp(place) for place in gone) == total - rest
    assert ledger.stored(stamp(place) for place in gone) == needed_bytes(found, [held[place] for place in gone], set())
    assert sum(ledger.remove(stamp(place)) for place in gone) == total - rest
    assert ledger.stored_in_all() == rest
    bases = ledger.only_leaned_on()
    assert bases == ledger.needed() - pending.union(*left)


@given(objects(), st.lists(chunks, min_size=1, max_size=6))
def test_what_the_first_so_many_take(found: list[ObjectName], held: list[set[str]]) -> None:
    ledger = Ledger(holdings(held, set()), ObjectGraph(found))
    wanted = [needed_bytes(found, held[: place + 1], set()) for place in range(len(held))]
    assert list(ledger.stored_up_to()) == wanted


def test_all_encodings_count_where_none_can_be_decoded() -> None:
    one, two, three = DIGESTS[:3]
    stranded = [ObjectName(one, two, 100), ObjectName(one, three, 200)]
    ledger = Ledger(holdings([{one}], set()), ObjectGraph(stranded))
    assert ledger.stored_in_all() == 300
    assert ledger.frees([stamp(0)]) == 300
