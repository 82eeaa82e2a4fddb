"""A sample: a few lines of a chunk's words, spread over it, and the same of its base.

All codecs for numbers are sized up on one sample. It is taken as a window of a matrix, in one step: what costs is not
how many words there are but how many calls it takes, and how often the memory is waited for. Where a chunk has rows,
the lines are parts of rows, one below the other, so that rows and columns can be told from it as well.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from casvault.codecs.codec import Attempt, Bytes, Codec, Layout
from casvault.codecs.words import WORD_SIZES, words_of
from casvault.codecs.zstd import compress_entropy

__all__ = ["NumbersCodec", "Sample"]

_LINE, _WORDS = 64, 1024
"""The most words in a line where there are more than one, and about how many there are in all."""


class Sample:
    """The words of a chunk, whose layout says that they are some, and of a base of the same length.

    ``words`` and ``before`` (None without a base) are all words, ``tail`` the bytes that are left over. ``lines`` are
    the sample, a matrix, and ``differences`` what it differs from the base by; neither is to be written to.
    """

    def __init__(self, data: Bytes, layout: Layout, base: Bytes | None) -> None:
        self.layout = layout
        self.words, self.tail = words_of(data, layout.item_size)
        self.before = None
        if base is not None and len(base) == len(data):
            self.before, _ = words_of(base, layout.item_size)
        rows = layout.row_length
        window = _window(len(self.words), rows if rows and len(data) % (rows * layout.item_size) == 0 else 0)
        self.lines = np.ascontiguousarray(_seen(self.words, window))
        self.differences = None
        if self.before is not None:
            self.differences = np.subtract(self.lines, _seen(self.before, window))

    @property
    def is_noise(self) -> bool:
        """Whether the lowest bytes are; those of numbers that repeat themselves, or were rounded, are not."""
        lowest = np.ascontiguousarray(self.lines.view(np.uint8)[:, :: self.words.itemsize])
        return len(compress_entropy(lowest)) >= lowest.size


class NumbersCodec(Codec):
    """A codec for chunks of words."""

    def attempt(self, data: Bytes, layout: Layout, base: Bytes | None = None) -> Attempt | None:
        """Size up ``data``, words of a size in WORD_SIZES."""
        return self.weigh(Sample(data, layout, base)) if layout.item_size in WORD_SIZES else None

    @abstractmethod
    def weigh(self, sample: Sample) -> Attempt | None:
        """Size up a chunk that was sampled already; None where this codec is not made for it."""


def _window(count: int, length: int) -> tuple[int, int, int, int]:
    """Return for ``count`` words, in rows of ``length`` if any: how many to a line, every how many lines, from which
    word to which.
    """
    if count <= _WORDS:
        return length or count or 1, 1, 0, length or count
    if not length or count < length * (_WORDS // min(length, _LINE)):
        length = count // (_WORDS // _LINE)
    width = min(length, _LINE)
    start = (length - width) // 2
    return length, max(1, count // length * width // _WORDS), start, start + width


def _seen(words: Any, window: tuple[int, int, int, int]) -> Any:
    length, step, start, stop = window
    return words[: len(words) // length * length].reshape(-1, length)[::step, start:stop]
