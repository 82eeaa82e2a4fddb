"""Deltas the other way round: of a chunk and its difference to a base, the base.

Both codecs with a base add to each word of it what does not depend on it, modulo 2 to the bits of a word. So decoding
against a base of zeros gives what is added, and taking that from the words of the chunk gives those of the base. What
comes out is only known to be the base once its digest was compared.
"""

from __future__ import annotations

import numpy as np

from casvault.codecs.codec import Bytes, Layout
from casvault.codecs.registry import codec_of
from casvault.codecs.words import checked_size, words_of
from casvault.errors import FormatError

__all__ = ["base_from"]


def base_from(codec: int, payload: Bytes, layout: Layout, plain: Bytes) -> bytes:
    """Return what ``payload`` must lean on to give ``plain``, but for a tail, which no delta tells; raises FormatError.

    ``codec`` is the id of one that needs a base.
    """
    made = codec_of(codec)
    if not made.needs_base:
        raise FormatError(f"{made.name} leans on nothing")
    size = checked_size(layout.item_size)
    added, _ = words_of(made.decode(payload, len(plain), layout, bytes(len(plain))), size)
    words, tail = words_of(plain, size)
    return bytes(np.subtract(words, added).tobytes() + tail)
