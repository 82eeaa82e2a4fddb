"""Codecs by their id."""

from __future__ import annotations

from importlib import import_module

from casvault.codecs.codec import CODEC_IDS, Codec
from casvault.errors import FormatError

__all__ = ["codec_of"]

_PLACES = {
    "raw": ("raw", "Raw"),
    "zstd": ("zstd", "Zstd"),
    "planes": ("planes", "Planes"),
    "delta": ("delta", "Delta"),
    "rank-one": ("rank_one", "RankOne"),
    "rank-one-delta": ("rank_one", "RankOneDelta"),
    "turned-planes": ("planes", "TurnedPlanes"),
}
_NAMES = {number: name for name, number in CODEC_IDS.items()}
_made: dict[str, Codec] = {}


def codec_of(number: int) -> Codec:
    """Return the codec with id ``number``; raises FormatError where this version has none."""
    name = _NAMES.get(number, "")
    if name not in _PLACES:
        raise FormatError(f"codec {number} is not known to this version of casvault")
    if name not in _made:
        # numpy takes as long to import as all the rest: only who meets numbers pays for it.
        module, made = _PLACES[name]
        _made[name] = getattr(import_module(f"casvault.codecs.{module}"), made)()
    return _made[name]
