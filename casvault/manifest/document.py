"""JSON documents with a checksum: how manifests and labels are written, and checked before a field is believed.

A document is one JSON object in UTF-8 on one line. Its last member is ``"checksum"``: the BLAKE3-256, in hexadecimal,
of all bytes before the comma in front of it. So it is checked over bytes, whatever a reader's JSON library does to
numbers.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from casvault.digest import digest_of
from casvault.errors import BadManifest

__all__ = ["MAX_DOCUMENT", "Fields", "read_document", "same_document", "write_document"]

MAX_DOCUMENT = 64 << 20
"""The most bytes a document may have; a manifest of 800 MB has some 0.1 MiB."""

_MARK = b',"checksum":"'
_TAIL = len(_MARK) + 64 + len(b'"}\n')
_MAX_INT = 1 << 63
_MAX_NUMBER = 1e300
_SURROGATE = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")
"""An escape for half a character; casvault writes characters as they are."""

T = TypeVar("T")


def write_document(fields: dict[str, Any]) -> bytes:
    """Return the document for ``fields``, none of which may be called checksum; raises ValueError for NaN."""
    body = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    hashed = body[:-1]
    return hashed + _MARK + digest_of(hashed).encode() + b'"}\n'


def read_document(data: bytes, name: str) -> Fields:
    """Check and parse a document; ``name`` is its own, for the message. Raises BadManifest."""
    hashed, tail = data[:-_TAIL], data[-_TAIL:]
    if tail != _MARK + digest_of(hashed).encode() + b'"}\n':
        raise BadManifest(f"{name} is damaged: its checksum does not match.")
    try:
        if b"\\u" in data and _SURROGATE.search(data):
            raise ValueError("it holds something that is not text")
        parsed = json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BadManifest(f"{name} is not a document that casvault wrote: {_short(error)}.") from error
    if not isinstance(parsed, dict):
        raise BadManifest(f"{name} is not a document that casvault wrote: it is no object.")
    return Fields(parsed, name)


def same_document(damaged: bytes, whole: bytes) -> bool:
    """Tell whether a damaged document was the ``whole`` one, as far as what is left of it tells.

    Its checksum is the same, or its bytes have the checksum of the whole one, or it was cut short and perhaps filled up
    with zeros.
    """
    if damaged[-_TAIL:] == whole[-_TAIL:] or damaged[:-_TAIL] == whole[:-_TAIL]:
        return True
    return len(damaged) <= len(whole) and whole.startswith(damaged.rstrip(b"\0"))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _short(error: BaseException) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]


class Fields:
    """The members of a JSON object, read with their types checked; every method raises BadManifest."""

    def __init__(self, values: Any, name: str) -> None:
        if not isinstance(values, dict):
            raise BadManifest(f"{name} holds something that is not an object where one must be.")
        self.values: dict[str, Any] = values
        self.name = name

    def bad(self, key: str, why: str) -> BadManifest:
        """Return the error that says that ``key`` is wrong."""
        return BadManifest(f"{self.name} is not to be trusted: {key} {why}.")

    def text(self, key: str, check: Callable[[str], bool] | None = None) -> str:
        """Return a string that passes ``check``."""
        value = self.values.get(key)
        if not isinstance(value, str) or (check is not None and not check(value)):
            raise self.bad(key, "is missing or not of its form")
        return value

    def text_or_none(self, key: str, check: Callable[[str], bool] | None = None) -> str | None:
        """Return a string, or None where it is null or absent."""
        return None if self.values.get(key) is None else self.text(key, check)

    def whole(self, key: str) -> int:
        """Return an integer from 0 to 2^63 - 1."""
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MAX_INT:
            raise self.bad(key, "is missing or not a whole number in range")
        return value

    def whole_or_none(self, key: str) -> int | None:
        """Return an integer, or None where it is null or absent."""
        return None if self.values.get(key) is None else self.whole(key)

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a truth value."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.bad(key, "is neither true nor false")
        return value

    def items(self, key: str, make: Callable[[Any], T]) -> tuple[T, ...]:
        """Return a list, each member made by ``make``; an absent list is empty."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.bad(key, "is not a list")
        return tuple(make(item) for item in value)

    def numbers(self, key: str) -> dict[str, Any] | None:
        """Return an object whose values are null or finite numbers; None where it is null."""
        values = self.scalars(key)
        for value in (values or {}).values():
            if value is not None and (type(value) not in (int, float) or abs(value) > _MAX_NUMBER):
                raise self.bad(key, "holds more than numbers")
        return values

    def scalars(self, key: str) -> dict[str, Any] | None:
        """Return an object whose values are null, truth values, numbers or strings; None where it is null."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.bad(key, "is not an object")
        for item in value.values():
            if not isinstance(item, str | int | float | None) or (isinstance(item, float) and not math.isfinite(item)):
                raise self.bad(key, "holds more than plain values")
        return value
