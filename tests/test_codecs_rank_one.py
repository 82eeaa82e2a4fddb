"""Rows and columns: exact for every bit pattern, refused where rows do not fit, and as the page says."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.codecs.codec import CODEC_IDS, Layout
from casvault.codecs.registry import codec_of
from casvault.codecs.sample import Sample
from casvault.errors import FormatError
from tests.support.codecs import peak
from tests.support.second_reader import _decode as read_by_the_page

ROWS = st.tuples(st.integers(8, 40), st.integers(8, 40), st.integers(0, 1 << 32))


def looked_at(count: int, columns: int) -> Any:
    """Return which of ``count`` words, in rows of so many, are looked at to tell the sign."""
    places = np.arange(count, dtype="<u4").tobytes()
    return Sample(places, Layout(4, columns), None).lines.reshape(-1)[::8]


def matrix(rows: int, columns: int, seed: int, size: int) -> bytes:
    """Return words whose highest bit is mostly clear where it is looked at, with wild ones in between."""
    source = np.random.default_rng(seed)
    words = source.integers(0, 1 << (8 * size - 1), rows * columns, dtype=np.uint64)
    if seed % 3:
        words = words >> np.uint64(source.integers(0, 8 * size - 1))
    wild = source.integers(0, 1 << 64, rows * columns, dtype=np.uint64) >> np.uint64(64 - 8 * size)
    chosen = source.random(rows * columns) < 0.1
    chosen[looked_at(rows * columns, columns)] = False
    return bytes(np.where(chosen, wild, words).astype(f"<u{size}").tobytes())


@pytest.mark.parametrize("name", ["rank-one", "rank-one-delta"])
@pytest.mark.parametrize("size", [2, 4, 8])
@given(shape=ROWS)
def test_any_matrix(name: str, size: int, shape: tuple[int, int, int]) -> None:
    rows, columns, seed = shape
    data, layout = matrix(rows, columns, seed, size), Layout(size, columns)
    codec = codec_of(CODEC_IDS[name])
    base = np.random.default_rng(seed).bytes(len(data)) if codec.needs_base else None
    payload = codec.encode(data, layout, base)
    assert codec.decode(payload, len(data), layout, base) == data


@pytest.mark.parametrize("shape", [(4, 512), (3000, 300), (9, 32768), (70_000, 8)])
def test_more_rows_than_a_block_and_longer_ones(shape: tuple[int, int]) -> None:
    data, layout = matrix(*shape, 1, 4), Layout(4, shape[1])
    codec = codec_of(CODEC_IDS["rank-one-delta"])
    base = data[::-1]
    if shape[0] < 8:
        assert codec.attempt(data, layout, base) is None
        return
    payload = codec.encode(data, layout, base)
    assert codec.decode(payload, len(data), layout, base) == data


def test_negative_numbers_and_broken_rows_are_for_others() -> None:
    data = (-np.ones((20, 20), np.float32)).tobytes()
    codec = codec_of(CODEC_IDS["rank-one"])
    assert codec.attempt(data, Layout(4, 20)) is None
    fine = np.ones((20, 20), np.float32).tobytes()
    assert codec.attempt(fine, Layout(4, 20)) is not None
    for layout in (Layout(4, 0), Layout(4, 7), Layout(4, 19), Layout(3, 20), Layout(4, 1 << 20)):
        assert codec.attempt(fine, layout) is None


def test_byte_for_byte() -> None:
    # Rows 1 and 2, columns 10 and -1, shifted by 4: 176, 0, 192, 16; what is left over is 5, 6, 7, 8.
    side = bytes([0]) + struct.pack("<BBI", 4, 0, 16) + struct.pack("<4I", 2, 4, 20, 1)
    rest = bytes([0]) + struct.pack("<BBI", 4, 0, 16) + struct.pack("<4I", *((1 << 31) + n for n in (5, 6, 7, 8)))
    payload = struct.pack("<BI", 4, len(side)) + side + rest
    plain = struct.pack("<4I", 181, 6, 199, 24)
    assert codec_of(CODEC_IDS["rank-one"]).decode(payload, 16, Layout(4, 2)) == plain
    base = struct.pack("<4I", 1, 1, 1, (1 << 32) - 1)
    plain = struct.pack("<4I", 182, 7, 200, 23)
    assert codec_of(CODEC_IDS["rank-one-delta"]).decode(payload, 16, Layout(4, 2), base) == plain


@pytest.mark.parametrize("row", [0, 3, 16, 1 << 31])
def test_rows_that_do_not_fit(row: int) -> None:
    with pytest.raises(FormatError):
        codec_of(CODEC_IDS["rank-one"]).decode(bytes(100), 40, Layout(4, row))


def test_a_payload_that_ends_early_or_shifts_too_far() -> None:
    codec = codec_of(CODEC_IDS["rank-one"])
    data = np.ones((20, 20), np.float32).tobytes()
    payload = codec.encode(data, Layout(4, 20))
    for end in range(len(payload)):
        with pytest.raises(FormatError):
            codec.decode(payload[:end], len(data), Layout(4, 20))
    with pytest.raises(FormatError):
        codec.decode(bytes([32]) + payload[1:], len(data), Layout(4, 20))
    for place in range(len(payload)):
        changed = bytearray(payload)
        changed[place] ^= 0x41
        try:
            assert len(codec.decode(bytes(changed), len(data), Layout(4, 20))) == len(data)
        except FormatError:
            continue


def words_with_clear_signs(values: list[int], size: int, columns: int) -> bytes:
    """Return whole rows of ``values`` in turn; the words that are looked at to tell the sign are positive."""
    count = max(8, -(-len(values) // columns)) * columns
    words = [values[index % len(values)] for index in range(count)]
    for index in looked_at(count, columns).tolist():
        words[index] &= (1 << (8 * size - 1)) - 1
    return b"".join(word.to_bytes(size, "little") for word in words)


@pytest.mark.parametrize("name", ["rank-one", "rank-one-delta"])
def test_every_half_pattern(name: str) -> None:
    data, layout, codec = (
        words_with_clear_signs(list(range(1 << 16)), 2, 256),
        Layout(2, 256),
        codec_of(CODEC_IDS[name]),
    )
    assert len(set(np.frombuffer(data, "<u2").tolist())) > 65_000
    for base in (data[::-1], data, bytes(len(data))):
        payload = codec.encode(data, layout, base)
        assert codec.decode(memoryview(payload), len(data), layout, base) == data


@pytest.mark.parametrize("name", ["rank-one", "rank-one-delta"])
@pytest.mark.parametrize("size", [2, 4, 8])
def test_a_second_reader_reads_what_is_written(name: str, size: int) -> None:
    source = np.random.default_rng(size)
    sides = np.exp(source.standard_normal((90, 1))) * np.exp(source.standard_normal((1, 70)))
    kind = {2: np.float16, 4: np.float32, 8: np.float64}[size]
    before = (sides * source.random(sides.shape)).astype(kind)
    ends = [0, (1 << 8 * size) - 1, 1 << (8 * size - 1), (1 << (8 * size - 1)) - 1, 1]
    number, codec = CODEC_IDS[name], codec_of(CODEC_IDS[name])
    for plain in ((before * kind(0.75)).tobytes(), words_with_clear_signs(ends, size, 70), bytes(size * 70 * 8)):
        base = before.tobytes()[: len(plain)] if codec.needs_base else None
        payload = codec.encode(plain, Layout(size, 70), base)
        assert read_by_the_page(number, payload, len(plain), size, 70, base) == plain
        assert codec.decode(payload, len(plain), Layout(size, 70), base) == plain


@pytest.mark.parametrize("name", ["rank-one", "rank-one-delta"])
def test_lengths_that_claim_more_than_there_is_cost_nothing(name: str) -> None:
    codec, plain = codec_of(CODEC_IDS[name]), np.ones((20, 20), np.float32).tobytes()
    payload = codec.encode(plain, Layout(4, 20), plain)
    for length in (0, 1, len(payload), 0x7FFFFFFF, 0xFFFFFFFF):
        changed = payload[:1] + struct.pack("<I", length) + payload[5:]
        assert peak(codec, changed, len(plain), Layout(4, 20), plain) < 200_000
    for row in (0, 19, 40, 32_768, 0xFFFFFFFF):
        assert peak(codec, payload, len(plain), Layout(4, row), plain) < 200_000
