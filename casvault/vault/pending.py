"""Pending: chunks that are on their way into a vault for a snapshot whose manifest is not there yet.

Who brings in a snapshot from elsewhere cannot hold the vault's lock for as long as a slow link takes. It says here what
will be needed, and says so again from time to time; gc spares that.

Owns the invariant that what was said counts for `LIFETIME` and no longer: who was cut off holds nothing for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from casvault.backends import Backend
from casvault.digest import is_digest
from casvault.errors import BadManifest, NotFound
from casvault.manifest.document import MAX_DOCUMENT, read_document, write_document
from casvault.manifest.stamp import Stamp, from_iso, is_time, to_iso

__all__ = ["LIFETIME", "PENDING", "Pending"]

PENDING = "pending"
LIFETIME = timedelta(hours=1)
"""How long after it was last renewed a pending document counts."""

_FORMAT = 1
_SUFFIX = ".json"


@dataclass(frozen=True)
class Pending:
    """The ``digests`` that snapshot ``id`` will need; ``renewed`` is ISO 8601 in UTC."""

    id: str
    digests: tuple[str, ...]
    renewed: str

    @staticmethod
    def write(backend: Backend, id: str, digests: tuple[str, ...]) -> None:
        """Say, or say again, what ``id`` will need; raises NoSpace, StorageError."""
        renewed = to_iso(datetime.now(timezone.utc))
        document = {"format": _FORMAT, "id": id, "renewed": renewed, "digests": list(digests)}
        backend.write(f"{PENDING}/{id}{_SUFFIX}", write_document(document))

    @staticmethod
    def withdraw(backend: Backend, id: str) -> None:
        """Take back what was said for ``id``; nothing happens where nothing was. Raises StorageError."""
        backend.delete(f"{PENDING}/{id}{_SUFFIX}")

    @classmethod
    def every(cls, backend: Backend) -> list[Pending]:
        """Return all pending documents, expired ones too; raises BadManifest for one that cannot be read."""
        found = []
        for entry in sorted(backend.list(PENDING)):
            id = entry.name[: -len(_SUFFIX)]
            if entry.name.endswith(_SUFFIX) and Stamp.shaped(id):
                try:
                    found.append(cls.read(backend, id))
                except NotFound:
                    continue
                except BadManifest as error:
                    raise BadManifest(
                        f"{error} What is on its way with it is not known; if nothing is being brought in, remove "
                        f"{PENDING}/{entry.name} from the vault."
                    ) from error
        return found

    @classmethod
    def read(cls, backend: Backend, id: str) -> Pending:
        """Return what was said for ``id``; raises NotFound, BadManifest, StorageError."""
        return cls._parse(backend.read(f"{PENDING}/{id}{_SUFFIX}", MAX_DOCUMENT), id)

    def expired(self, now: datetime | None = None) -> bool:
        """Tell whether nobody renewed it for longer than `LIFETIME`, or the clock that says so cannot be right."""
        return abs((now or datetime.now(timezone.utc)) - from_iso(self.renewed)) > LIFETIME

    @classmethod
    def _parse(cls, data: bytes, id: str) -> Pending:
        fields = read_document(data, f"pending {id}")
        if fields.values.get("format") != _FORMAT or fields.text("id", Stamp.valid) != id:
            raise fields.bad("format or id", "does not fit its name")
        digests = fields.items("digests", str)
        if not all(map(is_digest, digests)):
            raise fields.bad("digests", "are not digests")
        renewed = fields.text("renewed", is_time)
        return cls(id, digests, renewed)
