"""Rules of retention: what each keeps, and what holds for all of them whatever the snapshots are."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.errors import UsageError
from casvault.manifest.stamp import to_iso
from casvault.prune import Rules
from casvault.vault.head import Head
from tests.support.vaults import make_head, stamp

START = datetime(2026, 11, 24, 10, 0, tzinfo=timezone.utc)
BROKEN: dict[str, Any] = {"incomplete": True}
ILL: dict[str, Any] = {"health": {"state": "collapsed", "findings": ["a loss is not finite"]}}


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    if hasattr(time, "tzset"):
        time.tzset()
    yield
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()


def head(number: int, minutes: float = 0.0, loss: float | None = 0.2, **more: Any) -> Head:
    """Return the snapshot ``number``, saved so many minutes after START; its iteration is 100 times its number."""
    saved = START + timedelta(minutes=minutes or number)
    values: dict[str, Any] = {
        "kind": "scheduled",
        "saved_at": to_iso(saved),
        "created": to_iso(saved),
        "iteration": number * 100,
        "loss": {"src": loss, "dst": loss},
    }
    return make_head(stamp(number), **{**values, **more})


def numbers(heads: Sequence[Head], kept: dict[str, list[str]]) -> list[int]:
    """Return the numbers of the snapshots that stay."""
    return [place for place, one in enumerate(heads) if one.id in kept]


# One rule at a time


def test_last_keeps_the_newest() -> None:
    heads = [head(number) for number in range(5)]
    assert numbers(heads, Rules(last=2).kept(heads)) == [3, 4]
    assert numbers(heads, Rules(last=9).kept(heads)) == [0, 1, 2, 3, 4]


def test_what_is_broken_takes_no_place_among_the_last() -> None:
    heads = [head(0), head(1), head(2), head(3, **BROKEN), head(4, **ILL)]
    assert numbers(heads, Rules(last=1).kept(heads)) == [2, 4]
    assert numbers(heads, Rules(last=2).kept(heads)) == [1, 2, 3, 4]


def test_the_newest_is_told_by_when_it_was_saved() -> None:
    heads = [head(0, 500), head(1, 30), head(2, 20)]
    assert numbers(heads, Rules(last=1).kept(heads)) == [0]


def test_a_save_cannot_be_newer_than_its_snapshot() -> None:
    ahead = head(0, saved_at="2107-01-01T00:00:00.000Z")
    heads = [ahead, head(1), head(2)]
    assert numbers(heads, Rules(last=1).kept(heads)) == [2]
    assert numbers(heads, Rules(within=timedelta(hours=1)).kept(heads)) == [0, 1, 2]


def test_without_a_time_of_saving_it_is_when_it_was_taken() -> None:
    heads = [head(0, saved_at=None), head(1)]
    assert numbers(heads, Rules(last=1).kept(heads)) == [1]


@pytest.mark.parametrize(
    ("rules", "hours", "expected"),
    [
        # From 10:00 on a Tuesday, seven snapshots so many hours apart.
        (Rules(hourly=2), 1 / 3, [5, 6]),
        (Rules(hourly=9), 1 / 3, [2, 5, 6]),
        (Rules(daily=2), 7, [5, 6]),
        (Rules(daily=9), 7, [1, 5, 6]),
        (Rules(weekly=2), 72, [4, 6]),
        (Rules(weekly=9), 72, [1, 4, 6]),
    ],
)
def test_the_newest_of_each_of_the_last(rules: Rules, hours: float, expected: list[int]) -> None:
    heads = [head(number, 0.01 + number * hours * 60) for number in range(7)]
    assert numbers(heads, rules.kept(heads)) == expected


def test_days_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(time, "tzset"):
        pytest.skip("the time zone cannot be set here")
    # 22:30 and 23:30 in UTC: one day there, two in a zone that is an hour ahead.
    heads = [head(0, 12.5 * 60), head(1, 13.5 * 60)]
    assert numbers(heads, Rules(daily=2).kept(heads)) == [1]
    monkeypatch.setenv("TZ", "XXX-1")
    time.tzset()
    assert numbers(heads, Rules(daily=2).kept(heads)) == [0, 1]


def test_hours_without_snapshots_do_not_count() -> None:
    heads = [head(0), head(1, 24 * 60), head(2, 99 * 60), head(3, 99 * 60 + 5)]
    assert numbers(heads, Rules(hourly=3).kept(heads)) == [0, 1, 3]


def test_best_keeps_the_lowest_mean_loss() -> None:
    heads = [head(number, loss=loss) for number, loss in enumerate([0.5, 0.3, 0.4, 0.2, 0.9])]
    assert numbers(heads, Rules(best=2).kept(heads)) == [1, 3]


def test_best_keeps_the_older_of_equals() -> None:
    heads = [head(number, loss=0.1) for number in range(4)]
    assert numbers(heads, Rules(best=2).kept(heads)) == [0, 1]


def test_best_keeps_nothing_broken() -> None:
    heads = [head(0, loss=0.1, **BROKEN), head(1, loss=0.1, **ILL), head(2, loss=0.9)]
    assert numbers(heads, Rules(best=1).kept(heads)) == [2]


@pytest.mark.parametrize("loss", [None, {}, {"src": None, "dst": 0.1}, {"src": math.nan}])
def test_best_keeps_what_it_cannot_judge(loss: Any) -> None:
    unknown = make_head(stamp(0), kind="scheduled", loss=loss)
    assert numbers([unknown], Rules(best=1).kept([unknown])) == [0]
    heads = [unknown, head(1, loss=0.3), head(2, loss=0.4)]
    assert numbers(heads, Rules(best=1).kept(heads)) == [0, 1]


def test_every_keeps_the_first_at_or_after_each_multiple() -> None:
    iterations = [90, 100, 150, 210, 290, 300, 450]
    heads = [head(number, iteration=iteration) for number, iteration in enumerate(iterations)]
    assert numbers(heads, Rules(every_iterations=100).kept(heads)) == [0, 1, 3, 5, 6]


def test_log_keeps_the_first_at_or_after_each_power_of_two() -> None:
    iterations = [0, 1, 2, 3, 5, 6, 8, 15, 100, 120, 128]
    heads = [head(number, iteration=iteration) for number, iteration in enumerate(iterations)]
    assert numbers(heads, Rules(log=True).kept(heads)) == [0, 1, 2, 4, 6, 8, 10]


@pytest.mark.parametrize("rules", [Rules(every_iterations=100), Rules(log=True)])
def test_rules_by_iteration_prefer_what_is_sound_and_keep_what_they_cannot_judge(rules: Rules) -> None:
    heads = [head(0, iteration=130, **BROKEN), head(1, iteration=140), head(2, iteration=None), head(3, iteration=150)]
    assert numbers(heads, rules.kept(heads)) == [1, 2]
    broken = [head(0, iteration=130, **BROKEN), head(1, iteration=140, **ILL)]
    assert numbers(broken, rules.kept(broken)) == [0]


def test_what_was_given_up_takes_no_place_of_what_was_trained_after_the_restore() -> None:
    before = [head(number, iteration=iteration) for number, iteration in enumerate([100, 190, 205])]
    after = [
        head(3, iteration=110, restored_from=stamp(0)),
        head(4, iteration=160),
        head(5, iteration=220),
        head(6, iteration=260),
    ]
    heads = before + after
    lines = {one.id: int(place >= 3) for place, one in enumerate(heads)}
    assert numbers(heads, Rules(every_iterations=100).kept(heads, lines)) == [0, 2, 3, 5]
    assert numbers(heads, Rules(every_iterations=100).kept(heads)) == [0, 2, 3]


def test_within_is_measured_from_the_newest() -> None:
    heads = [head(0, 1), head(1, 60), head(2, 119), head(3, 120)]
    assert numbers(heads, Rules(within=timedelta(hours=1)).kept(heads)) == [1, 2, 3]
    assert numbers(heads, Rules(within=timedelta()).kept(heads)) == [3]
    assert numbers(heads, Rules(within=timedelta.max).kept(heads)) == [0, 1, 2, 3]


def test_reasons_are_told_each_once() -> None:
    heads = [head(0, loss=0.1), head(1)]
    kept = Rules(last=1, best=1, daily=1, every_iterations=1000, within=timedelta(0)).kept(heads)
    assert kept == {stamp(1): ["last", "daily", "within"], stamp(0): ["best", "every"]}


def test_no_rule_keeps_nothing() -> None:
    heads = [head(0), head(1)]
    assert Rules().kept(heads) == {}
    assert not Rules(max_bytes=5).keeps
    assert Rules(within=timedelta()).keeps
    assert Rules(last=1, best=2, log=True).kept([]) == {}


@pytest.mark.parametrize(
    "wrong",
    [{"last": -1}, {"best": -1}, {"every_iterations": -5}, {"max_bytes": -1}, {"within": timedelta(-1)}],
)
def test_less_than_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        Rules(**wrong)


@pytest.mark.parametrize("saved", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
@pytest.mark.parametrize("zone", ["XXX-14", "XXX12", "UTC"])
def test_times_at_the_ends_of_the_calendar(monkeypatch: pytest.MonkeyPatch, saved: str, zone: str) -> None:
    if hasattr(time, "tzset"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
    heads = [head(0, saved_at=saved, created=saved), head(1)]
    kept = Rules(last=1, hourly=5, daily=5, weekly=5, within=timedelta(days=999_999)).kept(heads)
    assert len(kept) >= 1


# What holds for all

counts = st.sampled_from([0, 0, 0, 1, 2, 3, 7])
some_rules = st.builds(
    Rules,
    last=counts,
    every_iterations=st.sampled_from([0, 0, 1, 100, 250, 1000]),
    hourly=counts,
    daily=counts,
    weekly=counts,
    best=counts,
    log=st.booleans(),
    within=st.none() | st.builds(timedelta, hours=st.integers(0, 100)),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Head]:
    """Snapshots of one run as a training with restores leaves them, oldest first."""
    heads, iteration, minutes = [], 0, 0
    for number in range(draw(st.integers(0, 25))):
        restored = draw(st.integers(0, 9)) == 0 and number > 0
        iteration = iteration // 2 if restored else iteration + draw(st.sampled_from([1, 40, 100, 333]))
        minutes += draw(st.sampled_from([1, 25, 70, 1500, 9000]))
        heads.append(
            head(
                number,
                minutes,
                draw(st.sampled_from([0.1, 0.2, 0.3, 0.3, None])),
                iteration=draw(st.sampled_from([iteration] * 5 + [None])),
                incomplete=draw(st.integers(0, 6)) == 0,
                restored_from=stamp(0) if restored else None,
            )
        )
    return heads


def lines_of(heads: Sequence[Head]) -> dict[str, int]:
    found, restores = {}, 0
    for one in heads:
        restores += one.document["restored_from"] is not None
        found[one.id] = restores
    return found


def ids(rules: Rules, heads: Sequence[Head]) -> set[str]:
    return set(rules.kept(heads, lines_of(heads)))


@given(histories(), some_rules)
def test_asking_twice_gives_the_same_answer(heads: list[Head], rules: Rules) -> None:
    kept = ids(rules, heads)
    assert rules.kept(heads, lines_of(heads)) == rules.kept(heads[::-1], lines_of(heads))
    assert ids(rules, [one for one in heads if one.id in kept]) == kept


@given(histories(), some_rules, some_rules)
def test_more_rules_keep_more(heads: list[Head], one: Rules, other: Rules) -> None:
    both = Rules(
        one.last or other.last,
        one.every_iterations or other.every_iterations,
        one.hourly or other.hourly,
        one.daily or other.daily,
        one.weekly or other.weekly,
        one.best or other.best,
        one.log or other.log,
        one.within if one.within is not None else other.within,
    )
    assert ids(one, heads) <= ids(both, heads)


@given(histories(), some_rules)
def test_what_is_kept_is_what_each_rule_keeps_by_itself(heads: list[Head], rules: Rules) -> None:
    alone = [
        Rules(last=rules.last),
        Rules(every_iterations=rules.every_iterations),
        Rules(hourly=rules.hourly),
        Rules(daily=rules.daily),
        Rules(weekly=rules.weekly),
        Rules(best=rules.best),
        Rules(log=rules.log),
        Rules(within=rules.within),
    ]
    assert ids(rules, heads) == set().union(*(ids(rule, heads) for rule in alone))


@given(histories(), some_rules, st.integers(0, 25))
def test_pruning_in_between_changes_nothing(heads: list[Head], rules: Rules, cut: int) -> None:
    early = ids(rules, heads[:cut])
    left = [one for one in heads[:cut] if one.id in early] + heads[cut:]
    assert ids(rules, left) == ids(rules, heads)


# Sixty days of a save every 25 minutes


def test_sixty_days_pruned_again_and_again() -> None:
    saves = 60 * 24 * 60 // 25
    rules = Rules(last=10, hourly=24, daily=14, weekly=8, best=5, every_iterations=100_000)
    losses = [0.2 + 1.8 / (1 + number / 300) + 0.05 * math.sin(number * 1.7) for number in range(saves)]
    losses[700], losses[701] = 0.01, 0.02
    every = [
        head(number, 1 + number * 25, loss=losses[number], iteration=1 + number * 500, **(ILL if number == 900 else {}))
        for number in range(saves)
    ]
    there: list[Head] = []
    most = 0
    for number, one in enumerate(every):
        there.append(one)
        if number % 16 == 0 or number == saves - 1:
            kept = rules.kept(there)
            there = [old for old in there if old.id in kept]
            most = max(most, len(there))
    left = {one.id for one in there}
    assert left == set(rules.kept(every))

    times = [one.moment for one in every]
    wanted = set(range(saves - 10, saves))
    for form, count in (("%Y-%m-%d %H", 24), ("%Y-%m-%d", 14), ("%G-%V", 8)):
        newest = {time.strftime(form): number for number, time in enumerate(times)}
        wanted.update(sorted(newest.values())[-count:])
    wanted.update(sorted(range(saves), key=lambda number: losses[number])[:5])
    wanted.update(-(-(multiple * 100_000 - 1) // 500) for multiple in range(1, saves * 500 // 100_000 + 1))
    wanted.add(0)
    assert left == {every[number].id for number in wanted}
    assert {every[700].id, every[701].id} <= left
    assert len(left) == 66
    assert most <= 10 + 24 + 14 + 8 + 5 + 18
