"""The difference to a base: the same tensor one save earlier predicts every word, and the rest is kept."""

from __future__ import annotations

from casvault.codecs.codec import Attempt, Bytes, Codec, Layout, check_base
from casvault.codecs.planes import PlanesAttempt, read_planes
from casvault.codecs.words import WORD_SIZES, checked_size, words_of

__all__ = ["Delta"]


class Delta(Codec):
    """Byte planes of what the base does not predict."""

    name = "delta"
    needs_base = True

    def attempt(self, data: Bytes, layout: Layout, base: Bytes | None = None) -> Attempt | None:
        """Size up ``data``, words of a size in WORD_SIZES, against a base of the same length."""
        if layout.item_size not in WORD_SIZES or base is None or len(base) != len(data):
            return None
        words, tail = words_of(data, layout.item_size)
        before, _ = words_of(base, layout.item_size)
        return PlanesAttempt(words, tail, lambda start, stop: before[start:stop])

    def decode(self, payload: Bytes, plain_size: int, layout: Layout, base: Bytes | None = None) -> Bytes:
        """Return the words that differ from ``base`` as the payload says; raises FormatError."""
        before, _ = words_of(check_base(base, plain_size), checked_size(layout.item_size))
        return read_planes(memoryview(payload), plain_size, layout.item_size, lambda start, stop: before[start:stop])
