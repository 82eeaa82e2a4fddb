"""Is this folder really one model? What to ask before a folder without a known trainer becomes a snapshot."""

from __future__ import annotations

from casvault.models import Model, models_below

__all__ = ["doubt"]

_MANY_FILES = 200
_MANY_BYTES = 5_000_000_000


def doubt(model: Model) -> str | None:
    """Say why ``model`` may not be what was meant, None where nothing speaks against it."""
    if model.kind != "generic" or model.single:
        return None
    deeper = models_below(model.folder)
    if deeper:
        places = ", ".join(str(found.folder / found.name) for found in deeper[:3])
        return f"{model.folder} is no model itself but has models deeper down ({places})"
    if len(model.files) > _MANY_FILES:
        return f"{model.folder} has {len(model.files):,} files"
    size = sum((model.folder / file.path).stat().st_size for file in model.files)
    if size > _MANY_BYTES:
        return f"{model.folder} has {size / 1e9:.1f} GB"
    return None
