"""Turned words: exact for every pattern, and what the page says, word by word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.codecs.words import bias, turn, turn_back, unzigzag, words_of, zigzag


def turned(word: int, rotation: int, bits: int) -> int:
    """Return what one word becomes, in plain integers."""
    return (word << rotation | word >> (bits - rotation)) % (1 << bits)


@pytest.mark.parametrize("size", [2, 4, 8])
@given(data=st.data())
def test_turn_and_back(size: int, data: st.DataObject) -> None:
    bits = 8 * size
    numbers = data.draw(st.lists(st.integers(0, (1 << bits) - 1), min_size=1, max_size=20))
    rotation = data.draw(st.integers(0, bits - 1))
    words = np.array(numbers, f"<u{size}")
    for out in (np.empty_like(words), words.copy()):
        scratch = np.empty_like(words)
        turn(words, rotation, out, scratch)
        assert out.tolist() == [turned(word, rotation, bits) for word in numbers]
        turn_back(out, rotation, scratch)
        assert out.tolist() == numbers


@pytest.mark.parametrize("size", [2, 4, 8])
def test_every_rotation(size: int) -> None:
    words = np.random.default_rng(1).integers(0, 1 << 8 * size - 1, 100).astype(f"<u{size}")
    for rotation in range(8 * size):
        out, scratch = words.copy(), np.empty_like(words)
        turn(out, rotation, out, scratch)
        turn_back(out, rotation, scratch)
        assert out.tolist() == words.tolist()


def test_neighbours_of_either_sign_meet_in_the_middle() -> None:
    numbers = np.array([1.0, -1.0, 0.5, -0.5], np.float32)
    near = np.nextafter(numbers, np.float32(2))
    out, scratch = np.empty((2, 4), np.uint32)
    left = near.view(np.uint32) - numbers.view(np.uint32)
    turn(left + bias(left, 27), 27, out, scratch)
    assert [hex(word >> 24) for word in out.tolist()] == ["0x88", "0x78", "0x88", "0x78"]


def test_zigzag() -> None:
    signed = np.array([0, -1, 1, -2, 2, 32767, -32768], np.int16)
    folded = zigzag(signed.view(np.uint16))
    assert folded.tolist() == [0, 1, 2, 3, 4, 65534, 65535]
    assert unzigzag(folded).view(np.int16).tolist() == signed.tolist()


def test_words_and_what_is_left_over() -> None:
    words, tail = words_of(b"\1\0\2\0\3", 2)
    assert (words.tolist(), tail) == ([1, 2], b"\3")
