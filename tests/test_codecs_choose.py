"""Which codec is chosen: the smallest one, never larger than the plain bytes, and hardly ever larger than planes."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.codecs.choose import encode
from casvault.codecs.codec import CODEC_IDS, Layout
from casvault.codecs.registry import codec_of
from casvault.codecs.sample import Sample
from casvault.codecs.weigh import of_numbers

NOISE = np.random.default_rng(5)


def floats(count: int, seed: int = 1) -> bytes:
    return (np.random.default_rng(seed).standard_normal(count) * 0.05).astype(np.float32).tobytes()


def moments(seed: int, rows: int = 512, columns: int = 256) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return second moments: nearly the product of a column and a row, times noise."""
    source = np.random.default_rng(7)
    scales = np.exp(source.standard_normal((rows, 1)) * 2) * np.exp(source.standard_normal((1, columns)) * 2) * 1e-8
    noise = 1 + 0.02 * np.random.default_rng(seed).random((rows, columns))
    return np.asarray(scales * noise, np.float32)


def places_looked_at(count: int, row: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return for each of ``count`` words, in rows of so many, whether it is in the sample."""
    places = np.zeros(count, bool)
    places[Sample(np.arange(count, dtype="<u4").tobytes(), Layout(4, row), None).lines.reshape(-1)] = True
    return places


def size_of(name: str, data: bytes, layout: Layout, base: bytes | None = None) -> int:
    return len(codec_of(CODEC_IDS[name]).encode(data, layout, base))


@given(data=st.binary(max_size=400), layout=st.builds(Layout, st.integers(0, 9), st.integers(0, 5)))
def test_encode_never_makes_larger(data: bytes, layout: Layout) -> None:
    number, payload = encode(data, layout)
    assert len(payload) <= len(data)
    assert codec_of(number).decode(payload, len(data), layout) == data


def chosen(data: bytes, layout: Layout) -> tuple[str, float]:
    number, payload = encode(data, layout)
    assert codec_of(number).decode(payload, len(data), layout) == data
    return codec_of(number).name, len(payload) / len(data)


def test_what_encode_chooses() -> None:
    noise = random.Random(3).randbytes(300_001)
    assert chosen(noise, Layout()) == ("raw", 1.0)
    assert encode(b"", Layout(4)) == (CODEC_IDS["raw"], b"")
    assert encode(b"a" * 31, Layout()) == (CODEC_IDS["raw"], b"a" * 31)
    name, ratio = chosen(b"a loss of 0.25 and " * 10_000, Layout())
    assert (name, ratio < 0.02) == ("zstd", True)
    name, ratio = chosen(floats(200_001), Layout(4))
    assert (name, ratio < 0.87) == ("turned-planes", True)
    name, ratio = chosen(b"words, not numbers " * 10_000, Layout(4))
    assert (name, ratio < 0.02) == ("zstd", True)
    assert chosen(floats(500) * 100, Layout(4))[1] < 0.3
    assert chosen(bytes(200_000), Layout(4))[1] < 0.001


def test_a_drifting_tensor_becomes_a_delta() -> None:
    before = floats(300_000)
    drift = np.random.default_rng(2).standard_normal(300_000).astype(np.float32) * np.float32(0.001)
    after = (np.frombuffer(before, np.float32) + drift).tobytes()
    number, payload = encode(after, Layout(4, 0), before)
    assert codec_of(number).name == "delta"
    assert codec_of(number).decode(payload, len(after), Layout(4, 0), before) == after
    assert len(payload) < 0.93 * len(encode(after, Layout(4, 0))[1])


def test_a_tensor_that_hardly_moved_costs_hardly_anything() -> None:
    before = np.frombuffer(floats(300_000), np.uint32)
    after = before + np.random.default_rng(2).integers(-3, 4, len(before)).astype(np.uint32)
    number, payload = encode(after.tobytes(), Layout(4, 0), before.tobytes())
    assert (codec_of(number).name, len(payload) < 0.13 * after.nbytes) == ("delta", True)


def test_second_moments_are_predicted_by_rows_and_columns() -> None:
    before, after = moments(1).tobytes(), (moments(2) * np.float32(0.8)).tobytes()
    layout = Layout(4, 256)
    number, payload = encode(after, layout)
    assert codec_of(number).name == "rank-one"
    assert codec_of(number).decode(payload, len(after), layout) == after
    assert len(payload) < 0.95 * size_of("turned-planes", after, layout)
    number, payload = encode(after, layout, before)
    assert codec_of(number).name in ("rank-one-delta", "rank-one")
    assert codec_of(number).decode(payload, len(after), layout, before if number == 6 else None) == after
    assert len(payload) <= size_of("delta", after, layout, before) * 1.005


@pytest.mark.parametrize("size", [2, 4, 8])
def test_a_base_that_does_not_help_never_costs(size: int) -> None:
    kind = {2: np.float16, 4: np.float32, 8: np.float64}[size]
    for seed in range(30):
        source = np.random.default_rng(seed)
        count = int(source.integers(100, 60_000))
        data, base = ((source.standard_normal(count) * 0.05).astype(kind).tobytes() for _ in range(2))
        made = len(encode(data, Layout(size), base)[1])
        assert made <= size_of("turned-planes", data, Layout(size)) * 1.001


def test_a_chunk_that_is_not_the_same_all_over() -> None:
    noise, calm = floats(200_000, 1), floats(200_000, 2)
    near = (np.frombuffer(calm, np.uint32) + np.uint32(1)).tobytes()
    cut = len(noise) // 8 * 4
    for data, base in (
        (noise[:cut] + near[cut:], floats(200_000, 3)[:cut] + calm[cut:]),
        (near[:cut] + noise[cut:], calm[:cut] + floats(200_000, 3)[cut:]),
    ):
        made = len(encode(data, Layout(4), base)[1])
        assert made <= size_of("turned-planes", data, Layout(4))


@pytest.mark.parametrize("row", [0, 100])
@pytest.mark.parametrize("alone", [1, 20_000, 1 << 30])
def test_what_the_base_takes_alone_never_costs(row: int, alone: int) -> None:
    """Also where that is far from what the chunk takes: numbers that were rounded since, all one, or not like it."""
    layout, base = Layout(4, row), floats(40_000)
    words = np.frombuffer(base, np.uint32)
    near = words + np.random.default_rng(2).integers(-9, 9, len(words)).astype(np.uint32)
    rounded = (near + np.uint32(0x8000)) & np.uint32(0xFFFF0000)
    for data in (near.tobytes(), rounded.tobytes(), floats(40_000, 9), bytes(len(base)), words[::-1].tobytes()):
        number, payload = encode(data, layout, base, alone)
        codec = codec_of(number)
        assert codec.decode(payload, len(data), layout, base if codec.needs_base else None) == data
        assert len(payload) <= size_of("turned-planes", data, layout)


def test_what_the_base_takes_alone_spares_looking_at_planes() -> None:
    base = floats(200_000)
    drift = np.random.default_rng(2).standard_normal(200_000).astype(np.float32) * np.float32(0.001)
    data = (np.frombuffer(base, np.float32) + drift).tobytes()
    alone = len(encode(base, Layout(4))[1])
    assert list(of_numbers(data, Layout(4), base, alone)) == ["delta"]
    assert set(of_numbers(data, Layout(4), base, None)) == {"delta", "turned-planes"}
    assert encode(data, Layout(4), base, alone) == encode(data, Layout(4), base)


def test_a_base_of_another_length_is_no_base() -> None:
    data = floats(1_000)
    assert encode(data, Layout(4), data[:-4]) == encode(data, Layout(4))
    assert encode(data, Layout(4), data + data) == encode(data, Layout(4))


def test_what_is_not_numbers_is_never_a_delta() -> None:
    data = random.Random(1).randbytes(50_000)
    assert encode(data, Layout(), data) == (CODEC_IDS["raw"], data)


def test_rows_and_columns_that_moved_apart_are_told_from_a_base() -> None:
    source = np.random.default_rng(3)
    before = moments(1) * source.random((512, 256)).astype(np.float32)
    moved = np.exp(source.standard_normal((512, 1))) * np.exp(source.standard_normal((1, 256)))
    after = (before * moved * (1 + 1e-4 * source.random(before.shape))).astype(np.float32).tobytes()
    layout, base = Layout(4, 256), before.tobytes()
    number, payload = encode(after, layout, base)
    assert codec_of(number).name == "rank-one-delta"
    assert codec_of(number).decode(payload, len(after), layout, base) == after
    others = [size_of(name, after, layout, base) for name in ("turned-planes", "delta", "rank-one")]
    assert len(payload) < 0.95 * min(others)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_matrices_with_nothing_in_common_never_cost(size: int) -> None:
    kind = {2: np.float16, 4: np.float32, 8: np.float64}[size]
    for seed in range(30):
        source = np.random.default_rng(seed)
        shape = tuple(source.integers(8, 200, 2).tolist())
        data, base = ((source.standard_normal(shape) ** 2 * 0.05).astype(kind).tobytes() for _ in range(2))
        layout = Layout(size, shape[1])
        assert len(encode(data, layout, base)[1]) <= min(len(data), size_of("turned-planes", data, layout))


@pytest.mark.parametrize("row", [0, 200])
@pytest.mark.parametrize("noise_is_looked_at", [True, False])
@pytest.mark.parametrize("base", ["none", "near", "noise", "near where it is looked at", "near elsewhere"])
def test_a_chunk_that_is_other_where_it_is_looked_at(row: int, noise_is_looked_at: bool, base: str) -> None:
    count = 200_000
    source = np.random.default_rng(row + 1)
    looked_at = places_looked_at(count, row)
    noise, other = (np.frombuffer(source.bytes(4 * count), "<u4") for _ in range(2))
    data = np.where(looked_at == noise_is_looked_at, noise, np.uint32(0x3F800000))
    near = data + source.integers(0, 4_096, count, dtype=np.uint32)
    bases = {
        "near": near,
        "noise": other,
        "near where it is looked at": np.where(looked_at, near, other),
        "near elsewhere": np.where(looked_at, other, near),
    }
    before = bases[base].tobytes() if base in bases else None
    number, payload = encode(data.tobytes(), Layout(4, row), before)
    assert codec_of(number).decode(payload, data.nbytes, Layout(4, row), before) == data.tobytes()
    assert len(payload) <= size_of("turned-planes", data.tobytes(), Layout(4, row)) * 1.02


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("row", [0, 100])
def test_one_value_and_what_did_not_change_cost_next_to_nothing(size: int, row: int) -> None:
    value = {2: b"\x00\x3c", 4: b"\x00\x00\x80\x3f", 8: b"\x00\x00\x00\x00\x00\x00\xf0\x3f"}[size]
    noise = np.random.default_rng(size).bytes(size * 40_000)
    for data, base in ((value * 40_000, None), (value * 40_000, noise), (noise, noise)):
        number, payload = encode(data, Layout(size, row), base)
        codec = codec_of(number)
        assert codec.decode(payload, len(data), Layout(size, row), base if codec.needs_base else None) == data
        assert len(payload) < 0.02 * len(data)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_a_base_that_is_only_near_where_it_is_looked_at(kind: type[np.float16 | np.float32]) -> None:
    count = 100_000
    source = np.random.default_rng(4)
    data, base = (np.array(source.standard_normal(count) * 0.05, kind) for _ in range(2))
    looked_at = places_looked_at(count, 0)
    base[looked_at] = data[looked_at]
    layout = Layout(data.itemsize)
    planes, delta = (size_of(name, data.tobytes(), layout, base.tobytes()) for name in ("turned-planes", "delta"))
    assert planes < delta
    assert len(encode(data.tobytes(), layout, base.tobytes())[1]) == planes
