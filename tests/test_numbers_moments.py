"""Sums of squares, and how far numbers moved, against plain float64 arithmetic over all of them at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from casvault.formats import ITEM_SIZES
from casvault.numbers import moments
from casvault.numbers.moments import Moved, moved, squares_of

RANDOM = np.random.default_rng(5)


def numbers(dtype: str, count: int) -> tuple[bytes, Any]:
    """Return bytes of ``dtype`` and the same numbers as float64."""
    if dtype == "bfloat16":
        wide = RANDOM.standard_normal(count).astype("<f4")
        bits = wide.view("<u4") & np.uint32(0xFFFF0000)
        return (bits >> 16).astype("<u2").tobytes(), bits.view("<f4").astype(np.float64)
    kind = np.dtype("uint8" if dtype == "bool" else dtype)
    made = RANDOM.standard_normal(count) if dtype.startswith("float") else RANDOM.integers(0, 2, count)
    narrow = made.astype(kind.newbyteorder("<"))
    return narrow.tobytes(), narrow.astype(np.float64)


@pytest.mark.parametrize("dtype", ITEM_SIZES)
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_every_dtype(dtype: str, count: int) -> None:
    (before, old), (after, new) = numbers(dtype, count), numbers(dtype, count)
    assert squares_of(before, dtype) == pytest.approx((old**2).sum(), rel=1e-12)
    found = moved(before, after, dtype)
    assert (found.numbers, found.differing) == (count, (old != new).sum())
    assert found.before == pytest.approx((old**2).sum(), rel=1e-12)
    assert found.difference == pytest.approx(((old - new) ** 2).sum(), rel=1e-12)


def test_more_numbers_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    (before, old), (after, new) = numbers("float32", 10_001), numbers("float32", 10_001)
    monkeypatch.setattr(moments, "_BLOCK", 1000)
    assert moved(before, after, "float32").difference == pytest.approx(((old - new) ** 2).sum(), rel=1e-12)
    assert squares_of(before, "float32") == pytest.approx((old**2).sum(), rel=1e-12)


def test_a_small_difference_of_large_numbers_is_not_lost() -> None:
    old = np.full(1000, 4096.0, "<f4")
    new = np.nextafter(old, np.float32(5000))
    step = float(new[0]) - 4096.0
    assert moved(old.tobytes(), new.tobytes(), "float32").difference == pytest.approx(1000 * step**2, rel=1e-12)


def test_what_is_not_finite_makes_a_sum_that_is_not() -> None:
    old = np.array([1.0, np.nan], "<f4").tobytes()
    new = np.array([1.0, np.inf], "<f4").tobytes()
    assert math.isnan(squares_of(old, "float32"))
    assert squares_of(new, "float32") == math.inf
    found = moved(old, new, "float32")
    assert found.differing == 1
    assert math.isnan(found.difference)


def test_the_same_bits_have_not_moved_though_nan_is_not_nan() -> None:
    data = np.array([1.0, np.nan], "<f4").tobytes()
    found = moved(data, data, "float32")
    assert (found.differing, found.difference) == (0, 0.0)


def test_sums_add_up() -> None:
    assert Moved(1, 2, 3.0, 4.0).plus(Moved(10, 20, 30.0, 40.0)) == (11, 22, 33.0, 44.0)
