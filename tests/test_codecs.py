"""One suite that every codec passes: exact for every bit pattern, bounded and typed errors for every payload."""

from __future__ import annotations

import random
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from casvault.codecs.choose import encode
from casvault.codecs.codec import CODEC_IDS, MAX_PLAIN_SIZE, Codec, Layout
from casvault.codecs.registry import codec_of
from casvault.errors import FormatError
from tests.support.codecs import fitting_rows, peak, zstd_frame
from tests.support.deltas import XorDelta

WORDS = (2, 4, 8)
WRITTEN = ("raw", "zstd", "turned-planes", "delta", "rank-one", "rank-one-delta")
SPECIAL = {
    2: [0x0000, 0x8000, 0x7C00, 0xFC00, 0x7C01, 0x7E00, 0xFFFF, 0x0001, 0x8001, 0x7F80, 0xFF80, 0x7F81, 0x7FC0, 0x3F80],
    4: [
        0x00000000,
        0x80000000,
        0x7F800000,
        0xFF800000,
        0x7F800001,
        0x7FC00000,
        0xFFFFFFFF,
        0x00000001,
        0x807FFFFF,
        0x00800000,
        0x3F800000,
        0xBF800000,
        0x7F7FFFFF,
    ],
    8: [
        0,
        1 << 63,
        0x7FF << 52,
        0xFFF << 52,
        (0x7FF << 52) | 1,
        0x7FF8 << 48,
        (1 << 64) - 1,
        1,
        (1 << 63) | 1,
        1 << 52,
    ],
}
"""Signed zeros, infinities, quiet and signalling NaNs with payloads, subnormals: float16 and bfloat16, then larger."""


def known() -> list[Codec]:
    """Return every codec that is written, and one of the tests' own that needs a base."""
    return [XorDelta(), *(codec_of(CODEC_IDS[name]) for name in WRITTEN)]


def layouts(codec: Codec) -> list[Layout]:
    sizes = (0, 1, *WORDS) if codec.name in ("raw", "zstd") or isinstance(codec, XorDelta) else WORDS
    return [Layout(size, row) for size in sizes for row in ((0, 3, 8) if codec.name.startswith("rank-one") else (0, 3))]


def fitting(codec: Codec, layout: Layout, data: bytes) -> bytes:
    """Return ``data``, as whole rows for a codec that is made for nothing else."""
    return fitting_rows(data, layout) if codec.name.startswith("rank-one") and layout.row_length >= 8 else data


def takes(codec: Codec, data: bytes, layout: Layout, base: bytes | None) -> bool:
    """Tell whether the codec is made for such a chunk; what is not rows is for others than rows and columns."""
    made = isinstance(codec, XorDelta) or codec.attempt(data, layout, base) is not None
    assert made or codec.name.startswith("rank-one")
    return made


CASES = [(codec, layout) for codec in known() for layout in layouts(codec)]
codecs = pytest.mark.parametrize(
    ("codec", "layout"), CASES, ids=[f"{codec.name}-{layout.item_size}-{layout.row_length}" for codec, layout in CASES]
)


def base_for(codec: Codec, data: bytes) -> bytes | None:
    return random.Random(len(data)).randbytes(len(data)) if codec.needs_base else None


def round_trip(codec: Codec, layout: Layout, data: bytes) -> None:
    base = base_for(codec, data)
    if not takes(codec, data, layout, base):
        with pytest.raises(FormatError):
            codec.encode(data, layout, base)
        return
    payload = codec.encode(data, layout, base)
    assert codec.decode(payload, len(data), layout, base) == data
    assert codec.decode(memoryview(payload), len(data), layout, base) == data
    assert codec.encode(memoryview(bytearray(data)), layout, base) == payload


def floats(count: int, seed: int = 1) -> bytes:
    source = random.Random(seed)
    return struct.pack(f"<{count}f", *(source.gauss(0, 0.05) for _ in range(count)))


@codecs
@settings(max_examples=40)
@given(data=st.binary(max_size=200))
def test_any_bytes(codec: Codec, layout: Layout, data: bytes) -> None:
    round_trip(codec, layout, data)


