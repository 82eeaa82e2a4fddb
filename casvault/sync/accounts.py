"""What the vault at the other end takes, as it goes over the wire: counted there, checked here.

Owns the invariant that figures from elsewhere are whole numbers about snapshots that are known to be there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from casvault.errors import CasvaultError, RemoteError
from casvault.manifest.document import Fields
from casvault.manifest.stamp import from_iso
from casvault.usage.usage import Growth, ModelUsage, SnapshotUsage, Usage, VaultUsage
from casvault.vault.head import Head

__all__ = ["usage_from"]

_NAME = "what a vault elsewhere says that it takes"
_LONGEST = 1000


def usage_from(data: bytes, heads: Mapping[str, Head]) -> Usage:
    """Read what `Usage.to_json` wrote elsewhere; ``heads`` are the snapshots there. Raises RemoteError."""
    try:
        told = Fields(json.loads(data), _NAME)
        chosen = Fields(told.values.get("chosen"), _NAME)
        return Usage(
            VaultUsage(**_numbers(VaultUsage, told.values.get("vault"))),
            told.items("models", lambda item: _model(Fields(item, _NAME))),
            tuple(one for one in told.items("snapshots", lambda item: _snapshot(item, heads)) if one is not None),
            chosen.items("ids", str),
            chosen.whole("frees_together_bytes"),
            told.items("growth", lambda item: _growth(Fields(item, _NAME))),
        )
    except (CasvaultError, ValueError, RecursionError) as error:
        raise RemoteError(f"{_NAME} is not to be trusted: {str(error)[:300]}") from error


def _numbers(kind: type[Any], values: Any, skipped: tuple[str, ...] = ()) -> dict[str, int]:
    told = Fields(values, _NAME)
    return {field.name: told.whole(field.name) for field in fields(kind) if field.name not in skipped}


def _model(told: Fields) -> ModelUsage:
    name = told.text("name", lambda text: len(text) <= _LONGEST)
    return ModelUsage(name, **_numbers(ModelUsage, told.values, ("name",)))


def _snapshot(item: Any, heads: Mapping[str, Head]) -> SnapshotUsage | None:
    """Return the figures of a snapshot, None for one that was taken after the list was made."""
    told = Fields(item, _NAME)
    head, numbers = heads.get(told.text("id")), _numbers(SnapshotUsage, item, ("head",))
    return SnapshotUsage(head, **numbers) if head is not None else None


def _growth(told: Fields) -> Growth:
    created = told.text("created", lambda text: len(text) <= _LONGEST)
    from_iso(created)
    return Growth(created, **_numbers(Growth, told.values, ("created",)))
