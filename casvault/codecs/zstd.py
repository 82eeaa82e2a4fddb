"""Zstandard (RFC 8878): one frame that carries its content size.

Owns the cap on decoding: a frame that claims another size than the object's header does is refused before a
single byte is allocated for it, so a small frame that claims a terabyte costs nothing.
"""

from __future__ import annotations

import threading
from typing import Any

import zstandard

from casvault.codecs.codec import Attempt, Bytes, Codec, Layout
from casvault.errors import FormatError

__all__ = ["Zstd", "compress_entropy", "compress_text", "decompress", "entropy_compressor"]

_PIECES, _PIECE = 3, 8 << 10
_local = threading.local()


def _text() -> zstandard.ZstdCompressor:
    if not hasattr(_local, "text"):
        _local.text = zstandard.ZstdCompressor(level=3)
    compressor: zstandard.ZstdCompressor = _local.text
    return compressor


def entropy_compressor() -> zstandard.ZstdCompressor:
    """Return the thread's own compressor for bytes that only have skewed frequencies."""
    # Byte planes of numbers have skewed frequencies and hardly a repetition: long matches and a tiny hash table
    # leave the work to the Huffman coder, at four times the speed of level 1 and with a better ratio.
    if not hasattr(_local, "entropy"):
        parameters = zstandard.ZstdCompressionParameters.from_level(1, min_match=7, hash_log=6, window_log=18)
        _local.entropy = zstandard.ZstdCompressor(compression_params=parameters)
    compressor: zstandard.ZstdCompressor = _local.entropy
    return compressor


def compress_text(data: bytes | memoryview) -> bytes:
    """Compress bytes in which things repeat."""
    return _text().compress(data)


def compress_entropy(data: Any) -> bytes:
    """Compress bytes (any buffer of them) that only have skewed frequencies."""
    return entropy_compressor().compress(data)


def decompress(payload: bytes | memoryview, plain_size: int) -> bytes:
    """Return the ``plain_size`` bytes of the frame ``payload``; raises FormatError."""
    try:
        claimed = zstandard.frame_content_size(payload)
        if claimed != plain_size:
            raise FormatError(f"a zstd frame of {claimed} bytes instead of {plain_size}")
        if plain_size == 0:
            return b""
        if not hasattr(_local, "decompressor"):
            _local.decompressor = zstandard.ZstdDecompressor()
        plain: bytes = _local.decompressor.decompress(payload, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError(f"a zstd frame that does not decode: {error}") from error
    if len(plain) != plain_size:
        raise FormatError(f"a zstd frame that holds {len(plain)} bytes instead of {plain_size}")
    return plain


class Zstd(Codec):
    """The payload is one zstd frame."""

    name = "zstd"

    def attempt(self, data: Bytes, layout: Layout, base: Bytes | None = None) -> Attempt:
        """Size up ``data`` by a few pieces of it."""
        return _ZstdAttempt(data)

    def decode(self, payload: Bytes, plain_size: int, layout: Layout, base: Bytes | None = None) -> Bytes:
        """Return the frame's content; raises FormatError."""
        return decompress(payload, plain_size)


class _ZstdAttempt(Attempt):
    def __init__(self, data: Bytes) -> None:
        self._data = memoryview(data)
        self._made: bytes | None = None
        if len(data) <= _PIECE * _PIECES:
            self._made = compress_text(data)
            self._expected = len(self._made)
            return
        step = (len(data) - _PIECE) // (_PIECES - 1)
        pieces = [self._data[index * step : index * step + _PIECE] for index in range(_PIECES)]
        self._expected = sum(len(compress_text(piece)) for piece in pieces) * len(data) // (_PIECE * _PIECES)

    @property
    def expected(self) -> int:
        """What pieces of it take, times how many there would be."""
        return self._expected

    def pieces(self) -> list[bytes]:
        """Return the frame."""
        return [self._made if self._made is not None else compress_text(self._data)]
