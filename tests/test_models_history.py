"""The history of a training: curves in as many points as are asked for."""

from __future__ import annotations

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.models.history import LossHistory


def test_a_point_stands_for_its_own_iterations() -> None:
    history = LossHistory(("src", "dst"), 11, array("d", [1, 9, 2, 8, 3, 7, 4, 6, 5, 5]))
    told = history.to_json(points=2)
    assert (len(history), told["rows"], told["step"], told["iterations"]) == (5, 5, 3, [13, 15])
    assert told["mean"] == {"src": [2.0, 4.5], "dst": [8.0, 5.5]}
    assert told["low"] == {"src": [1.0, 4.0], "dst": [7.0, 5.0]}
    assert told["high"] == {"src": [3.0, 5.0], "dst": [9.0, 6.0]}
    assert told["smoothed"] == {"src": [2.0, 3.0], "dst": [8.0, 7.0]}


def test_what_is_not_finite_is_unknown_and_spoils_nothing_else() -> None:
    history = LossHistory(("loss",), 1, array("d", [1.0] * 200 + [math.nan, math.inf] + [2.0] * 200))
    told = history.to_json(points=402)
    assert told["mean"]["loss"][199:203] == [1.0, None, None, 2.0]
    assert told["smoothed"]["loss"][199] == 1.0
    assert told["smoothed"]["loss"][301] == pytest.approx(2.0)
    assert set(told["smoothed"]["loss"][200:301]) == {None}


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=300), st.integers(1, 50))
def test_no_more_points_than_asked_for(values: list[float], points: int) -> None:
    told = LossHistory(("loss",), 1, array("d", values)).to_json(points)
    assert len(told["iterations"]) <= points
    assert told["iterations"][-1] == len(values)
    assert min(told["low"]["loss"]) == min(values)
    assert max(told["high"]["loss"]) == max(values)
    assert told["smoothed"]["loss"][-1] == pytest.approx(sum(values[-100:]) / len(values[-100:]))
