"""The difference to a base: the same tensor one save earlier predicts every word, and the rest is kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from casvault.codecs.codec import Bytes, Layout, check_base
from casvault.codecs.planes import PlanesAttempt, Predict, read_planes
from casvault.codecs.sample import NumbersCodec, Sample
from casvault.codecs.words import checked_size, words_of

__all__ = ["Delta"]


class Delta(NumbersCodec):
    """Byte planes of what the base does not predict."""

    name = "delta"
    needs_base = True

    def weigh(self, sample: Sample) -> PlanesAttempt | None:
        """Size up a chunk that has a base of its length."""
        if sample.before is None:
            return None
        return PlanesAttempt(sample, sample.differences, _predict(sample.before))

    def decode(self, payload: Bytes, plain_size: int, layout: Layout, base: Bytes | None = None) -> Bytes:
        """Return the words that differ from ``base`` as the payload says; raises FormatError."""
        before, _ = words_of(check_base(base, plain_size), checked_size(layout.item_size))
        return read_planes(memoryview(payload), plain_size, layout.item_size, _predict(before))


def _predict(before: Any) -> Predict:
    def predict(start: int, stop: int, bias: Any, out: Any) -> None:
        np.subtract(before[start:stop], bias, out=out)

    return predict
