"""Restores that were begun and not ended, told by the names of their pointers in ``tmp/``.

Every command asks, and next to none finds one: only then is it worth to load what finishes them.
"""

from __future__ import annotations

import re

from casvault.vault.vault import Vault

__all__ = ["pointers"]

_POINTER = re.compile(r"restore-[0-9a-f]{16}\.json")


def pointers(vault: Vault) -> list[str]:
    """Return the names of the pointers of ``vault``; raises StorageError."""
    if vault.path is None:
        return []
    return [entry.name for entry in vault.backend.list("tmp") if _POINTER.fullmatch(entry.name)]
