"""Figures as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from casvault.figures import age, clock, duration, iteration, loss, size

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (8.2, "8 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (5_900, "98 min"),
        (6_000, "1 h 40 min"),
        (7_500, "2 h 5 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_date_is_told_only_where_it_is_not_todays() -> None:
    noon = datetime.now().astimezone().replace(hour=12, minute=5)
    assert clock(noon, noon) == "12:05"
    assert clock(noon - timedelta(days=1), noon) == f"{noon - timedelta(days=1):%Y-%m-%d} 12:05"


def test_terminals_and_the_panel_say_the_same() -> None:
    from casvault.cli import text

    assert (text.size, text.age, text.clock, text.iteration) == (size, age, clock, iteration)
    assert text.losses({"src": 0.25, "dst": None}) == f"src {loss(0.25)} dst {loss(None)}" == "src 0.2500 dst ?"
    assert age(NOW - timedelta(hours=2), NOW) == "2 hours ago"
