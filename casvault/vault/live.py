"""The live record: what a vault remembers of the model that is in place.

It tells the parent of the next snapshot, what `undo` goes back to, and which files still are as they were captured. It
lives in
``cache/`` and is derived: without it the parent is the newest snapshot and every file is read again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from casvault.backends import Backend
from casvault.digest import digest_of
from casvault.errors import CasvaultError
from casvault.files.identity import FileIdentity
from casvault.manifest.stamp import Stamp

__all__ = ["LiveRecord"]

_FORMAT = 1
_MAX_RECORD = 16 << 20


@dataclass(frozen=True)
class LiveRecord:
    """``snapshot`` is what the live model was last captured as or restored from; ``restored`` tells which.

    ``backup`` is the snapshot that holds what was there before the last restore. ``files`` are the identities of
    files that
    are known to have the bytes that ``snapshot`` has under the same path.
    """

    snapshot: str
    restored: bool = False
    backup: str | None = None
    files: dict[str, FileIdentity] = field(default_factory=dict)

    @staticmethod
    def blob(key: str) -> str:
        """Return where the record of the model that ``key`` stands for lies in the vault."""
        return f"cache/live-{digest_of(key.encode())[:16]}.json"

    def write(self, backend: Backend, key: str) -> None:
        """Keep the record for the model that ``key`` stands for; a failure is no harm."""
        document = {
            "format": _FORMAT,
            "snapshot": self.snapshot,
            "restored": self.restored,
            "backup": self.backup,
            "files": self.files,
        }
        try:
            backend.write(self.blob(key), json.dumps(document).encode(), durable=False)
        except CasvaultError:
            return

    @classmethod
    def read(cls, backend: Backend, key: str) -> LiveRecord | None:
        """Return the record of the model that ``key`` stands for, None where there is none to rely on."""
        try:
            document = json.loads(backend.read(cls.blob(key), _MAX_RECORD))
            files = {
                str(path): FileIdentity(*(int(number) for number in numbers))
                for path, numbers in document["files"].items()
            }
            snapshot, backup = document["snapshot"], document["backup"]
            if (
                document["format"] != _FORMAT
                or not Stamp.valid(snapshot)
                or not (backup is None or Stamp.valid(backup))
            ):
                return None
            return cls(snapshot, bool(document["restored"]), backup, files)
        except (CasvaultError, ArithmeticError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
