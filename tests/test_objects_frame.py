"""Frames: the layout byte for byte, and no damage that goes unseen."""

from __future__ import annotations

import struct

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from casvault.codecs.codec import Layout
from casvault.errors import CasvaultError, DamageError, UnsupportedVault
from casvault.objects.frame import HEADER_SIZE, Frame

BASE = "ab" * 32
PAYLOAD = b"a payload"


def by_hand(
    payload: bytes = PAYLOAD,
    magic: bytes = b"CVOB",
    version: int = 1,
    flags: int = 0,
    plain: int = 20,
    stored: int | None = None,
    base: bytes = bytes(32),
) -> bytes:
    """Write a frame from the description of the format alone."""
    head = magic + bytes([version, 3]) + struct.pack("<H", flags) + struct.pack("<II", 4, 5)
    head += struct.pack("<QQ", plain, len(payload) if stored is None else stored) + base
    assert len(head) == 64
    return head + blake3(head + payload).digest() + payload


def test_byte_for_byte() -> None:
    frame = Frame(3, Layout(4, 5), 20, None, PAYLOAD)
    assert b"".join(frame.pieces()) == by_hand()
    assert len(by_hand()) == HEADER_SIZE + len(PAYLOAD) == 96 + 9
    assert Frame.parse(by_hand(), "x") == frame


def test_byte_for_byte_with_a_base_and_flags() -> None:
    frame = Frame(3, Layout(4, 5), 20, BASE, PAYLOAD, flags=0x0081)
    data = by_hand(base=bytes.fromhex(BASE), flags=0x0081)
    assert b"".join(frame.pieces()) == data
    assert Frame.parse(data, "x") == frame


def test_the_payload_is_not_copied() -> None:
    assert Frame(1, Layout(), 9, None, PAYLOAD).pieces()[-1] is PAYLOAD


@given(
    st.builds(
        Frame,
        st.integers(0, 255),
        st.builds(Layout, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
        st.integers(0, 64 << 20),
        st.none() | st.binary(min_size=32, max_size=32).filter(any).map(bytes.hex),
        st.binary(min_size=1, max_size=50),
        st.integers(0, 255),
    )
)
def test_round_trip(frame: Frame) -> None:
    assert Frame.parse(b"".join(frame.pieces()), "x") == frame


@pytest.mark.parametrize("data", [by_hand(), by_hand(base=b"b" * 32, flags=7)])
def test_every_changed_byte_is_seen(data: bytes) -> None:
    for place in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(data)
            changed[place] ^= flip
            with pytest.raises(DamageError):
                Frame.parse(bytes(changed), "x")


def test_every_truncation_and_extension_is_seen() -> None:
    data = by_hand()
    for end in range(len(data)):
        with pytest.raises(DamageError):
            Frame.parse(data[:end], "x")
    for more in (b"\0", b"more", data):
        with pytest.raises(DamageError):
            Frame.parse(data + more, "x")


def test_swapped_payloads_are_seen() -> None:
    one, two = by_hand(b"payload A"), by_hand(b"payload B")
    with pytest.raises(DamageError, match="object x is damaged"):
        Frame.parse(one[:96] + two[96:], "x")


@pytest.mark.parametrize("change", [{"version": 2}, {"version": 0}, {"flags": 0x0100}, {"flags": 0x8000}])
def test_newer_frames_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(UnsupportedVault, match="newer casvault"):
        Frame.parse(by_hand(**change), "x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        by_hand(plain=(64 << 20) + 1),
        by_hand(plain=1 << 40),
        by_hand(plain=2**64 - 1),
        by_hand(stored=8),
        by_hand(stored=10),
        by_hand(stored=2**64 - 1),
        by_hand(magic=b"CVOC"),
        by_hand(payload=b""),
        b"",
        bytes(200),
    ],
)
def test_frames_with_a_right_checksum_that_are_wrong(data: bytes) -> None:
    with pytest.raises(DamageError, match="object objects/x"):
        Frame.parse(data, "objects/x")


def test_the_largest_chunk_is_allowed() -> None:
    assert Frame.parse(by_hand(plain=64 << 20), "x").plain_size == 64 << 20


@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    for text in (data, b"CVOB" + data, by_hand()[:64] + data):
        with pytest.raises(CasvaultError):
            Frame.parse(text, "x")
