"""Digests are BLAKE3-256 of plain bytes in lower-case hexadecimal."""

from __future__ import annotations

import pytest

from casvault.digest import DIGEST_SIZE, Hasher, digest_of, is_digest, raw_digest_of

# From the test vectors of BLAKE3 itself: input bytes count 0, 1, ... 250, 0, 1, ...
VECTORS = {
    0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
    1023: "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
    1025: "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
    102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
}


def vector(length: int) -> bytes:
    return (bytes(range(251)) * (length // 251 + 1))[:length]


@pytest.mark.parametrize(("length", "digest"), VECTORS.items())
def test_known_digests(length: int, digest: str) -> None:
    data = vector(length)
    assert digest_of(data) == digest
    assert digest_of(memoryview(bytearray(data))) == digest
    assert raw_digest_of([data[:7], memoryview(data)[7:]]) == bytes.fromhex(digest)


def test_pieces_are_hashed_as_one() -> None:
    data = vector(1025)
    hasher = Hasher()
    for start in range(0, len(data), 100):
        hasher.update(data[start : start + 100])
    assert hasher.hexdigest() == VECTORS[1025]


def test_is_digest() -> None:
    good = VECTORS[0]
    assert len(good) == 2 * DIGEST_SIZE
    assert is_digest(good)
    bad: list[object] = [good.upper(), good[:-1], good + "0", good + "\n", " " + good[1:], "g" * 64, "", None, 5]
    bad += [good.encode(), "\u0661" * 64, "../" + good[3:]]
    assert not any(is_digest(text) for text in bad)
