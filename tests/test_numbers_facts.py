"""What is told of floats, against what numpy tells of them one by one, for every bit pattern."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.numbers.facts import FLOATS, Facts, facts_of, joined

NUMPY = {"float16": "<f2", "float32": "<f4", "float64": "<f8"}
EVERY = pytest.mark.parametrize("dtype", FLOATS)


def values_of(data: bytes, dtype: str) -> Any:
    """Return the numbers as float64, by other means than the code under test."""
    size = FLOATS[dtype][0]
    data = data[: len(data) // size * size]
    if dtype == "bfloat16":
        data = b"".join(b"\0\0" + data[at : at + 2] for at in range(0, len(data), 2))
        dtype = "float32"
    with np.errstate(all="ignore"):
        return np.frombuffer(data, NUMPY[dtype]).astype(np.float64)


@st.composite
def slices(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a dtype and bytes of it, in which NaN, infinities and zeros of both signs are no rarity."""
    dtype = draw(st.sampled_from(sorted(FLOATS)))
    size, infinity = FLOATS[dtype]
    sign = 1 << (8 * size - 1)
    odd = [0, sign, infinity, sign | infinity, infinity + 1, sign - 1, 2 * sign - 1, infinity - 1, 1]
    words = st.sampled_from(odd) | st.integers(0, 2 * sign - 1)
    few = st.lists(words, max_size=40) | words.flatmap(lambda word: st.lists(st.just(word), max_size=40))
    tail = draw(st.binary(max_size=size - 1))
    return dtype, b"".join(word.to_bytes(size, "little") for word in draw(few)) + tail


@given(slices())
def test_facts_are_those_of_each_number(given: tuple[str, bytes]) -> None:
    dtype, data = given
    values = values_of(data, dtype)
    facts = facts_of(data, dtype)
    assert facts.numbers == len(values)
    assert facts.nan == np.isnan(values).sum()
    assert facts.inf == np.isinf(values).sum()
    if len(values):
        size = FLOATS[dtype][0]
        words = {data[at : at + size] for at in range(0, len(values) * size, size)}
        assert facts.zero == bool((values == 0).all())
        assert facts.flat == (len(words) == 1)
        assert facts.constant == (len(values) > 1 and (len(words) == 1 or bool((values == 0).all())))


@given(slices(), st.data())
def test_facts_of_parts_add_up(given: tuple[str, bytes], choose: st.DataObject) -> None:
    dtype, data = given
    size = FLOATS[dtype][0]
    cut = choose.draw(st.integers(0, len(data) // size)) * size
    assert joined(facts_of(data[:cut], dtype), facts_of(data[cut:], dtype)) == facts_of(data, dtype)


@EVERY
def test_one_odd_number_among_a_million_is_found_wherever_it_is(dtype: str) -> None:
    size, infinity = FLOATS[dtype]
    sign = 1 << (8 * size - 1)
    count = 1_000_003
    words = np.random.default_rng(1).integers(0, infinity, count, dtype=f"<u{size}", endpoint=False)
    words[::2] |= words.dtype.type(sign)
    assert facts_of(words.tobytes(), dtype)[1:3] == (0, 0)
    for place in (0, 1, count // 2, count - 1):
        for word, found in ((infinity, (0, 1)), (sign | infinity, (0, 1)), (infinity + 1, (1, 0)), (sign - 1, (1, 0))):
            for bits in (word, word | sign):
                changed = words.copy()
                changed[place] = bits
                assert facts_of(changed.tobytes(), dtype)[1:3] == found


def test_a_large_tensor_that_is_nearly_flat_is_not() -> None:
    flat = np.full(100_000, 0.5, "<f4")
    assert facts_of(flat.tobytes(), "float32").constant
    flat[70_001] = np.nextafter(np.float32(0.5), np.float32(1))
    assert not facts_of(flat.tobytes(), "float32").constant
    zeros = np.zeros(100_000, "<f4")
    zeros[::3] = -0.0
    assert facts_of(zeros.tobytes(), "float32").zero
    zeros[70_001] = 1e-45
    assert not facts_of(zeros.tobytes(), "float32").constant


def test_bytes_that_are_not_aligned_are_read_as_they_are() -> None:
    data = b"\x01" + np.array([1, np.nan, 3], "<f4").tobytes()
    assert facts_of(memoryview(data)[1:], "float32")[:3] == (3, 1, 0)


def test_nothing_has_no_facts() -> None:
    assert facts_of(b"", "float32") == Facts()
    assert not Facts().constant
