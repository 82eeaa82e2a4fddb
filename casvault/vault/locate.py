"""Where the vault is, and where a new one goes.

The vault is the one that was named, else the nearest ``.casvault`` strictly above the model, else one in or above
the working directory. A new one goes beside ``workspace``, never into it.
"""

from __future__ import annotations

import os
from pathlib import Path

from casvault.errors import NoVault
from casvault.vault.config import CONFIG
from casvault.vault.vault import VAULT_FOLDER, is_workspace

__all__ = ["find_vault", "place_for_vault"]


def find_vault(model: Path | None, working: Path) -> Path:
    """Return the vault for ``model`` (a path that was typed, or None) seen from ``working``; raises NoVault."""
    if model is not None:
        for folder in Path(os.path.abspath(model)).parents:
            if _is_vault(folder / VAULT_FOLDER):
                return folder / VAULT_FOLDER
    for folder in (working, *working.parents):
        if _is_vault(folder / VAULT_FOLDER):
            return folder / VAULT_FOLDER
    raise NoVault(f"there is no vault in or above {working}; `casvault init` makes one, `--vault` names one.")


def place_for_vault(working: Path, model: Path | None = None) -> Path:
    """Return where a new vault belongs: beside the workspace around ``model`` or ``working``, else in ``working``."""
    for start in ([Path(os.path.abspath(model))] if model is not None else []) + [working]:
        for folder in (start, *start.parents):
            if is_workspace(folder):
                return folder.parent / VAULT_FOLDER
    return working / VAULT_FOLDER


def _is_vault(path: Path) -> bool:
    return (path / CONFIG).is_file()
