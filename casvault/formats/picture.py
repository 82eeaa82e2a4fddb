"""A picture: bytes that begin as a JPEG or a PNG does. Beyond how they begin and end they are never looked at.

Owns the invariant that what counts as a picture has at most `MAX_PICTURE` bytes and one of `MEDIA_TYPES`.
"""

from __future__ import annotations

from dataclasses import dataclass

from casvault.errors import FormatError

__all__ = ["MAX_PICTURE", "MEDIA_TYPES", "Picture", "picture_of"]

MAX_PICTURE = 16 << 20
"""The most bytes that a picture may have."""

_KINDS = (
    ("image/jpeg", b"\xff\xd8\xff", b"\xff\xd9"),
    ("image/png", b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"),
)

MEDIA_TYPES = tuple(media_type for media_type, _, _ in _KINDS)


@dataclass(frozen=True)
class Picture:
    """A picture's bytes and their media type; ``whole`` tells that they also end as such a picture does."""

    data: bytes
    media_type: str
    whole: bool = True


def picture_of(data: bytes) -> Picture:
    """Return ``data`` as a picture; raises FormatError where it is none or too large."""
    if len(data) > MAX_PICTURE:
        raise FormatError(f"it has more than {MAX_PICTURE >> 20} MiB")
    for media_type, begin, end in _KINDS:
        if data.startswith(begin):
            return Picture(data, media_type, data.endswith(end))
    raise FormatError("it is neither a JPEG nor a PNG")
