"""Curves of losses: few points, and nothing missed."""

from __future__ import annotations

import math
import random
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casvault.formats import FloatRows
from casvault.models.curves import curves, mean_at

finite = st.floats(-1e9, 1e9, allow_nan=False)


def rows(*columns: list[float]) -> FloatRows:
    return FloatRows(len(columns), array("d", [value for row in zip(*columns, strict=True) for value in row]))


def test_a_short_history_is_drawn_row_by_row() -> None:
    ends, (src, dst) = curves(rows([1.0, 2.0, 3.0], [6.0, 5.0, 4.0]), 0, 3, 10, 2)
    assert ends == (0, 1, 2)
    assert (src.name, dst.name) == ("src", "dst")
    assert src.low == src.high == (1.0, 2.0, 3.0)
    assert src.mean == (1.0, 1.5, 2.5)
    assert dst.mean == (6.0, 5.5, 4.5)


def test_a_spike_of_one_iteration_among_a_hundred_thousand_shows() -> None:
    values = [0.2] * 100_000
    values[77_777] = 9.0
    values[33_333] = 0.001
    ends, (loss,) = curves(rows(values), 0, len(values), 500, 100)
    assert len(ends) == len(loss.low) == 500
    assert ends[-1] == 99_999
    assert max(value for value in loss.high if value is not None) == 9.0
    assert min(value for value in loss.low if value is not None) == 0.001
    assert loss.mean[0] == pytest.approx(0.2)


def test_a_mean_is_over_the_whole_point_where_that_is_wider() -> None:
    values = [float(number) for number in range(1000)]
    _, (loss,) = curves(rows(values), 0, 1000, 2, 10)
    assert loss.mean == (sum(range(500)) / 500, sum(range(500, 1000)) / 500)


def test_a_mean_near_the_left_edge_of_what_is_shown_knows_what_came_before() -> None:
    values = [10.0] * 50 + [1.0] * 50
    _, (loss,) = curves(rows(values), 50, 100, 100, 50)
    assert loss.mean[0] == pytest.approx((49 * 10 + 1) / 50)
    assert loss.mean[-1] == 1.0
    assert loss.low[0] == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_leaves_a_gap_and_hides_nothing_else(bad: float) -> None:
    _, (loss,) = curves(rows([1.0, bad, 3.0, 4.0, 5.0, 6.0]), 0, 6, 3, 1)
    assert loss.low == (1.0, 3.0, 5.0)
    assert loss.high == (1.0, 4.0, 6.0)
    assert loss.mean == (None, 3.5, 5.5)
    _, (loss,) = curves(rows([bad, bad]), 0, 2, 2, 1)
    assert loss.low == loss.high == loss.mean == (None, None)


def test_nothing_to_draw() -> None:
    assert curves(rows([1.0, 2.0]), 2, 2, 10, 100)[0] == ()


def test_a_mean_is_the_one_that_snapshots_have() -> None:
    made = random.Random(1)
    values = [made.random() for _ in range(350)]
    found = mean_at(rows(values, values[::-1]), 300, 100)
    assert found == {"src": sum(values[200:300]) / 100, "dst": sum(values[::-1][200:300]) / 100}


@settings(max_examples=150, deadline=None)
@given(st.lists(finite, min_size=1, max_size=60), st.integers(1, 70), st.integers(1, 80), st.data())
def test_no_extreme_is_ever_missed(values: list[float], points: int, window: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values) - 1))
    stop = data.draw(st.integers(start + 1, len(values)))
    ends, (loss,) = curves(rows(values), start, stop, points, window)
    assert len(ends) == min(points, stop - start) == len(loss.low) == len(loss.high) == len(loss.mean)
    assert ends[-1] == stop - 1
    assert list(ends) == sorted(set(ends))
    assert min(value for value in loss.low if value is not None) == min(values[start:stop])
    assert max(value for value in loss.high if value is not None) == max(values[start:stop])
