"""Undo: going back to what was there before the last restore. Twice undone is restored again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from casvault.errors import NotFound
from casvault.models import Model
from casvault.progress import Progress
from casvault.restore.plan import RestorePlan, plan_restore
from casvault.restore.restore import RestoreOptions, RestoreResult, restore
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["plan_undo", "undo", "undo_options"]


def undo(vault: Vault, model: Model, progress: Progress | None = None, *, force: bool = False) -> RestoreResult:
    """Restore what was in the place of ``model`` before the last restore; raises NotFound where there was nothing.

    ``force``: also where a trainer runs.
    """
    return restore(vault, backup_of(vault, model), replace(undo_options(model), force=force), progress)


def plan_undo(vault: Vault, model: Model) -> RestorePlan:
    """Return what `undo` would do."""
    options = undo_options(model)
    return plan_restore(vault, backup_of(vault, model), options.to, None, True)


def undo_options(model: Model) -> RestoreOptions:
    """Return the options of the restore that an undo is: to the same place, whole or not."""
    to: Path = model.folder if model.kind == "generic" else model.folder / model.name
    return RestoreOptions(to=to, allow_incomplete=True)


def backup_of(vault: Vault, model: Model) -> Head:
    """Return the snapshot that holds what was there before the last restore; raises NotFound."""
    heads = {head.id: head for head in vault.heads(deleted=True)}
    record = vault.live(vault.live_key(model))
    head = heads.get(record.backup) if record is not None and record.backup is not None else None
    if head is not None and not head.label.deleted:
        return head
    if record is not None and record.backup is not None and head is None:
        raise NotFound(
            f"what was there before, snapshot {record.backup}, was deleted, and gc has freed its space since."
        )
    if head is not None:
        raise NotFound(
            f"what was there before, snapshot '{head.title}', was deleted; "
            f"`casvault undelete {head.id}` brings it back, until gc."
        )
    raise NotFound(f"there is nothing to undo for {model.name}: no restore replaced anything here.")
