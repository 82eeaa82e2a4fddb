"""A fingerprint: what tells that a vault or a model was written to, cheap enough to be taken every second."""

from __future__ import annotations

import os
from collections.abc import Iterable

from casvault.digest import digest_of
from casvault.models import Model
from casvault.vault.heads import LABELS, SNAPSHOTS
from casvault.vault.vault import Vault

__all__ = ["fingerprint"]


def fingerprint(vault: Vault, models: Iterable[Model]) -> str:
    """Return a digest of the names of all snapshots and labels, and of the names and times of ``models``' files.

    A label is written under a new name each time, so names are enough. Raises StorageError.
    """
    parts = [entry.name for folder in (SNAPSHOTS, LABELS) for entry in vault.backend.list(folder)]
    parts.sort()
    for model in models:
        parts.append(f"{model.folder}\n{model.name}")
        for path in [*(file.path for file in model.files), *model.leftovers]:
            try:
                found = os.stat(model.folder / path)
                parts.append(f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ino}")
            except OSError:
                parts.append(f"{path} gone")
    return digest_of("\n".join(parts).encode("utf-8", "surrogatepass"))
