"""Deltas: exact against any base, as the page says, and never without the right base."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.codecs.codec import CODEC_IDS, Layout
from casvault.codecs.registry import codec_of
from casvault.errors import FormatError
from tests.support.codecs import planes_of
from tests.support.second_reader import _decode as read_by_the_page

DELTA = CODEC_IDS["delta"]


def neighbours(size: int, count: int) -> tuple[bytes, bytes]:
    """Return a chunk and a base near it, with words that differ wholly, have another sign or wrap in between."""
    source, bits = random.Random(size * count), 8 * size
    base = [source.getrandbits(bits) for _ in range(count)]
    steps = (0, 1, -1, 1 << 7, -(1 << 9), 1 << (bits - 1), (1 << bits) - 1)
    words = [(word + source.choice(steps)) % (1 << bits) for word in base]
    for place in range(0, count, 50):
        words[place] = source.getrandbits(bits)
    tails = source.randbytes(size - 1), source.randbytes(size - 1)
    plain, before = (b"".join(word.to_bytes(size, "little") for word in each) for each in (words, base))
    return plain + tails[0], before + tails[1]


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("count", [0, 1, 7, 600, 5_000])
def test_a_second_reader_reads_what_is_written(size: int, count: int) -> None:
    plain, base = neighbours(size, count)
    payload = codec_of(DELTA).encode(plain, Layout(size), base)
    assert read_by_the_page(DELTA, payload, len(plain), size, 0, base) == plain
    assert codec_of(DELTA).decode(memoryview(payload), len(plain), Layout(size), memoryview(base)) == plain


@pytest.mark.parametrize("size", [2, 4, 8])
@given(data=st.data())
def test_any_chunk_against_any_base(size: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, 100))
    plain, base = (data.draw(st.binary(min_size=length, max_size=length)) for _ in range(2))
    for one in (base, plain):
        payload = codec_of(DELTA).encode(plain, Layout(size), one)
        assert codec_of(DELTA).decode(payload, length, Layout(size), one) == plain


def test_every_half_pattern_against_every_distance() -> None:
    words = np.arange(1 << 16, dtype="<u2")
    for step in (1, 255, 256, 0x7FFF, 0x8000, 0xFFFF):
        base = (words * np.uint16(step) + np.uint16(step)).tobytes()
        payload = codec_of(DELTA).encode(words.tobytes(), Layout(2), base)
        assert codec_of(DELTA).decode(payload, 1 << 17, Layout(2), base) == words.tobytes()


def test_byte_for_byte() -> None:
    # With rotation 27 the bias is 16: 16 + 2, 16 - 3 and 16 + 0, each times 2 to the 27th.
    base = struct.pack("<3I", 0xFFFFFFFF, 2, 0x3F800000)
    plain = struct.pack("<3I", 1, 0xFFFFFFFF, 0x3F800000)
    payload = planes_of(27, [(4, 0, struct.pack("<3I", 18 << 27, 13 << 27, 16 << 27))], b"~")
    assert codec_of(DELTA).decode(payload, 13, Layout(4), base + b"?") == plain + b"~"


def test_what_did_not_change_costs_next_to_nothing() -> None:
    plain = random.Random(1).randbytes(400_000)
    for size in (2, 4, 8):
        assert len(codec_of(DELTA).encode(plain, Layout(size), plain)) < 2_000


@pytest.mark.parametrize("name", ["delta", "rank-one-delta"])
@pytest.mark.parametrize("size", [2, 4, 8])
def test_no_base_and_bases_of_another_length(name: str, size: int) -> None:
    codec, layout = codec_of(CODEC_IDS[name]), Layout(size, 10)
    plain = bytes(range(100)) * size
    assert codec.needs_base
    payload = codec.encode(plain, layout, plain[::-1])
    assert codec.decode(payload, len(plain), layout, plain[::-1]) == plain
    for base in (None, b"", plain[:-1], plain[:-size], plain + b"\0", plain * 2):
        assert codec.attempt(plain, layout, base) is None
        with pytest.raises(FormatError):
            codec.encode(plain, layout, base)
        with pytest.raises(FormatError):
            codec.decode(payload, len(plain), layout, base)
