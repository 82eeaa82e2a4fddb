"""vault.json: what a vault is, fixed when it is made.

Writing it is the last act of making a vault; a folder without it is none. Owns the invariant that a vault of a newer
format, or one that requires a feature unknown here, is refused before anything in it is touched.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from casvault.chunking.parameters import ChunkingParameters
from casvault.errors import NoVault, UnsupportedVault
from casvault.manifest.stamp import to_iso

__all__ = ["CONFIG", "FORMAT", "VaultConfig"]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CONFIG = "vault.json"
FORMAT = 1
_FEATURES: frozenset[str] = frozenset()
"""Required features that this version has."""

MAX_CONFIG = 1 << 20


def _new_uuid() -> str:
    import uuid

    return str(uuid.uuid4())


def _now() -> str:
    return to_iso(datetime.now(timezone.utc))


@dataclass(frozen=True)
class VaultConfig:
    """The contents of vault.json. ``max_depth`` is how many bases may stand behind an object that is written."""

    uuid: str = field(default_factory=_new_uuid)
    created: str = field(default_factory=_now)
    chunking: ChunkingParameters = field(default_factory=ChunkingParameters)
    max_depth: int = 2

    def to_bytes(self) -> bytes:
        """Return the document."""
        document = {
            "format": FORMAT,
            "required": [],
            "uuid": self.uuid,
            "created": self.created,
            "chunking": asdict(self.chunking),
            "max_depth": self.max_depth,
        }
        return json.dumps(document, indent=2).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes, where: str) -> VaultConfig:
        """Read vault.json of the vault at ``where``; raises NoVault, UnsupportedVault."""
        try:
            document = json.loads(data)
            number, required = document["format"], document["required"]
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise NoVault(f"{where} is not a vault: its vault.json cannot be read.") from error
        if number != FORMAT or not isinstance(required, list) or not _FEATURES.issuperset(map(str, required)):
            raise UnsupportedVault(
                f"the vault {where} needs a newer casvault (format {str(number)[:20]}, requires {str(required)[:80]}); "
                "update this one."
            )
        try:
            return cls(
                uuid=_checked_uuid(document["uuid"]),
                created=str(document["created"]),
                chunking=ChunkingParameters.checked(document["chunking"]),
                max_depth=_bounded(document["max_depth"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoVault(
                f"{where} is not a vault that can be used: its vault.json holds a wrong value ({error})."
            ) from error


def _checked_uuid(value: Any) -> str:
    if not isinstance(value, str) or _UUID.fullmatch(value) is None:
        raise ValueError(f"uuid {str(value)[:40]!r}")
    return value


def _bounded(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 64:
        raise ValueError(f"max_depth {value!r}")
    return value
