"""Which codec a chunk gets: the one that makes it smallest, told from a sample.

Owns the invariant that a payload is never larger than the plain bytes.
"""

from __future__ import annotations

from casvault.codecs.codec import CODEC_IDS, Layout
from casvault.codecs.registry import codec_of

__all__ = ["encode"]

_WORD_SIZES = (2, 4, 8)
_SAMPLE = 16 << 10
_SAMPLES = 3
_SMALLEST = 32
"""Chunks below this many bytes are not worth a frame."""


def encode(data: bytes | memoryview, layout: Layout) -> tuple[int, bytes]:
    """Return the id of the codec that was chosen and the payload it made of ``data``."""
    if len(data) >= _SMALLEST:
        number = _promising(data, layout)
        payload = codec_of(number).encode(data, layout)
        if len(payload) < len(data):
            return number, payload
    return CODEC_IDS["raw"], bytes(data)


def _promising(data: bytes | memoryview, layout: Layout) -> int:
    if layout.item_size not in _WORD_SIZES:
        return CODEC_IDS["zstd"]
    samples = _samples(memoryview(data), layout.item_size)
    sizes = {
        number: sum(len(codec_of(number).encode(sample, layout)) for sample in samples)
        for number in (CODEC_IDS["planes"], CODEC_IDS["zstd"])
    }
    return min(sizes, key=lambda number: sizes[number])


def _samples(view: memoryview, item_size: int) -> list[memoryview]:
    """Return a few pieces of whole items, spread over all of ``view``."""
    if len(view) <= _SAMPLE * _SAMPLES:
        return [view]
    step = (len(view) - _SAMPLE) // (_SAMPLES - 1)
    starts = [index * step // item_size * item_size for index in range(_SAMPLES)]
    return [view[start : start + _SAMPLE] for start in starts]
