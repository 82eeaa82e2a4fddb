"""DeepFaceLab's own backups: ``<Name>_<Class>_autobackups/01`` to ``24``, each a whole copy; 01 is the newest.

The trainer moves the files of each folder into the next one before it makes a new 01, so a copy does not keep its
number, and the folders that it moved away from may be empty.
"""

from __future__ import annotations

import re
from pathlib import Path

from casvault.models.folder import is_folder, listing

__all__ = ["AUTOBACKUPS", "backed_up", "backups_in"]

AUTOBACKUPS = "_autobackups"
_NUMBER = re.compile(r"[0-9]{2}")


def backed_up(folder: Path) -> str | None:
    """Return the model whose backups ``folder`` holds by its name, None where it is called otherwise."""
    name = folder.name.removesuffix(AUTOBACKUPS)
    return name if name and name != folder.name else None


def backups_in(folder: Path) -> list[Path]:
    """Return the numbered folders in ``folder``, the oldest backup first; raises StorageError."""
    with listing(folder) as entries:
        names = [entry.name for entry in entries if _NUMBER.fullmatch(entry.name) and is_folder(entry)]
    return [folder / name for name in sorted(names, reverse=True)]
