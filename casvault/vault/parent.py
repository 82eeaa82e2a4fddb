"""The parent of a live model: the snapshot that it goes on from."""

from __future__ import annotations

from collections.abc import Sequence

from casvault.models import Model
from casvault.vault.head import Head
from casvault.vault.live import LiveRecord
from casvault.vault.vault import Vault

__all__ = ["parent_of"]


def parent_of(vault: Vault, model: Model, heads: Sequence[Head], record: LiveRecord | None) -> str | None:
    """Return the id of what ``model`` was last captured as or restored from, by its live ``record``.

    Without one it is the newest snapshot of the model, automatic backups left out, in its folder before any other, of a
    step (checkpoint-500) before any other of the steps beside it, and one that was imported only where there is no
    other; None where there is none. ``heads`` are those of the vault,
    oldest first.
    """
    if record is not None and any(head.id == record.snapshot for head in heads):
        return record.snapshot
    source = vault.source_of(model.folder)
    mine = [head for head in heads if head.model_name == model.name and head.kind != "auto-backup"]
    here = [head for head in mine if head.source == source]
    # What was imported is of before, whenever that was done.
    own = [head for head in here if head.kind != "imported"]
    beside = vault.source_of(model.folder.parent)
    steps = [head for head in mine if head.place == beside != head.source]
    return (own or here or steps or mine)[-1].id if mine else None
