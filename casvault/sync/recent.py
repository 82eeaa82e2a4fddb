"""Chunks that were just decoded, for what leans on them and comes next.

Owns the invariant that no more plain bytes are kept than was said.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from casvault.codecs import Bytes

__all__ = ["Recent"]


class Recent:
    """Keeps at most ``limit`` bytes of plain chunks by digest, those that were used last; safe for several threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._plains: OrderedDict[str, Bytes] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, digest: str, plain: Bytes) -> None:
        """Keep a chunk, and let go of others for it."""
        with self._lock:
            self._size += len(plain) - len(self._plains.pop(digest, b""))
            self._plains[digest] = plain
            while self._size > self._limit:
                self._size -= len(self._plains.popitem(last=False)[1])

    def get(self, digest: str) -> Bytes | None:
        """Return a chunk, None where it is not kept."""
        with self._lock:
            plain = self._plains.get(digest)
            if plain is not None:
                self._plains.move_to_end(digest)
            return plain
