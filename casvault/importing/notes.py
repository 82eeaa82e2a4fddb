"""What was written down of a copy: ``metadata.json`` or ``version.json`` in it, or ``NAME.json`` beside it.

Only four members are taken, and only where they are of their form: ``name``, ``notes``, ``iteration`` and ``created``.
The file may come from anybody: it is never more than `_LARGEST` bytes, and nothing in it is a path or a command.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from casvault.errors import UsageError
from casvault.files.shared_open import open_shared
from casvault.files.source import FileSource
from casvault.manifest.label import check_name, check_notes
from casvault.manifest.stamp import to_iso

__all__ = ["Notes", "read_notes"]

_LARGEST = 64 << 10
_NAMES = ("metadata.json", "version.json")
_LATEST_SECONDS = 253_402_300_799
"""The end of the year 9999: what a time can be."""


@dataclass(frozen=True)
class Notes:
    """What was written down; ``created`` is ISO 8601 in UTC. ``path`` is the file, None where there is none.

    ``all_taken`` tells that the file holds nothing else; ``problems`` are sentences about what was not of its form.
    """

    name: str | None = None
    notes: str | None = None
    iteration: int | None = None
    created: str | None = None
    path: Path | None = None
    all_taken: bool = False
    problems: tuple[str, ...] = ()


def read_notes(folder: Path) -> Notes:
    """Return what is written down about the copy in ``folder``; never raises for what the file holds."""
    for path in (*(folder / name for name in _NAMES), folder.parent / f"{folder.name}.json"):
        if os.path.lexists(path):
            return _notes(path)
    return Notes()


def _notes(path: Path) -> Notes:
    try:
        values = json.loads(_read(path))
    except OSError as error:
        return Notes(path=path, problems=(f"{path.name} cannot be read: {error.strerror or error}.",))
    except (ValueError, RecursionError):
        return Notes(path=path, problems=(f"{path.name} is no JSON of at most {_LARGEST >> 10} KiB.",))
    if not isinstance(values, dict):
        return Notes(path=path, problems=(f"{path.name} is no JSON object.",))
    taken: dict[str, Any] = {}
    problems = []
    for key, make in (("name", _name), ("notes", _text), ("iteration", _iteration), ("created", _time)):
        if values.get(key) is not None:
            try:
                taken[key] = make(values[key])
            except (UsageError, ValueError, OverflowError, OSError):
                problems.append(f"{key!r} in {path.name} is not of its form, and was left out.")
    all_taken = not problems and values.keys() <= {"name", "notes", "iteration", "created"}
    return Notes(**taken, path=path, all_taken=all_taken, problems=tuple(problems))


def _read(path: Path) -> bytes:
    descriptor = open_shared(path)
    try:
        data = FileSource(descriptor, _LARGEST + 1).read_at(0, _LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(data) > _LARGEST:
        raise ValueError("too large")
    return data


def _name(value: Any) -> str | None:
    if not isinstance(value, str):
        raise ValueError(value)
    return check_name(value)


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        raise ValueError(value)
    return check_notes(value)


def _iteration(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(value)
    return value


def _time(value: Any) -> str:
    """Take ISO 8601, in local time where it names no zone, or seconds since 1970."""
    if type(value) in (int, float) and 0 <= value <= _LATEST_SECONDS:
        return to_iso(datetime.fromtimestamp(value, timezone.utc))
    if not isinstance(value, str):
        raise ValueError(value)
    return to_iso(datetime.fromisoformat(value.replace("Z", "+00:00")))
