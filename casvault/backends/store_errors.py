"""What object stores refuse, and what goes wrong on the way to them, as one sentence each.

Owns the distinction between what another try may change (`BrokenLink`) and what it would not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from casvault.errors import BrokenLink, RemoteError

__all__ = ["LISTING", "BrokenOff", "store_errors"]

LISTING = "listing"

_TRIED = re.compile(r" after \d+ retries")
"""What obstore says of what it tried again and again."""

_METADATA = "169.254.169.254"
"""Where machines of Amazon's ask who they are; elsewhere nobody is there."""

_REFUSED = re.compile(r"non-2xx status code: 40[13]")
_LASTING = re.compile(rf"{re.escape(_METADATA)}|status code: 4(?!08|29)")
"""What another try would not change."""

_STATUS = re.compile(r"status code: ([0-9]{3}[A-Za-z \-]*)")
_PLACE = re.compile(r"https?://[^/\s]+")
_WHO = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, say that",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY say that",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS says that",
}


class BrokenOff(BrokenLink):
    """Something that obstore gave up at once, such as an answer that ended in its midst."""


@contextmanager
def store_errors(title: str, what: str) -> Iterator[None]:
    """Turn what obstore raises, of the store that is called ``title``, into one sentence; FileNotFoundError stays."""
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        text = str(error)
        refused = isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or _REFUSED.search(text)
        if refused and _METADATA not in text:
            raise RemoteError(
                f"{title} refuses {what}: who asks may not do that, or is not known there; {_who(title)}."
            ) from error
        if what == LISTING and "status code: 404" in text:
            raise RemoteError(f"{title}: there is no such bucket; make it with the store's own tools.") from error
        kind = RemoteError if _LASTING.search(text) else BrokenLink if _TRIED.search(text) else BrokenOff
        raise kind(f"{title}: {what} failed: {_reason(title, text)}") from error


def _reason(title: str, text: str) -> str:
    """Return what obstore says, in a few words: it goes on for a page, with all that was sent and came back."""
    status = _STATUS.search(text)
    if _METADATA in text:
        return f"it is not told who asks; {_who(title)}."
    if status is not None:
        return f"the store answers {status[1].strip()}."
    if "error sending request" in text:
        place = _PLACE.search(text)
        return f"nobody answers at {place[0] if place is not None else 'that address'}."
    first = text.partition("\n")[0].partition(": <?xml")[0].strip()
    return (first if len(first) <= 300 else f"{first[:300]} ...").rstrip(".:") + "."


def _who(title: str) -> str:
    return _WHO[title.partition(":")[0]]
