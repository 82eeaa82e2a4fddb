"""Locating: where vaults and models are, before there is a vault that could tell."""

from __future__ import annotations

from pathlib import Path

from casvault.errors import CasvaultError
from casvault.models import Model, find_again, find_models, models_below, resolve
from casvault.vault.locate import find_vault, place_for_vault

__all__ = ["find_again", "find_vault", "models_at", "models_near", "path_to", "place_for_vault"]


def models_at(path: Path) -> list[Model]:
    """Return the models that a path stands for, as for `Vault.models`, where there is no vault yet.

    Raises NotFound, AmbiguousError, UsageError, StorageError.
    """
    return resolve(path)


def models_near(folder: Path, limit: int = 20) -> list[Model]:
    """Return up to ``limit`` models that a known trainer has in ``folder`` or below it, the nearest first."""
    try:
        here = find_models(folder)
    except CasvaultError:
        # What cannot be read, or is no model for casvault, is not one that is near.
        here = []
    return [*here, *models_below(folder, max(0, limit - len(here)))][:limit]


def path_to(model: Model) -> Path:
    """Return the path that stands for ``model`` wherever one is asked for."""
    if model.kind != "generic":
        return model.folder / model.name
    return model.folder / model.files[0].path if model.single else model.folder
