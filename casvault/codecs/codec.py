"""What a codec is, and the numbers that name them for ever.

A codec turns the plain bytes of a chunk into a payload and back. `decode` must return exactly ``plain_size``
bytes or raise FormatError, must not allocate more than a small multiple of ``plain_size`` whatever the payload
claims, and must give what `encode` was given for every input, of any length and any bit pattern.
A codec knows nothing of files or digests; the caller checks what comes out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from casvault.errors import FormatError

__all__ = ["CODEC_IDS", "MAX_PLAIN_SIZE", "Attempt", "Bytes", "Codec", "Layout", "check_base"]

Bytes = bytes | memoryview
"""Plain bytes or a payload; who gives a memoryview does not write to what is under it any more."""

CODEC_IDS = {
    "raw": 1,
    "zstd": 2,
    "planes": 3,
    "delta": 4,
    "rank-one": 5,
    "rank-one-delta": 6,
    "pack": 7,
    "turned-planes": 8,
}
"""Every codec id that was ever given out; an id is permanent and never used again.

3 is read but not written any more: 8 took its place. 7 is kept for packs of small objects.
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


class Attempt(ABC):
    """A chunk about to be coded in one way."""

    @property
    @abstractmethod
    def expected(self) -> int:
        """The payload's size in bytes as far as a sample tells."""

    @abstractmethod
    def pieces(self) -> list[Any]:
        """Do the work and return the payload as buffers, one after another: to join them would copy it once more."""

    def payload(self) -> bytes:
        """Do the work and return the payload."""
        return b"".join(self.pieces())


class Codec(ABC):
    """One way to code a chunk."""

    name: str
    """The codec's key in CODEC_IDS."""

    needs_base = False
    """Whether `attempt`, `encode` and `decode` want the plain bytes of a base chunk, as long as the chunk itself."""

    @abstractmethod
    def attempt(self, data: Bytes, layout: Layout, base: Bytes | None = None) -> Attempt | None:
        """Size up ``data`` by a sample; None where this codec is not made for it."""

    def encode(self, data: Bytes, layout: Layout, base: Bytes | None = None) -> bytes:
        """Return the payload for ``data``; raises FormatError where this codec is not made for it."""
        attempt = self.attempt(data, layout, base)
        if attempt is None:
            raise FormatError(f"{self.name} does not code such a chunk")
        return attempt.payload()

    @abstractmethod
    def decode(self, payload: Bytes, plain_size: int, layout: Layout, base: Bytes | None = None) -> Bytes:
        """Return the ``plain_size`` bytes that ``payload`` stands for; raises FormatError."""


def check_base(base: Bytes | None, size: int) -> Bytes:
    """Return ``base``; raises FormatError where it is missing or is not of ``size`` bytes."""
    if base is None or len(base) != size:
        raise FormatError(f"a base of {len(base or b'')} bytes where {size} are needed")
    return base
