"""The live record: what a vault remembers of the model that is in place.

It tells the parent of the next snapshot, what `undo` goes back to, and which files still are as they were captured. A
restore writes it durably. Without it the parent is the newest snapshot, every file is read again, and nothing can be
undone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from casvault.backends import Backend
from casvault.digest import digest_of
from casvault.errors import CasvaultError
from casvault.files.identity import FileIdentity
from casvault.manifest.stamp import Stamp

__all__ = ["LIVE", "LiveRecord"]

LIVE = "live"
_FORMAT = 1
_MAX_RECORD = 16 << 20


@dataclass(frozen=True)
class LiveRecord:
    """``snapshot`` is what the live model was last captured as or restored from; ``restored`` tells which.

    ``backup`` is the snapshot that holds what was there before the last restore. ``files`` are the identities of
    files that are known to have the bytes that ``snapshot`` has under the same path. ``place`` is the inode of the
    model's folder: it tells whether a folder of that name is still the one that was meant.
    """

    snapshot: str
    restored: bool = False
    backup: str | None = None
    files: dict[str, FileIdentity] = field(default_factory=dict)
    place: int | None = None

    @staticmethod
    def blob(key: str) -> str:
        """Return where the record of the model that ``key`` stands for lies in the vault."""
        return f"{LIVE}/{digest_of(key.encode())[:16]}.json"

    @staticmethod
    def keys(backend: Backend) -> list[str]:
        """Return the keys of all records that can be read."""
        found = []
        for entry in backend.list(LIVE):
            try:
                found.append(str(json.loads(backend.read(f"{LIVE}/{entry.name}", _MAX_RECORD))["key"]))
            except (CasvaultError, ValueError, KeyError, TypeError, RecursionError):
                continue
        return found

    @classmethod
    def backups(cls, backend: Backend) -> set[str]:
        """Return the snapshots that hold what was there before the last restore of each model."""
        records = (cls.read(backend, key) for key in cls.keys(backend))
        return {record.backup for record in records if record is not None and record.backup is not None}

    def write(self, backend: Backend, key: str, *, durable: bool) -> None:
        """Keep the record for the model that ``key`` stands for; raises NoSpace, StorageError."""
        document = {
            "format": _FORMAT,
            "key": key,
            "snapshot": self.snapshot,
            "restored": self.restored,
            "backup": self.backup,
            "files": self.files,
            "place": self.place,
        }
        backend.write(self.blob(key), json.dumps(document).encode(), durable=durable)

    @classmethod
    def read(cls, backend: Backend, key: str) -> LiveRecord | None:
        """Return the record of the model that ``key`` stands for, None where there is none to rely on."""
        try:
            document = json.loads(backend.read(cls.blob(key), _MAX_RECORD))
            place = document["place"]
            files = {
                str(path): FileIdentity(*(int(number) for number in numbers))
                for path, numbers in document["files"].items()
            }
            snapshot, backup = document["snapshot"], document["backup"]
            if (
                document["format"] != _FORMAT
                or document["key"] != key
                or not (place is None or type(place) is int)
                or not Stamp.valid(snapshot)
                or not (backup is None or Stamp.valid(backup))
            ):
                return None
            return cls(snapshot, bool(document["restored"]), backup, files, place)
        except (CasvaultError, ArithmeticError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
