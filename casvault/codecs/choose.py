"""Which codec a chunk gets: the one that makes it smallest, told from a sample.

Owns the invariant that a payload is never larger than the plain bytes.
"""

from __future__ import annotations

from typing import Any

from casvault.codecs.codec import CODEC_IDS, Attempt, Bytes, Layout
from casvault.codecs.registry import codec_of
from casvault.codecs.zstd import Zstd

__all__ = ["encode", "encode_in_pieces"]

_WORD_SIZES = (2, 4, 8)
_SMALLEST = 32
"""Chunks below this many bytes are not worth a frame."""

_CLOSE, _SURPRISE = 1.02, 1.04
"""How much nearer to planes, and how much more than expected, makes a sample doubtful."""

_REGULAR = 0.7
"""Numbers that planes make smaller than this part may repeat themselves: then zstd is worth a look."""


def encode(data: Bytes, layout: Layout, base: Bytes | None = None, alone: int | None = None) -> tuple[int, bytes]:
    """Return the id of the codec that was chosen and the payload it made of ``data``.

    ``base`` are plain bytes that a delta may be taken against; whether one was, the codec's ``needs_base`` tells.
    ``alone`` is how many bytes the base, or what that leans on, takes where it stands alone, if that is known: what
    ``data`` would take is about the same, and need not be found out where a delta takes clearly less.
    """
    number, pieces = encode_in_pieces(data, layout, base, alone)
    return number, b"".join(pieces)


def encode_in_pieces(
    data: Bytes, layout: Layout, base: Bytes | None = None, alone: int | None = None
) -> tuple[int, list[Any]]:
    """Do what `encode` does, and return the payload as buffers, one after another."""
    if len(data) < _SMALLEST:
        return CODEC_IDS["raw"], [data]
    attempts = _attempts(data, layout, base, alone)
    name = min(attempts, key=lambda each: attempts[each].expected)
    pieces = attempts[name].pieces()
    predicted = layout.item_size in _WORD_SIZES and name != "turned-planes"
    if predicted and _doubtful(_length(pieces), attempts, name, alone):
        planes = attempts.get("turned-planes") or codec_of(CODEC_IDS["turned-planes"]).attempt(data, layout)
        assert planes is not None
        name, pieces = min((name, pieces), ("turned-planes", planes.pieces()), key=lambda made: _length(made[1]))
    return (CODEC_IDS[name], pieces) if _length(pieces) < len(data) else (CODEC_IDS["raw"], [data])


def _length(pieces: list[Any]) -> int:
    return sum(map(len, pieces))


def _doubtful(size: int, attempts: dict[str, Attempt], chosen: str, alone: int | None) -> bool:
    """Tell whether the sample may have been wrong: two were close, or the chunk is not the same all over."""
    expected, planes = attempts[chosen].expected, attempts.get("turned-planes")
    limit = planes.expected if planes is not None else alone or 0
    return max(size, expected) * _CLOSE > limit or size > expected * _SURPRISE


def _attempts(data: Bytes, layout: Layout, base: Bytes | None, alone: int | None) -> dict[str, Attempt]:
    attempts: dict[str, Attempt] = {}
    if layout.item_size in _WORD_SIZES:
        # numpy takes as long to import as all the rest: only who meets numbers pays for it.
        from casvault.codecs.weigh import of_numbers

        attempts = of_numbers(data, layout, base, alone)
        planes = attempts.get("turned-planes")
        if planes is None or planes.expected >= len(data) * _REGULAR:
            return attempts
    attempts["zstd"] = Zstd().attempt(data, layout)
    return attempts
