"""Which codecs are worth a try for a chunk of words, told from one sample of it and of its base.

Most of a snapshot are chunks whose base predicts them well. For those a prediction is all that is sized up: what the
base takes standing alone is known from names, and tells within a part in a hundred what the chunk would take.
"""

from __future__ import annotations

from casvault.codecs.codec import Attempt, Bytes, Layout
from casvault.codecs.delta import Delta
from casvault.codecs.planes import PlanesAttempt, TurnedPlanes
from casvault.codecs.rank_one import RankOne, RankOneDelta
from casvault.codecs.sample import Sample

__all__ = ["of_numbers"]

_WORTH = 0.95
"""What a prediction must make of the planes to be thought a good one."""

_CLEARLY = 1.02
"""How many times what a prediction makes planes must make, for it to be sure that it makes less."""

_PLANES, _DELTA, _RANK_ONE, _BOTH = TurnedPlanes(), Delta(), RankOne(), RankOneDelta()


def of_numbers(data: Bytes, layout: Layout, base: Bytes | None, alone: int | None) -> dict[str, Attempt]:
    """Return what may make ``data`` smallest, by the names of codecs; without planes where they surely do not.

    ``base`` and ``alone`` are what `casvault.codecs.choose.encode` says.
    """
    sample = Sample(data, layout, base)
    attempts: dict[str, Attempt] = {}
    predicted = _nearest(sample)
    if predicted is not None:
        name, attempt = predicted
        if alone is not None and attempt.expected * _CLEARLY < alone and sample.is_noise:
            return {name: attempt}
        attempts[name] = attempt
    planes = attempts[_PLANES.name] = _PLANES.weigh(sample)
    # What a base predicts well, rows and columns alone do not predict better.
    if not predicted or predicted[1].expected > _WORTH * planes.expected:
        rank_one = _RANK_ONE.weigh(sample)
        if rank_one is not None:
            attempts[_RANK_ONE.name] = rank_one
    return attempts


def _nearest(sample: Sample) -> tuple[str, PlanesAttempt] | None:
    """Return the prediction by the base that promises most, None where none promises anything."""
    delta, both = _DELTA.weigh(sample), _BOTH.weigh(sample)
    if delta is None:
        return None
    # Where one spares bits that the other does not, nothing has to be coded to tell.
    if both is None or both.spared < delta.spared:
        return (_DELTA.name, delta) if delta.spared else None
    if both.spared > delta.spared or both.expected < delta.expected:
        return _BOTH.name, both
    return _DELTA.name, delta
