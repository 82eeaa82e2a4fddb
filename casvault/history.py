"""History: the losses of a snapshot or of a live model, iteration by iteration, as its trainer noted them down.

Owns the promise that only the file that holds them is read.
"""

from __future__ import annotations

from casvault.capture import Patience, capture
from casvault.errors import NotFound
from casvault.models import LossHistory, Model, find_again, kind_named
from casvault.subject import stored_sources
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["live_history", "stored_history"]


def stored_history(vault: Vault, head: Head) -> LossHistory:
    """Return the losses that a snapshot holds; raises NotFound where it holds none, DamageError, StorageError."""
    manifest = vault.manifest(head.id)
    sources = {entry.role: file for entry, file in stored_sources(vault, manifest, head.label.thinned)}
    found = kind_named(manifest.model_kind).history(sources.get)
    if found is None:
        raise NotFound(f"snapshot '{head.title}' holds no history of losses.")
    return found


def live_history(model: Model) -> LossHistory:
    """Return the losses of a live model, as it is now; raises NotFound where it has none, StorageError."""
    with capture(lambda: find_again(model), Patience(0.0, allow_incomplete=True)) as taken:
        found = kind_named(model.kind).history({item.file.role: item.source for item in taken.files}.get)
    if found is None:
        raise NotFound(f"{model.name} has no history of losses.")
    return found
