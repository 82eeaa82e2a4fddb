"""Stamps sort in the order of events, also where a clock was set back."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.errors import BadManifest
from casvault.manifest.stamp import Stamp, from_iso, iso_of_ns, to_iso

NOW = datetime(2026, 11, 24, 3, 15, 0, 123_999, tzinfo=timezone.utc)


def test_form() -> None:
    made = Stamp.new(now=NOW)
    assert made[:21] == "20261124T031500.123Z-"
    assert len(made) == 27
    assert Stamp.valid(made)
    assert Stamp.time(made) == datetime(2026, 11, 24, 3, 15, 0, 123_000, tzinfo=timezone.utc)
    assert Stamp.new(now=NOW)[:21] == made[:21]
    assert len({Stamp.new(now=NOW) for _ in range(50)}) > 45


def test_it_is_of_now() -> None:
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)
    assert before <= Stamp.time(Stamp.new()) <= datetime.now(timezone.utc)


def test_bumping() -> None:
    newest = "20261124T031500.123Z-ffffff"
    assert Stamp.new(newest, NOW)[:21] == "20261124T031500.124Z-"
    assert Stamp.new("20251124T031500.123Z-ffffff", NOW)[:21] == "20261124T031500.123Z-"


def test_a_clock_that_was_set_back() -> None:
    newest = Stamp.new(now=NOW)
    made = [newest]
    for _ in range(20):
        made.append(Stamp.new(made[-1], NOW - timedelta(days=400)))
    assert made == sorted(set(made))


def test_bumping_past_a_second_a_day_and_a_year() -> None:
    assert Stamp.new("20261231T235959.999Z-ffffff", NOW)[:21] == "20270101T000000.000Z-"


@given(st.lists(st.datetimes(datetime(1971, 1, 1), datetime(9990, 1, 1)), min_size=2, max_size=20))
def test_order_is_that_of_making(moments: list[datetime]) -> None:
    newest = None
    made = []
    for moment in moments:
        newest = Stamp.new(newest, moment.replace(tzinfo=timezone.utc))
        made.append(newest)
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(Stamp.valid(one) for one in made)


def test_after_the_end_of_time() -> None:
    for newest in ("99991231T235959.999Z-000000", "99999999T999999.999Z-000000"):
        assert not Stamp.shaped(newest)
        with pytest.raises(BadManifest, match="end of time"):
            Stamp.new(newest)


@pytest.mark.parametrize(
    "text", ["20269999T000000.000Z-000000", "00000101T000000.000Z-000000", "20261124T246000.000Z-0"]
)
def test_what_is_no_time_has_not_the_form_of_one(text: str) -> None:
    assert not Stamp.shaped(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20261124T031500.123Z",
        "20261124T031500.123Z-1F3C9A",
        "20261124t031500.123Z-1f3c9a",
        None,
        5,
        "20261324T031500.123Z-1f3c9a",
        "20260230T031500.123Z-1f3c9a",
        "20261124T251500.123Z-1f3c9a",
        "20261124T031500.123Z-1f3c9a\n",
        " 20261124T031500.123Z-1f3c9a",
        "20261124T031500.123Z-1f3c9ab",
        "00001124T031500.123Z-1f3c9a",
        "\u0662\u0660261124T031500.123Z-1f3c9a",
        "20261124T031500,123Z-1f3c9a",
        "../../20261124T031500.123Z-1f3c9a",
        b"20261124T031500.123Z-1f3c9a",
    ],
)
def test_what_is_no_stamp(text: object) -> None:
    assert not Stamp.valid(text)


def test_times_in_documents() -> None:
    assert to_iso(NOW) == "2026-11-24T03:15:00.123Z"
    assert from_iso("2026-11-24T03:15:00.123Z") == NOW.replace(microsecond=123_000)
    assert to_iso(NOW.astimezone(timezone(timedelta(hours=9)))) == "2026-11-24T03:15:00.123Z"
    assert from_iso("2026-11-24T05:15:00.123+02:00") == NOW.replace(microsecond=123_000)
    assert from_iso("2026-11-24T05:15:00.123+02:00").tzinfo is timezone.utc
    for text in ("", "now", "2026-11-24T03:15:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        with pytest.raises(ValueError, match=r"."):
            from_iso(text)


def test_times_of_files() -> None:
    assert iso_of_ns(None) is None
    assert iso_of_ns(1_764_000_000_250_000_000) == "2025-11-24T16:00:00.250Z"
    assert iso_of_ns(0) == "1970-01-01T00:00:00.000Z"
    for beyond in (10**30, -(10**30)):
        assert iso_of_ns(beyond) is None
