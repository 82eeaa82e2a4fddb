"""What a codec is, and the numbers that name them for ever.

A codec turns the plain bytes of a chunk into a payload and back. `decode` must return exactly ``plain_size``
bytes or raise FormatError, must not allocate more than a small multiple of ``plain_size`` whatever the payload
claims, and must give what `encode` was given for every input, of any length and any bit pattern.
A codec knows nothing of files or digests; the caller checks what comes out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

__all__ = ["CODEC_IDS", "MAX_PLAIN_SIZE", "Codec", "Layout"]

CODEC_IDS = {
    "raw": 1,
    "zstd": 2,
    "planes": 3,
    "delta": 4,
    "rank-one": 5,
    "rank-one-delta": 6,
    "pack": 7,
}
"""Every codec id that was ever given out; an id is permanent and never used again.

1 to 3 are written today. 4 to 6 are kept for deltas and predictions, 7 for packs of small objects.
"""

MAX_PLAIN_SIZE = 64 << 20
"""The most plain bytes that one object may hold; readers refuse more before they allocate."""


class Layout(NamedTuple):
    """How the numbers in a chunk lie.

    ``item_size`` is the bytes per number (2, 4 or 8; anything else: not numbers), ``row_length`` the numbers
    per row (0: no rows).
    """

    item_size: int = 0
    row_length: int = 0


class Codec(ABC):
    """One way to code a chunk."""

    name: str
    """The codec's key in CODEC_IDS."""

    needs_base = False
    """Whether `encode` and `decode` want the plain bytes of a base chunk."""

    @abstractmethod
    def encode(self, data: bytes | memoryview, layout: Layout, base: bytes | None = None) -> bytes:
        """Return the payload for ``data``."""

    @abstractmethod
    def decode(self, payload: bytes | memoryview, plain_size: int, layout: Layout, base: bytes | None = None) -> bytes:
        """Return the ``plain_size`` bytes that ``payload`` stands for; raises FormatError."""
