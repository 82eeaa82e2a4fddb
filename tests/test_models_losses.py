"""What of a run's losses is suspect."""

from __future__ import annotations

import math
import pickle
import random
from array import array

import pytest

from casvault.files.source import MemorySource
from casvault.formats import FloatRows
from casvault.models.data_dat import read_state
from casvault.models.losses import told
from tests.support.format_files import data_dat


def rows(*columns: list[float]) -> FloatRows:
    return FloatRows(len(columns), array("d", [value for row in zip(*columns, strict=True) for value in row]))


def noisy(level: float, count: int) -> list[float]:
    made = random.Random(f"{level} {count}")
    return [level * made.gauss(1, 0.1) for _ in range(count)]


@pytest.mark.parametrize("tail", [20, 60, 100, 150, 260, 1234])
def test_a_jump_is_told_with_its_place(tail: int) -> None:
    best, doubts = told(rows([0.21] * 1000 + [3.4] * tail, [0.2] * (1000 + tail)), 1000 + tail)
    assert best == pytest.approx({"src": 0.21, "dst": 0.2})
    (doubt,) = doubts
    now = 3.4 if tail >= 100 else 0.21 + (3.4 - 0.21) * tail / 100
    assert doubt == f"src loss jumped 0.21 -> {now:.3g} after iteration 1,000"


def test_a_jump_among_noise_is_placed_nearly() -> None:
    _, (doubt,) = told(rows(noisy(0.21, 5000) + noisy(3.4, 130)), 8130)
    assert doubt.startswith("loss jumped 0.2")
    assert abs(int(doubt.rpartition(" ")[2].replace(",", "")) - 8000) <= 5


def test_the_place_is_counted_in_rows_where_the_iteration_is_not_known() -> None:
    assert told(rows([1.0] * 300 + [9.0] * 100), None)[1] == ("loss jumped 1 -> 9 after iteration 300",)


def test_it_is_the_best_mean_that_counts_and_not_the_last() -> None:
    # A rise of a third each hundred rows is no jump from one to the next.
    values = [level for step in range(4) for level in [1.35**step] * 100]
    best, doubts = told(rows(values), 400)
    assert best == {"loss": 1.0}
    assert doubts == ("loss jumped 1 -> 2.46 after iteration 300",)


@pytest.mark.parametrize(
    "values",
    [
        noisy(0.2, 2000),
        [0.2] * 1000 + [0.4] * 100,
        [3.4] * 1000 + [0.2] * 500,
        [0.2] * 99 + [3.4] * 100,
        [0.2] * 1000 + [3.4] * 300 + [0.2] * 100,
        [0.2] * 1000 + [90.0] * 1 + [0.2] * 150,
        [0.5],
        [math.nan] * 500 + [0.5] * 200,
        [0.0] * 100 + [0.5] * 100,
        [-1.0] * 100 + [0.5] * 100,
    ],
)
def test_what_is_no_jump(values: list[float]) -> None:
    assert told(rows(values), len(values))[1] == ()


def test_what_is_not_finite_is_no_best() -> None:
    assert told(rows([math.inf] * 300 + [1.0] * 200), 500)[0] == {"loss": 1.0}
    assert told(rows([math.nan] * 300 + [1.0] * 100), 400) == (None, ())
    # The mean itself is told as a problem where it is not finite.
    assert told(rows([1.0] * 300 + [math.inf] * 100), 400)[1] == ()


def test_a_loss_that_is_exactly_zero() -> None:
    assert told(rows([0.2] * 200 + [0.0] * 100), 300)[1] == ("loss is exactly 0 over the last 100 iterations",)
    assert told(rows([0.0] * 7, [0.1] * 7), 7)[1] == ("src loss is exactly 0 over the last 7 iterations",)
    assert told(rows([0.2] * 200 + [0.0] * 99 + [1e-9]), 300)[1] == ()


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_data_dat_of_the_trainer(protocol: int) -> None:
    data = data_dat([[0.21, 0.3]] * 1000 + [[3.4, 0.3]] * 100, protocol)
    state = read_state(MemorySource(data))
    assert state.loss_best == pytest.approx({"src": 0.21, "dst": 0.3})
    assert state.doubts == ("src loss jumped 0.21 -> 3.4 after iteration 1,000",)
    assert state.problems == ()


def test_an_xseg_has_one_loss() -> None:
    data = pickle.dumps({"iter": 400, "options": {}, "loss_history": [[0.01]] * 300 + [[0.5]] * 100}, 4)
    assert read_state(MemorySource(data)).doubts == ("loss jumped 0.01 -> 0.5 after iteration 300",)