@pytest.mark.parametrize("codec", known(), ids=lambda codec: codec.name)
@pytest.mark.parametrize("size", WORDS)
@settings(max_examples=40)
@given(data=st.data())
def test_raw_words(codec: Codec, size: int, data: st.DataObject) -> None:
    word = st.integers(0, (1 << 8 * size) - 1) | st.sampled_from(SPECIAL[size])
    words = data.draw(st.lists(word, max_size=60))
    tail = data.draw(st.binary(max_size=size - 1))
    plain = b"".join(value.to_bytes(size, "little") for value in words) + tail
    round_trip(codec, Layout(size, 0), plain)


@codecs
def test_every_length_around_words(codec: Codec, layout: Layout) -> None:
    pattern = random.Random(7).randbytes(200)
    special = b"".join(v.to_bytes(s, "little") for s, values in SPECIAL.items() for v in values)
    for length in [*range(70), 127, 128, 129]:
        round_trip(codec, layout, pattern[:length])
        round_trip(codec, layout, special[:length])
        round_trip(codec, layout, bytes(length))
        round_trip(codec, layout, fitting(codec, layout, pattern[: length + 1]))
        round_trip(codec, layout, fitting(codec, layout, special[: length + 1]))


@pytest.mark.parametrize("size", WORDS)
def test_every_special_word_repeated(size: int) -> None:
    for codec in known():
        for value in SPECIAL[size]:
            round_trip(codec, Layout(size), value.to_bytes(size, "little") * 1000)


@codecs
def test_all_half_precision_patterns(codec: Codec, layout: Layout) -> None:
    round_trip(codec, layout, struct.pack("<65536H", *range(65536)))


@codecs
@pytest.mark.parametrize("data", [floats(20), b"abc" * 30, bytes(77), b"\xff"], ids=["floats", "text", "zeros", "one"])
def test_cut_and_stretched_payloads(codec: Codec, layout: Layout, data: bytes) -> None:
    data = fitting(codec, layout, data)
    base = base_for(codec, data)
    if not takes(codec, data, layout, base):
        assert layout.row_length < 8
        return
    payload = codec.encode(data, layout, base)
    for end in range(len(payload)):
        with pytest.raises(FormatError):
            codec.decode(payload[:end], len(data), layout, base)
    for more in (b"\0", payload):
        with pytest.raises(FormatError):
            codec.decode(payload + more, len(data), layout, base)


@codecs
def test_wrong_plain_lengths(codec: Codec, layout: Layout) -> None:
    data = floats(20) + b"xy"
    data = fitting(codec, layout, data)
    base = base_for(codec, data)
    if not takes(codec, data, layout, base):
        assert layout.row_length < 8
        return
    payload = codec.encode(data, layout, base)
    for length in {*range(len(data) + 20), 1000, 1 << 20} - {len(data)}:
        with pytest.raises(FormatError):
            codec.decode(payload, length, layout, base_for(codec, bytes(length)))


