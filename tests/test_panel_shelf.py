"""The list of snapshots: what is found, in which order, and a page at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from casvault.api import Head
from casvault.panel.pages.card import card_of
from casvault.panel.pages.shelf import PAGE, Query, choices, shelf
from tests.support.vaults import make_head, stamp

NOW = datetime(2026, 11, 24, 5, 12, tzinfo=timezone.utc)


def _head(number: int, model: str = "new_SAEHD", name: str | None = None, **changes: Any) -> Head:
    label = {key: changes.pop(key) for key in ("notes", "tags", "pinned", "thinned", "deleted") if key in changes}
    made = make_head(stamp(number), name, model_name=model, model_type=model.rpartition("_")[2], **changes)
    return replace(made, label=replace(made.label, **label))


def _ids(heads: list[Head], **query: str) -> list[str]:
    return [card.tail for group in shelf(heads, Query.of(query), NOW).groups for card in group.cards]


def test_models_by_their_newest_snapshot_and_snapshots_newest_first() -> None:
    heads = [_head(1, "a_SAEHD"), _head(2, "b_AMP"), _head(3, "a_SAEHD"), _head(4, "b_AMP"), _head(5, "a_SAEHD")]
    found = shelf(heads, Query(), NOW)
    assert [(group.model, [int(card.tail, 16) for card in group.cards]) for group in found.groups] == [
        ("a_SAEHD", [5, 3, 1]),
        ("b_AMP", [4, 2]),
    ]
    assert found.groups[1].told == "AMP · 2 snapshots · 22 B · workspace/model"


def test_pages_come_one_after_another_and_a_heading_once() -> None:
    heads = [_head(number, "a_SAEHD" if number % 4 else "b_AMP") for number in range(150)]
    seen: list[str] = []
    headings = []
    start = 0
    while True:
        found = shelf(heads, Query(start=start), NOW)
        seen += [card.id for group in found.groups for card in group.cards]
        headings += [group.model for group in found.groups if group.heading]
        if not found.more:
            break
        assert len(seen) == start + PAGE
        start = int(found.more.rpartition("start=")[2])
    assert sorted(seen) == [head.id for head in heads]
    assert headings == ["a_SAEHD", "b_AMP"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "GAN"}, [3]),
        ({"q": "eyes gan"}, [3]),
        ({"q": "#keep"}, []),
        ({"q": "keep"}, [2]),
        ({"q": "48,200"}, [5, 4, 3, 2, 1]),
        ({"q": "iter 77"}, [6]),
        ({"q": "xseg"}, [6]),
        ({"q": "20261101T000004"}, [4]),
        ({"q": "000003"}, [3]),
        ({"q": "82"}, []),
        ({"q": "nothing like that"}, []),
        ({"model": "XSeg_XSeg"}, [6]),
        ({"type": "XSeg"}, [6]),
        ({"show": "pinned"}, [1]),
        ({"show": "unhealthy"}, [4]),
        ({"show": "incomplete"}, [5]),
        ({"show": "thinned"}, [2]),
        ({"show": "scheduled"}, [3]),
        ({"show": "no such thing"}, [6, 5, 4, 3, 2, 1]),
        ({"count": "-1", "start": "x"}, [6, 5, 4, 3, 2, 1]),
        ({"start": "9" * 40}, []),
    ],
)
def test_what_is_found(query: dict[str, str], found: list[int]) -> None:
    heads = [
        _head(1, pinned=True),
        _head(2, tags=("keep",), thinned=("new_SAEHD_src_dst_opt.npy",)),
        _head(3, name="before GAN", notes="soft eyes", kind="scheduled"),
        _head(4, health={"state": "broken", "findings": ["decoder has NaN."]}),
        _head(5, incomplete=True),
        _head(6, "XSeg_XSeg", iteration=77),
    ]
    assert [int(tail, 16) for tail in _ids(heads, **query)] == found


def test_an_empty_list_says_why() -> None:
    assert shelf([], Query()).why == "There are no snapshots yet"
    assert shelf([], Query(show="deleted")).why == "Nothing was deleted"
    found = shelf([_head(1)], Query(q="else"))
    assert (found.why, found.filtered) == ("No snapshot fits", True)


def test_models_and_types_are_offered_only_where_there_are_several() -> None:
    assert [choice.name for choice in choices([_head(1), _head(2)], Query())] == ["show"]
    offered = choices([_head(1), _head(2, "b_AMP"), _head(3, "b_AMP")], Query())
    assert [choice.name for choice in offered] == ["model", "type", "show"]
    assert offered[0].options == (("", "All models"), ("b_AMP", "b_AMP (2)"), ("new_SAEHD", "new_SAEHD (1)"))


def test_a_card_says_everything() -> None:
    head = _head(
        16,
        pinned=True,
        tags=("keep",),
        notes="first line\n\nthe rest\n",
        incomplete=True,
        kind="auto-backup",
        health={"state": "suspect", "findings": ["src loss jumped.", "dst too."]},
        loss={"src": 0.21339, "dst": None},
    )
    card = card_of(head, NOW)
    assert (card.title, card.unnamed, card.tail) == ("Snapshot 000010", True, "000010")
    assert (card.iteration, card.losses) == ("Iter 48,200", (("src", "0.2134"), ("dst", "?")))
    assert (card.notes, card.rest) == ("first line", "the rest")
    marks = {mark.text: mark for mark in card.marks}
    assert list(marks) == ["Pinned", "Suspect", "Incomplete save", "Automatic backup", "#keep"]
    assert marks["Suspect"].told == "src loss jumped. dst too."
    assert card_of(_head(1, saved_at=None, created="2026-11-24T03:12:00.000Z"), NOW).age == "2 hours ago"


def test_long_notes_are_folded_and_whole_when_they_are_opened() -> None:
    card = card_of(_head(1, notes="x" * 10_000), NOW)
    assert card.notes == "x" * 300 + "…"
    assert card.rest == "x" * 10_000


def test_the_stamp_changes_with_what_is_shown_and_not_with_time() -> None:
    card = card_of(_head(1), NOW)
    assert card_of(_head(1), datetime(2027, 1, 1, tzinfo=timezone.utc)).stamp == card.stamp
    assert card_of(_head(1, pinned=True), NOW).stamp != card.stamp
    assert card_of(_head(1, name="other"), NOW).stamp != card.stamp
