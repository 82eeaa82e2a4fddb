"""The codec that changes nothing."""

from __future__ import annotations

from casvault.codecs.codec import Attempt, Bytes, Codec, Layout
from casvault.errors import FormatError

__all__ = ["Raw"]


class Raw(Codec):
    """The payload is the plain bytes."""

    name = "raw"

    def attempt(self, data: Bytes, layout: Layout, base: Bytes | None = None) -> Attempt:
        """Return an attempt that is just as long as ``data``."""
        return _RawAttempt(data)

    def decode(self, payload: Bytes, plain_size: int, layout: Layout, base: Bytes | None = None) -> Bytes:
        """Return ``payload``; raises FormatError when its length is not ``plain_size``."""
        if len(payload) != plain_size:
            raise FormatError(f"a raw payload of {len(payload)} bytes instead of {plain_size}")
        return payload


class _RawAttempt(Attempt):
    def __init__(self, data: Bytes) -> None:
        self._data = data

    @property
    def expected(self) -> int:
        """The bytes there are."""
        return len(self._data)

    def pieces(self) -> list[Bytes]:
        """Return the bytes."""
        return [self._data]
