"""A forward reader over a source: small reads are buffered, long payloads are stepped over.

It owns the invariant that memory and bytes read follow what is taken, never what a length field claims.
"""

from __future__ import annotations

from casvault.errors import FormatError
from casvault.files.source import ByteSource

__all__ = ["Window"]

_SMALLEST = 2 << 10
_LARGEST = 256 << 10
_LONGEST_LINE = 1024


class Window:
    """A position in a source and the bytes around it.

    ``data[at]`` is the next byte. The read-ahead starts small after every jump and doubles while reading
    goes on in sequence, so headers between tensors do not pull the tensors in.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._start = 0
        self._ahead = _SMALLEST
        self.data = b""
        self.at = 0

    @property
    def position(self) -> int:
        """Offset of the next byte in the source."""
        return self._start + self.at

    def fill(self, length: int) -> int:
        """Buffer at least ``length`` bytes if there are as many; return how many are buffered."""
        buffered = len(self.data) - self.at
        if buffered < length and self._start + len(self.data) < self._source.size:
            self._start += self.at
            rest = self.data[self.at :]
            want = max(self._ahead, length - buffered)
            self.data = rest + self._source.read_at(self._start + buffered, want)
            self.at = 0
            self._ahead = min(_LARGEST, self._ahead * 2)
            buffered = len(self.data)
        return buffered

    def byte(self) -> int:
        """Take one byte."""
        at = self.at
        if at >= len(self.data):
            if not self.fill(1):
                raise FormatError("the pickle ends early")
            at = self.at
        self.at = at + 1
        return self.data[at]

    def take(self, length: int) -> bytes:
        """Take ``length`` bytes; FormatError when there are fewer."""
        if self.position + length > self._source.size or self.fill(length) < length:
            raise FormatError("the pickle ends early")
        at = self.at
        self.at = at + length
        return self.data[at : self.at]

    def number(self, length: int) -> int:
        """Take an unsigned little-endian number of ``length`` bytes."""
        return int.from_bytes(self.take(length), "little")

    def line(self) -> str:
        """Take text up to a newline, without it."""
        self.fill(_LONGEST_LINE)
        end = self.data.find(b"\n", self.at, self.at + _LONGEST_LINE)
        if end < 0:
            raise FormatError("a line of the pickle does not end")
        text = self.data[self.at : end].decode("utf-8", "replace")
        self.at = end + 1
        return text

    def skip(self, length: int) -> None:
        """Step over ``length`` bytes without reading those that are not buffered yet."""
        if self.position + length > self._source.size:
            raise FormatError("the pickle ends early")
        if self.at + length <= len(self.data):
            self.at += length
            return
        self._start += self.at + length
        self.data = b""
        self.at = 0
        self._ahead = _SMALLEST
