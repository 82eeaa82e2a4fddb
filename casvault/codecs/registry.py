"""Codecs by their id."""

from __future__ import annotations

from casvault.codecs.codec import CODEC_IDS, Codec
from casvault.errors import FormatError

__all__ = ["codec_of"]

_NAMES = {number: name for name, number in CODEC_IDS.items()}
_made: dict[str, Codec] = {}


def codec_of(number: int) -> Codec:
    """Return the codec with id ``number``; raises FormatError where this version has none."""
    name = _NAMES.get(number, "")
    if name not in _made:
        _made[name] = _make(name, number)
    return _made[name]


def _make(name: str, number: int) -> Codec:
    # numpy takes as long to import as all the rest: only who meets numbers pays for it.
    if name == "raw":
        from casvault.codecs.raw import Raw

        return Raw()
    if name == "zstd":
        from casvault.codecs.zstd import Zstd

        return Zstd()
    if name == "planes":
        from casvault.codecs.planes import Planes

        return Planes()
    raise FormatError(f"codec {number} is not known to this version of casvault")
