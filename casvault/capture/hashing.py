"""The digest of a whole file, read piece by piece."""

from __future__ import annotations

from casvault.digest import Hasher
from casvault.files.source import ByteSource
from casvault.progress import Progress

__all__ = ["digest_of_source"]

_PIECE = 1 << 20


def digest_of_source(source: ByteSource, progress: Progress) -> str:
    """Return the digest of all bytes of ``source``, which count as progress; raises OSError as the source does."""
    hasher = Hasher()
    for offset in range(0, source.size, _PIECE):
        piece = source.read_at(offset, _PIECE)
        hasher.update(piece)
        progress.advance(len(piece))
    return hasher.hexdigest()
