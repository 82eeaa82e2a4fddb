"""Byte planes: as the page says, read from payloads written by hand and by a second reader, and safe to read."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
import pytest
import zstandard

from casvault.codecs.codec import CODEC_IDS, Layout
from casvault.codecs.planes import write_planes
from casvault.codecs.registry import codec_of
from casvault.errors import FormatError
from tests.support.codecs import old_planes_of, peak, planes_of, zstd_frame
from tests.support.second_reader import _decode as read_by_the_page

TURNED = CODEC_IDS["turned-planes"]
OLD = CODEC_IDS["planes"]
FLOATS = {2: np.float16, 4: np.float32, 8: np.float64}


def chunks(size: int) -> dict[str, bytes]:
    """Return chunks of words, some of them larger than what is sampled, all but one with bytes left over."""
    source = np.random.default_rng(size)
    weights = (source.standard_normal(5_001) * 0.05).astype(FLOATS[size]).tobytes()
    brain = (source.standard_normal(5_001) * 0.05).astype(np.float32).view(np.uint32) >> 16
    return {
        "weights": weights + bytes(range(1, size)),
        "bfloat16": brain.astype("<u2").tobytes(),
        "counters": np.arange(3_000, dtype=f"<u{size}").tobytes() + b"\xff",
        "noise": source.bytes(size * 300 + 1),
        "one value": b"\x80\x3f" * 1_500 + b"?",
        "one word": bytes(range(200, 200 + size)),
        "less than a word": bytes(range(200, 199 + size)),
    }


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("kind", list(chunks(2)))
def test_a_second_reader_reads_what_is_written(size: int, kind: str) -> None:
    plain = chunks(size)[kind]
    payload = codec_of(TURNED).encode(plain, Layout(size))
    assert read_by_the_page(TURNED, payload, len(plain), size, 0, None) == plain
    assert codec_of(TURNED).decode(payload, len(plain), Layout(size)) == plain


@pytest.mark.parametrize(("size", "most"), [(2, 0.94), (4, 0.87), (8, 0.95)])
def test_weights_become_smaller(size: int, most: float) -> None:
    plain = (np.random.default_rng(1).standard_normal(100_000) * 0.05).astype(FLOATS[size]).tobytes()
    assert len(codec_of(TURNED).encode(plain, Layout(size))) < most * len(plain)


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("past", [-1, 0, 1, 2])
def test_words_around_the_end_of_a_block(size: int, past: int) -> None:
    count = (2 << 20) // size + past
    source = np.random.default_rng(past + 1)
    plain = (source.standard_normal(count) * 0.05).astype(FLOATS[size]).tobytes() + b"\7"
    base = source.bytes(len(plain))
    for name in ("turned-planes", "delta"):
        codec = codec_of(CODEC_IDS[name])
        assert codec.decode(codec.encode(plain, Layout(size), base), len(plain), Layout(size), base) == plain


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        (2, [2]),
        (2, [1, 1]),
        (4, [4]),
        (4, [2, 1, 1]),
        (4, [1, 2, 1]),
        (8, [4, 4]),
        (8, [4, 2, 1, 1]),
        (8, [1, 1, 2, 4]),
        (8, [1] * 8),
    ],
)
@pytest.mark.parametrize("method", [0, 1])
def test_planes_of_every_width_written_by_hand(size: int, widths: list[int], method: int) -> None:
    source, bits = random.Random(size), 8 * size
    for rotation in (0, 1, 3, bits // 2 + 1, bits - 1):
        words = [source.getrandbits(bits) >> source.choice((0, 3, bits - 2)) for _ in range(50)]
        turned = [int(f"{word:0{bits}b}"[rotation:] + f"{word:0{bits}b}"[:rotation], 2) for word in words]
        bodies, low = [], 0
        for width in widths:
            body = b"".join(word.to_bytes(size, "little")[low : low + width] for word in turned)
            bodies.append((width, method, zstandard.compress(body) if method else body))
            low += width
        plain = b"".join(word.to_bytes(size, "little") for word in words) + b"\xee"
        assert codec_of(TURNED).decode(planes_of(rotation, bodies, b"\xee"), len(plain), Layout(size)) == plain


@pytest.mark.parametrize(("size", "widths"), [(2, [1, 1]), (4, [1, 2, 1]), (4, [2, 1, 1]), (8, [1, 1, 2, 4])])
def test_every_rotation_is_read_by_a_second_reader(size: int, widths: list[int]) -> None:
    """Also those by whole planes, which are written in another order instead of being turned."""
    words = np.frombuffer(np.random.default_rng(size).bytes(size * 40), f"<u{size}")
    base = words + words.dtype.type(3)

    def predict(start: int, stop: int, bias: Any, out: Any) -> None:
        np.subtract(base[start:stop], bias, out=out)

    for rotation in range(8 * size):
        payload = b"".join(write_planes(words, None, rotation, widths))
        assert read_by_the_page(TURNED, payload, words.nbytes, size, 0, None) == words.tobytes()
        payload = b"".join(write_planes(words, predict, rotation, widths))
        delta = CODEC_IDS["delta"]
        assert read_by_the_page(delta, payload, words.nbytes, size, 0, base.tobytes()) == words.tobytes()


@pytest.mark.parametrize("size", [2, 4, 8])
def test_old_planes_written_by_hand(size: int) -> None:
    source, bits = random.Random(size), 8 * size
    words = [source.getrandbits(bits) for _ in range(100)]
    turned = [int(f"{word:0{bits}b}"[1:] + f"{word:0{bits}b}"[0], 2).to_bytes(size, "little") for word in words]
    bodies = []
    for weight in range(size):
        body = bytes(word[weight] for word in turned)
        bodies.append((weight % 2, zstandard.compress(body) if weight % 2 else body))
    plain = b"".join(word.to_bytes(size, "little") for word in words) + b"+"
    payload = old_planes_of(bodies, b"+")
    assert codec_of(OLD).decode(payload, len(plain), Layout(size)) == plain
    assert codec_of(OLD).decode(memoryview(payload), len(plain), Layout(size)) == plain
    for end in range(len(payload)):
        with pytest.raises(FormatError):
            codec_of(OLD).decode(payload[:end], len(plain), Layout(size))
    with pytest.raises(FormatError):
        codec_of(OLD).decode(payload + b"+", len(plain), Layout(size))


def test_old_planes_are_not_written() -> None:
    assert codec_of(OLD).attempt(bytes(1_000), Layout(4)) is None
    with pytest.raises(FormatError):
        codec_of(OLD).encode(bytes(1_000), Layout(4))


@pytest.mark.parametrize("size", [0, 1, 3, 5, 16, 260, 0xFFFFFFFF])
@pytest.mark.parametrize("name", ["turned-planes", "planes", "delta", "rank-one", "rank-one-delta"])
def test_words_that_there_are_none_of(name: str, size: int) -> None:
    codec = codec_of(CODEC_IDS[name])
    assert codec.attempt(bytes(120), Layout(size, 8), bytes(120)) is None
    with pytest.raises(FormatError):
        codec.decode(bytes(300), 120, Layout(size, 8), bytes(120))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\0",
        planes_of(32, [(4, 0, bytes(8))]),
        planes_of(255, [(4, 0, bytes(8))]),
        planes_of(0, [(0, 0, b""), (4, 0, bytes(8))]),
        planes_of(0, [(3, 0, bytes(6)), (1, 0, bytes(2))]),
        planes_of(0, [(8, 0, bytes(16))]),
        planes_of(0, [(2, 0, bytes(4)), (4, 0, bytes(8))]),
        planes_of(0, [(2, 0, bytes(4))]),
        planes_of(0, [(4, 2, bytes(8))]),
        planes_of(0, [(4, 0, bytes(7))]),
        planes_of(0, [(4, 0, bytes(9))]),
        planes_of(0, [(4, 0, bytes(8))], b"!"),
        planes_of(0, [(4, 1, zstd_frame(9, 9))]),
        planes_of(0, [(2, 0, bytes(4)), (2, 0, bytes(3))]),
        b"\0" + struct.pack("<BBI", 4, 1, 0xFFFFFFFF) + bytes(8),
        b"\0" * 1_000,
    ],
)
def test_planes_that_do_not_add_up_cost_nothing(payload: bytes) -> None:
    assert codec_of(TURNED).decode(planes_of(0, [(4, 0, bytes(8))]), 8, Layout(4)) == bytes(8)
    assert peak(codec_of(TURNED), payload, 8, Layout(4)) < 100_000
    assert peak(codec_of(CODEC_IDS["delta"]), payload, 8, Layout(4), bytes(8)) < 100_000
    side = struct.pack("<BI", 0, len(payload)) + payload
    assert peak(codec_of(CODEC_IDS["rank-one"]), side, 4, Layout(4, 1)) < 100_000


@pytest.mark.parametrize("claimed", [1 << 40, (1 << 64) - 1, 1_001, 999])
def test_a_plane_that_claims_another_size_costs_nothing(claimed: int) -> None:
    frame = zstd_frame(claimed, 1_000)
    payload = planes_of(0, [(1, 1, frame)] * 4)
    assert peak(codec_of(TURNED), payload, 4_000, Layout(4)) < 100_000
    assert peak(codec_of(CODEC_IDS["delta"]), payload, 4_000, Layout(4), bytes(4_000)) < 100_000
