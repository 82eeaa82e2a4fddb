"""A stored member of an archive, read as a source of its own."""

from __future__ import annotations

from casvault.files.source import ByteSource

__all__ = ["Member"]


class Member:
    """``size`` bytes of another source, from ``offset`` on."""

    def __init__(self, source: ByteSource, offset: int, size: int) -> None:
        self._source = source
        self._size = size
        self.offset = offset

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset`` of the member."""
        return self._source.read_at(self.offset + offset, max(0, min(length, self._size - offset)))
