"""Bytes that can be read at any offset: the one way in which formats and chunking see a file.

A source never maps the file into memory: a trainer that truncates its file while we read would kill
the process with SIGBUS. It owns the invariant that a read has no effect on any other reader's position.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol

__all__ = ["ByteSource", "FileSource", "MemorySource"]


class ByteSource(Protocol):
    """Readable bytes of a fixed size."""

    @property
    def size(self) -> int:
        """Length in bytes when the source was opened."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset``; fewer only where the bytes end."""


class MemorySource:
    """Bytes that are in memory already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset``."""
        return self._data[offset : offset + length]


class FileSource:
    """An open file descriptor that somebody else closes; safe to read from several threads."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Length in bytes as it was when the source was made."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset``; raises OSError as the system does."""
        pieces = []
        while length > 0:
            piece = self._read_once(offset, length)
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_once(self, offset: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, length, offset)
        with self._lock:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, length)
