"""After which saves a snapshot is due."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

import pytest

from casvault.errors import UsageError
from casvault.vault.head import Head
from casvault.watch import Rhythm
from tests.support.vaults import make_head

SAVED = datetime(2026, 11, 24, 3, 12, tzinfo=timezone.utc)


def last(iteration: int | None = 1000) -> Head:
    return make_head(iteration=iteration, saved_at="2026-11-24T03:12:00.000Z", created="2026-11-24T03:15:00.000Z")


def test_the_first_save_is_due_whatever_the_rhythm() -> None:
    assert Rhythm(5, 1000, 60).due(1, 1, None)
    assert Rhythm(5, 1000, 60).left(None) == 0


def test_every_so_many_saves() -> None:
    assert [Rhythm(3).due(saves, 2000, last()) for saves in (1, 2, 3, 4)] == [False, False, True, True]
    assert Rhythm().due(1, 1000, last())


@pytest.mark.parametrize(
    ("iteration", "due"),
    # Where it fell, another run has begun; where it is not known, it cannot be waited for.
    [(1000, False), (1499, False), (1500, True), (9000, True), (999, True), (0, True), (None, True)],
)
def test_so_many_iterations_later(iteration: int | None, due: bool) -> None:
    assert Rhythm(iterations=500).due(1, iteration, last()) is due
    assert Rhythm(iterations=500).due(1, iteration, last(None))


def test_so_many_minutes_after_the_save_of_the_last_one() -> None:
    rhythm = Rhythm(minutes=10)
    for passed, left in ((0, 600), (7.5, 150), (10, 0), (500, 0), (-5000, 600)):
        now = SAVED + timedelta(minutes=passed)
        assert rhythm.left(last(), now) == left
        assert rhythm.due(1, 2000, last(), now) is (left == 0)
    assert Rhythm().left(last(), SAVED) == 0


def test_all_that_is_told_must_hold() -> None:
    rhythm = Rhythm(2, 500, 10)
    soon, late = SAVED + timedelta(minutes=1), SAVED + timedelta(minutes=11)
    assert rhythm.due(2, 1500, last(), late)
    assert not rhythm.due(1, 1500, last(), late)
    assert not rhythm.due(2, 1400, last(), late)
    assert not rhythm.due(2, 1500, last(), soon)


@pytest.mark.parametrize(
    "rhythm", [Rhythm(0), Rhythm(1, -1), Rhythm(1, 0, -1), Rhythm(1, 0, math.nan), Rhythm(1, 0, math.inf)]
)
def test_what_makes_no_sense(rhythm: Rhythm) -> None:
    with pytest.raises(UsageError, match="rhythm"):
        rhythm.checked()


def test_only_the_usual_one_takes_all() -> None:
    assert Rhythm().checked().takes_all
    assert not any(rhythm.takes_all for rhythm in (Rhythm(2), Rhythm(iterations=1), Rhythm(minutes=1)))
