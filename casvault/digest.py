"""Digests: BLAKE3-256 of plain bytes, written as 64 lower-case hexadecimal digits.

Owns the invariant that identity is of plain bytes only: how a chunk is coded never changes its digest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from blake3 import blake3

__all__ = ["DIGEST_SIZE", "Hasher", "digest_of", "is_digest", "raw_digest_of"]

DIGEST_SIZE = 32
"""Length of a digest in bytes."""

_PATTERN = re.compile(r"[0-9a-f]{64}")


class Hasher:
    """BLAKE3 of bytes that arrive in pieces."""

    def __init__(self) -> None:
        self._state = blake3()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Add ``data``; releases the interpreter lock while it hashes."""
        self._state.update(data)

    def hexdigest(self) -> str:
        """Return the digest of everything so far."""
        return self._state.hexdigest()


def digest_of(data: bytes | bytearray | memoryview) -> str:
    """Return the digest of ``data``."""
    return blake3(data).hexdigest()


def raw_digest_of(pieces: Iterable[bytes | bytearray | memoryview]) -> bytes:
    """Return the 32 digest bytes of the pieces, one after another."""
    state = blake3()
    for piece in pieces:
        state.update(piece)
    return state.digest()


def is_digest(text: object) -> bool:
    """Tell whether ``text`` is a digest as casvault writes them."""
    return isinstance(text, str) and _PATTERN.fullmatch(text) is not None
