"""Names and paths that come from outside: what may be written where.

Two kinds of names are checked here. A *vault name* is a path inside a vault, of our own making, and as
strict as can be. A *model path* is a path inside a model's folder, made by a trainer or read from a manifest that
may be hostile: it must stay inside its folder on every system that casvault runs on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["case_twins", "is_vault_name", "model_path_problem"]

_VAULT_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\]')
_MAX_PART = 255
_MAX_PATH = 1024


def is_vault_name(name: str) -> bool:
    """Tell whether ``name`` is a path that may exist inside a vault."""
    return all(
        len(part) <= _MAX_PART and _VAULT_PART.fullmatch(part) is not None and not part.endswith(".")
        for part in name.split("/")
    )


def model_path_problem(path: str) -> str | None:
    """Say why ``path`` must not be written inside a model's folder; None when it may.

    Refused are paths that leave the folder, that are absolute, that Windows would read differently, and
    that casvault uses itself while it restores.
    """
    if not path or len(path) > _MAX_PATH:
        return "is empty or too long"
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return "is not text"
    if _FORBIDDEN.search(path):
        return "has a character that not every system allows in a name"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "leaves its folder or is absolute"
        if len(part.encode("utf-8")) > _MAX_PART:
            return "has a part that is too long"
        if part.endswith((".", " ")) or part.startswith(" "):
            return "has a part that begins or ends with a space or ends with a dot"
        if _RESERVED.fullmatch(part):
            return "has a name that Windows reserves for a device"
        if part.casefold().startswith(".casvault"):
            return "has a name that casvault keeps for itself"
    return None


def case_twins(paths: Iterable[str]) -> tuple[str, str] | None:
    """Return two of ``paths`` that cannot stand side by side on every system; None where there are none.

    They differ at most in upper and lower case or in how accents are composed, or one is a folder of the other.
    """
    seen: dict[str, str] = {}
    for path in paths:
        key = _merged(path)
        if key in seen:
            return seen[key], path
        seen[key] = path
    for key, path in seen.items():
        folder = key.rpartition("/")[0]
        while folder:
            if folder in seen:
                return seen[folder], path
            folder = folder.rpartition("/")[0]
    return None


def _merged(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
