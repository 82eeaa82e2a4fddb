"""Restoring snapshots into their places, and going back."""

from __future__ import annotations

from casvault import api
from casvault.api import RestoreOptions, RestorePlan
from casvault.panel.activity import command_line
from casvault.panel.jobs import Job
from casvault.panel.panel import Panel

__all__ = ["plan_restore", "plan_undo", "restore", "undo"]


def plan_restore(panel: Panel, snapshot: str, *, allow_incomplete: bool = False) -> RestorePlan:
    """Return what `restore` would do, without doing it."""
    return panel.vault.plan_restore(snapshot, RestoreOptions(allow_incomplete=allow_incomplete))


def restore(panel: Panel, snapshot: str, *, backup: bool = True, allow_incomplete: bool = False) -> Job:
    """Bring a snapshot back to where its model was, after an automatic backup; raises NotFound, NoVault, Locked."""
    vault = panel.vault
    head = vault.find(snapshot)
    options = RestoreOptions(backup=backup, allow_incomplete=allow_incomplete)
    command = ["--vault", str(vault.path), "restore", head.id]
    command += [] if backup else ["--no-backup"]
    command += ["--allow-incomplete"] if allow_incomplete else []
    return panel.jobs.start(
        "restore",
        f"Restore of {head.title} into {head.model_name}",
        lambda job: vault.restore(head.id, options, progress=job),
        command=command_line(*command),
        model=head.model_name,
    )


def plan_undo(panel: Panel, key: str) -> RestorePlan:
    """Return what `undo` would do, without doing it; raises NotFound where there is nothing to go back to."""
    return panel.vault.plan_undo(api.path_to(panel.desk.model(key)))


def undo(panel: Panel, key: str) -> Job:
    """Go back to what was in a model's place before the last restore; raises NotFound, NoVault, Locked."""
    vault, model = panel.vault, panel.desk.model(key)
    path = api.path_to(model)
    return panel.jobs.start(
        "undo",
        f"Undo of the last restore of {model.name}",
        lambda job: vault.undo(path, progress=job),
        command=command_line("--vault", str(vault.path), "undo", str(path)),
        model=model.name,
    )
