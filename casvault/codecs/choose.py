"""Which codec a chunk gets: the one that makes it smallest, told from a sample.

Owns the invariant that a payload is never larger than the plain bytes.
"""

from __future__ import annotations

from math import inf
from typing import Any

from casvault.codecs.codec import CODEC_IDS, Attempt, Bytes, Layout
from casvault.codecs.registry import codec_of

__all__ = ["encode", "encode_in_pieces"]

_WORD_SIZES = (2, 4, 8)
_SMALLEST = 32
"""Chunks below this many bytes are not worth a frame."""

_WORTH = 0.95
"""What a prediction must make of the planes to be thought a good one."""

_SURPRISE = 1.02
"""How much more than expected makes a sample doubtful."""

_REGULAR = 0.7
"""Numbers that planes make smaller than this part may repeat themselves: then zstd is worth a look."""


def encode(data: Bytes, layout: Layout, base: Bytes | None = None) -> tuple[int, bytes]:
    """Return the id of the codec that was chosen and the payload it made of ``data``.

    ``base`` are plain bytes that a delta may be taken against; whether one was, the codec's ``needs_base`` tells.
    """
    number, pieces = encode_in_pieces(data, layout, base)
    return number, b"".join(pieces)


def encode_in_pieces(data: Bytes, layout: Layout, base: Bytes | None = None) -> tuple[int, list[Any]]:
    """Do what `encode` does, and return the payload as buffers, one after another."""
    if len(data) < _SMALLEST:
        return CODEC_IDS["raw"], [data]
    attempts = _attempts(data, layout, base)
    name = min(attempts, key=lambda each: attempts[each].expected)
    pieces = attempts[name].pieces()
    planes = attempts.get("turned-planes")
    if planes is not None and name != "turned-planes" and _doubtful(_length(pieces), attempts[name], planes):
        name, pieces = min((name, pieces), ("turned-planes", planes.pieces()), key=lambda made: _length(made[1]))
    return (CODEC_IDS[name], pieces) if _length(pieces) < len(data) else (CODEC_IDS["raw"], [data])


def _length(pieces: list[Any]) -> int:
    return sum(map(len, pieces))


def _doubtful(size: int, chosen: Attempt, planes: Attempt) -> bool:
    """Tell whether the sample may have been wrong: two were close, or the chunk is not the same all over."""
    return size * _SURPRISE > planes.expected or size > chosen.expected * _SURPRISE


def _attempts(data: Bytes, layout: Layout, base: Bytes | None) -> dict[str, Attempt]:
    attempts: dict[str, Attempt] = {}

    def consider(name: str) -> None:
        attempt = codec_of(CODEC_IDS[name]).attempt(data, layout, base)
        if attempt is not None:
            attempts[name] = attempt

    if layout.item_size in _WORD_SIZES:
        consider("turned-planes")
        enough = _WORTH * attempts["turned-planes"].expected
        consider("delta")
        consider("rank-one-delta")
        # What a base predicts well, rows and columns alone do not predict better.
        if _least(attempts) > enough:
            consider("rank-one")
    planes = attempts.get("turned-planes")
    if planes is None or planes.expected < len(data) * _REGULAR:
        consider("zstd")
    return attempts


def _least(attempts: dict[str, Attempt]) -> float:
    return min((attempt.expected for attempt in attempts.values()), default=inf)
