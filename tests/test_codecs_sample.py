"""The sample of a chunk: spread over it, small, and the same places of chunk and base."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.codecs.codec import Layout
from casvault.codecs.sample import Sample


@given(count=st.integers(0, 30_000), row=st.integers(0, 3_000), size=st.sampled_from([2, 4, 8]), rest=st.integers(0, 1))
def test_the_same_places_of_chunk_and_base_whatever_the_shape(count: int, row: int, size: int, rest: int) -> None:
    words = np.arange(count, dtype=f"<u{size}")
    data, base = words.tobytes() + bytes(rest), (words * 3).tobytes() + bytes(rest)
    sample = Sample(data, Layout(size, row), base)
    assert (sample.words.tolist(), len(sample.tail)) == (words.tolist(), rest)
    assert sample.differences is not None
    assert (sample.lines - sample.differences == (sample.lines * 3)).all()
    assert sample.lines.size <= 4 * 1_024
    assert sample.lines.size == count if count <= 1_024 else sample.lines.size >= 512


@pytest.mark.parametrize(("count", "row"), [(500_000, 0), (500_000, 500), (524_288, 8), (524_288, 32_768), (2_048, 64)])
def test_it_is_spread_over_the_chunk(count: int, row: int) -> None:
    lines = Sample(np.arange(count, dtype="<u4").tobytes(), Layout(4, row), None).lines
    places = np.sort(lines.reshape(-1))
    assert places[0] < count // 8
    assert places[-1] > count - count // 8
    assert np.diff(places).max() < count // 8
    if row:
        assert (lines % row == lines[0] % row).all()


def test_a_base_of_another_length_is_none() -> None:
    assert Sample(bytes(80), Layout(4), bytes(84)).before is None
