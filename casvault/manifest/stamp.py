"""Stamps: names that sort by time and are never given twice.

A snapshot's id and the time in a label's name are stamps: ``20261124T031500.123Z-1f3c9a``, which is UTC to the
millisecond and three random bytes. A new stamp is bumped past the newest one that is known, so that the order of names
is the order of events even where a clock was set back.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta, timezone

from casvault.errors import BadManifest

__all__ = ["Stamp", "from_iso", "is_time", "iso_of_ns", "to_iso"]

_PATTERN = re.compile(
    r"(?!0000|9999)[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]\.[0-9]{3}Z-[0-9a-f]{6}"
)
"""The year 9999 is left out: nothing could come after its end."""

_TIME = "%Y%m%dT%H%M%S.%f"
_PARTS = ((0, 4), (4, 6), (6, 8), (9, 11), (11, 13), (13, 15), (16, 19))
_MILLISECOND = timedelta(milliseconds=1)


class Stamp:
    """Making and reading stamps; all times are UTC."""

    @staticmethod
    def valid(text: object) -> bool:
        """Tell whether ``text`` is a stamp of a real moment."""
        if not isinstance(text, str) or _PATTERN.fullmatch(text) is None:
            return False
        try:
            Stamp.time(text)
        except ValueError:
            return False
        return True

    @staticmethod
    def shaped(text: str) -> bool:
        """Tell whether ``text`` has the form of a stamp; quick, for names in a listing. 31 February has it as well."""
        return _PATTERN.fullmatch(text) is not None

    @staticmethod
    def time(stamp: str) -> datetime:
        """Return the moment of ``stamp``; raises ValueError."""
        if _PATTERN.fullmatch(stamp) is None:
            raise ValueError(f"{stamp!r} is no stamp")
        # Once for every snapshot: strptime would take ten times as long, and as much again to import.
        year, month, day, hour, minute, second, milli = (int(stamp[start:stop]) for start, stop in _PARTS)
        return datetime(year, month, day, hour, minute, second, milli * 1000, timezone.utc)

    @staticmethod
    def new(newest: str | None = None, now: datetime | None = None) -> str:
        """Return a stamp of ``now``, or of one millisecond after ``newest`` where that is later.

        Raises BadManifest where nothing can come after ``newest``.
        """
        moment = now or datetime.now(timezone.utc)
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        if newest is not None:
            try:
                moment = max(moment, Stamp.time(newest) + _MILLISECOND)
            except (OverflowError, ValueError):
                raise BadManifest(f"{newest} is dated after the end of time: delete it, then run gc.") from None
        return f"{moment.strftime(_TIME)[:19]}Z-{os.urandom(3).hex()}"


def to_iso(moment: datetime) -> str:
    """Write a moment as in a manifest: ``2026-11-24T03:15:00.123Z``."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_of_ns(nanoseconds: int | None) -> str | None:
    """Write a time of a file as `to_iso` does; None for none, and for one that no calendar has."""
    if nanoseconds is None:
        return None
    try:
        return to_iso(datetime.fromtimestamp(nanoseconds / 1e9, timezone.utc))
    except (ValueError, OverflowError, OSError):
        return None


def from_iso(text: str) -> datetime:
    """Read what `to_iso` wrote; raises ValueError."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    try:
        return moment.astimezone(timezone.utc)
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None


def is_time(text: str) -> bool:
    """Tell whether ``text`` is a time as `from_iso` reads it."""
    try:
        from_iso(text)
    except ValueError:
        return False
    return True
