"""Of a chunk and its delta, the base: exactly, whatever the bits."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casvault.codecs import CODEC_IDS, Layout, codec_of
from casvault.codecs.invert import base_from
from casvault.errors import FormatError
from tests.support.codecs import fitting_rows

SIZES = st.sampled_from([2, 4, 8])


@settings(deadline=None)
@given(data=st.binary(min_size=8, max_size=400), seed=st.integers(0, 2**32 - 1), size=SIZES)
def test_the_base_of_a_delta(data: bytes, seed: int, size: int) -> None:
    data = data[: len(data) // size * size]
    base = np.random.default_rng(seed).bytes(len(data))
    layout = Layout(size, 0)
    payload = codec_of(CODEC_IDS["delta"]).encode(data, layout, base)
    assert base_from(CODEC_IDS["delta"], payload, layout, data) == base


@settings(deadline=None)
@given(data=st.binary(min_size=8, max_size=64), seed=st.integers(0, 2**32 - 1), size=SIZES)
def test_the_base_of_what_rows_and_columns_tell_too(data: bytes, seed: int, size: int) -> None:
    layout = Layout(size, 16)
    plain = fitting_rows(data, layout)
    base = np.random.default_rng(seed).bytes(len(plain))
    payload = codec_of(CODEC_IDS["rank-one-delta"]).encode(plain, layout, base)
    assert base_from(CODEC_IDS["rank-one-delta"], payload, layout, plain) == base


def test_a_tail_is_not_told_so_the_digest_decides() -> None:
    plain, base, layout = bytes(range(41)), bytes(range(41, 82)), Layout(4, 0)
    payload = codec_of(CODEC_IDS["delta"]).encode(plain, layout, base)
    found = base_from(CODEC_IDS["delta"], payload, layout, plain)
    assert found[:40] == base[:40]
    assert found[40:] == plain[40:] != base[40:]


@pytest.mark.parametrize("codec", ["raw", "zstd", "turned-planes", "rank-one"])
def test_what_leans_on_nothing_is_refused(codec: str) -> None:
    with pytest.raises(FormatError):
        base_from(CODEC_IDS[codec], b"x", Layout(4, 0), b"plain")


@settings(deadline=None)
@given(payload=st.binary(max_size=60), size=st.integers(0, 9))
def test_a_hostile_payload_is_refused_or_gives_so_many_bytes(payload: bytes, size: int) -> None:
    with contextlib.suppress(FormatError):
        assert len(base_from(CODEC_IDS["delta"], payload, Layout(size, 0), bytes(40))) == 40
