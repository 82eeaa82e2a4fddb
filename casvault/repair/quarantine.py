"""The quarantine: a folder of the vault where damaged objects and documents lie that nothing reads any more.

Why moving an object is safe. Whoever writes or relies on objects holds the vault's lock shared until the manifest is
written; here it is held alone, for some seconds at a time. So nobody is half-way through relying on what goes. What was
relied on before was damaged before, and is looked for among what snapshots need after the last move.

Owns the invariants that what is moved was found damaged once more under that lock, since somebody may have written it
anew, and that nothing in the quarantine is ever replaced.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from casvault.check.examine import examine
from casvault.errors import CasvaultError, NotFound
from casvault.manifest.stamp import Stamp
from casvault.objects import ObjectName
from casvault.progress import Progress
from casvault.vault.vault import Vault

__all__ = ["QUARANTINE", "DropResult", "drop_quarantine", "keep_copy", "move_away"]

QUARANTINE = "quarantine"
_TURN = 5.0
"""Seconds for which objects are moved at a time: others wait meanwhile."""


@dataclass(frozen=True)
class DropResult:
    """How many files of the quarantine were removed, and their bytes; with ``dry_run`` would be."""

    files: int
    size: int
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {"dry_run": self.dry_run, "dropped_files": self.files, "dropped_bytes": self.size}


def move_away(vault: Vault, names: Iterable[ObjectName], progress: Progress) -> list[ObjectName]:
    """Move those of these objects to the quarantine that are damaged still, in turns; return which were moved.

    Raises Locked, StorageError, Cancelled; what was moved until then stays moved.
    """
    todo, moved, stamp = list(names), list[ObjectName](), Stamp.new()
    progress.start("quarantining", sum(name.size for name in todo))
    while todo:
        with vault.locks.alone("repair"):
            vault.objects.forget()
            end = time.monotonic() + _TURN
            while todo:
                name = todo[-1]
                if _is_damaged(vault, name):
                    vault.backend.move(name.blob, f"{QUARANTINE}/{name.blob.rpartition('/')[2]}.{stamp}")
                    moved.append(name)
                todo.pop()
                progress.advance(name.size)
                if time.monotonic() >= end:
                    break
        vault.objects.forget()
    progress.finish()
    return moved


def _is_damaged(vault: Vault, name: ObjectName) -> bool:
    if not any(each.blob == name.blob for each in vault.objects.encodings(name.digest)):
        return False
    fault = examine(vault.objects, name)
    return fault is not None and fault.damaged


def keep_copy(vault: Vault, blob: str, data: bytes) -> None:
    """Put a copy of a damaged document into the quarantine, durably; for who replaces it then."""
    vault.backend.write(f"{QUARANTINE}/{blob.rpartition('/')[2]}.{Stamp.new()}", data)


def drop_quarantine(vault: Vault, *, dry_run: bool = False) -> DropResult:
    """Remove all that lies in the quarantine, which nothing needs; raises Locked, StorageError."""
    with vault.locks.one("repair"):
        entries = vault.backend.list(QUARANTINE)
        for unfinished in vault.backend.unfinished(QUARANTINE) if not dry_run else ():
            vault.backend.clear(QUARANTINE, unfinished)
        files = size = 0
        failure: CasvaultError | None = None
        for entry in entries:
            try:
                taken = entry.size
                if not dry_run:
                    vault.backend.delete(f"{QUARANTINE}/{entry.name}")
                files, size = files + 1, size + taken
            except NotFound:
                continue
            except CasvaultError as error:
                failure = error
        if failure is not None:
            raise failure
        return DropResult(files, size, dry_run)