@codecs
def test_changed_payloads_give_the_right_length_or_a_format_error(codec: Codec, layout: Layout) -> None:
    data = floats(30) + b"xyz"
    data = fitting(codec, layout, data)
    base = base_for(codec, data)
    if not takes(codec, data, layout, base):
        assert layout.row_length < 8
        return
    payload = codec.encode(data, layout, base)
    for place in range(len(payload)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(payload)
            changed[place] ^= flip
            try:
                plain = codec.decode(bytes(changed), len(data), layout, base)
            except FormatError:
                continue
            assert len(plain) == len(data)
    assert codec.decode(payload, len(data), layout, base) == data


@codecs
@settings(max_examples=40)
@given(payload=st.binary(max_size=100), length=st.integers(0, 200))
def test_garbage(codec: Codec, layout: Layout, payload: bytes, length: int) -> None:
    try:
        plain = codec.decode(payload, length, layout, bytes(length) if codec.needs_base else None)
    except FormatError:
        return
    assert len(plain) == length


def hostile_planes(frame: bytes, length: int) -> bytes:
    """Write by hand planes of 4-byte words, each of which is said to be ``length`` bytes of zstd."""
    return struct.pack("<BI", 1, length) * 4 + frame * 4


def test_the_hand_written_frame_is_right() -> None:
    frame = zstd_frame(1000, 1000)
    assert codec_of(CODEC_IDS["zstd"]).decode(frame, 1000, Layout()) == b"z" * 1000


@pytest.mark.parametrize("claimed", [1 << 40, (1 << 64) - 1, 1001, 999, 0])
def test_a_frame_that_claims_another_size_costs_nothing(claimed: int) -> None:
    frame = zstd_frame(claimed, 1000)
    assert peak(codec_of(CODEC_IDS["zstd"]), frame, 1000, Layout()) < 100_000
    planes = hostile_planes(frame, len(frame))
    assert peak(codec_of(CODEC_IDS["planes"]), planes, 4000, Layout(4)) < 100_000


@pytest.mark.parametrize("blocks", [1, 50])
def test_a_frame_that_holds_more_than_it_claims_costs_little(blocks: int) -> None:
    frame = zstd_frame(1000, 128 << 10, blocks)
    assert peak(codec_of(CODEC_IDS["zstd"]), frame, 1000, Layout()) < 100_000


def test_a_frame_that_holds_less_than_it_claims() -> None:
    length = 8 << 20
    frame = zstd_frame(length, 1000)
    assert peak(codec_of(CODEC_IDS["zstd"]), frame, length, Layout()) < 2 * length
    planes = hostile_planes(frame, len(frame))
    assert peak(codec_of(CODEC_IDS["planes"]), planes, 4 * length, Layout(4)) < 4 * 4 * length


@pytest.mark.parametrize("length", [0, 5, 0xFFFFFFFF])
def test_planes_with_lengths_that_reach_past_the_end(length: int) -> None:
    codec = codec_of(CODEC_IDS["planes"])
    assert peak(codec, struct.pack("<BI", 0, length) * 4 + b"1234", 4, Layout(4)) < 100_000
    assert peak(codec, struct.pack("<BI", 2, 1) * 4 + b"1234", 4, Layout(4)) < 100_000


@pytest.mark.parametrize("size", [0, 1, 3, 5, 16, 0xFFFFFFFF])
def test_planes_of_words_that_there_are_none(size: int) -> None:
    with pytest.raises(FormatError):
        codec_of(CODEC_IDS["planes"]).decode(bytes(100), 20, Layout(size))


def test_frames_of_unknown_size_and_frames_in_a_row() -> None:
    codec = codec_of(CODEC_IDS["zstd"])
    unknown = zstandard.ZstdCompressor(write_content_size=False).compress(b"a" * 100)
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    whole = zstandard.ZstdCompressor().compress(b"a" * 100)
    for payload in (unknown, skippable, whole + whole, whole + skippable, skippable + whole, b""):
        for length in (100, 200):
            with pytest.raises(FormatError):
                codec.decode(payload, length, Layout())
    assert codec.decode(whole, 100, Layout()) == b"a" * 100


def test_planes_byte_for_byte() -> None:
    # 1.0 is 3f800000 and -2.0 is c0000000; rotated left by one bit they are 7f000000 and 80000001.
    payload = struct.pack("<BI", 0, 2) * 4 + bytes.fromhex("0001 0000 0000 7f80") + b"!"
    plain = struct.pack("<2f", 1.0, -2.0) + b"!"
    codec = codec_of(CODEC_IDS["planes"])
    assert codec.decode(payload, 9, Layout(4, 2)) == plain
    # Nothing is written so any more.
    assert codec.attempt(plain, Layout(4, 2)) is None


def test_ids_are_for_ever() -> None:
    older = {"raw": 1, "zstd": 2, "planes": 3, "delta": 4, "rank-one": 5, "rank-one-delta": 6, "pack": 7}
    assert {**older, "turned-planes": 8} == CODEC_IDS
    for name in (*WRITTEN, "planes"):
        assert codec_of(CODEC_IDS[name]).name == name


@pytest.mark.parametrize("number", [0, 7, 9, 100, 255, -1])
def test_unknown_ids(number: int) -> None:
    with pytest.raises(FormatError, match=str(number)):
        codec_of(number)


def test_the_cap_on_plain_bytes() -> None:
    assert MAX_PLAIN_SIZE == 64 << 20


def test_codecs_from_several_threads() -> None:
    inputs = [(floats(5_000, seed), Layout(4)) for seed in range(24)] + [(b"text " * 999, Layout())] * 8

    def there_and_back(case: tuple[bytes, Layout]) -> bool:
        data, layout = case
        number, payload = encode(data, layout)
        with pytest.raises(FormatError):
            codec_of(number).decode(payload[:-1], len(data), layout)
        return codec_of(number).decode(payload, len(data), layout) == data

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(there_and_back, inputs * 3))
