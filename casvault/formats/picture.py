"""A picture: bytes that begin as a JPEG or a PNG does, which is all that is ever looked at.

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
    """A picture's bytes and their media type."""

    data: bytes
    media_type: str


def picture_of(data: bytes, *, whole: bool = False) -> Picture:
    """Return ``data`` as a picture; with ``whole`` only where it also ends as such a picture does.

    Raises FormatError where it is none, is cut short or too large.
    """
    if len(data) > MAX_PICTURE:
        raise FormatError(f"it has more than {MAX_PICTURE >> 20} MiB")
    for media_type, begin, end in _KINDS:
        if data.startswith(begin):
            if whole and not data.endswith(end):
                raise FormatError("it is cut short")
            return Picture(data, media_type)
    raise FormatError("it is neither a JPEG nor a PNG")
