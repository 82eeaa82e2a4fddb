"""The codec that changes nothing."""

from __future__ import annotations

from casvault.codecs.codec import Codec, Layout
from casvault.errors import FormatError

__all__ = ["Raw"]


class Raw(Codec):
    """The payload is the plain bytes."""

    name = "raw"

    def encode(self, data: bytes | memoryview, layout: Layout, base: bytes | None = None) -> bytes:
        """Return ``data``."""
        return bytes(data)

    def decode(self, payload: bytes | memoryview, plain_size: int, layout: Layout, base: bytes | None = None) -> bytes:
        """Return ``payload``; raises FormatError when its length is not ``plain_size``."""
        if len(payload) != plain_size:
            raise FormatError(f"a raw payload of {len(payload)} bytes instead of {plain_size}")
        return bytes(payload)
