"""Restoring snapshots into their places, and going back."""

from __future__ import annotations

from casvault import api
from casvault.api import RestoreOptions, RestorePlan, RestoreResult
from casvault.panel.activity import command_line
from casvault.panel.jobs import Job, Subject
from casvault.panel.panel import Panel

__all__ = ["plan_restore", "plan_undo", "restore", "undo"]


def plan_restore(panel: Panel, snapshot: str, *, allow_incomplete: bool = False) -> RestorePlan:
    """Return what `restore` would do, without doing it; raises what `restore` of the Python interface raises."""
    return panel.vault.plan_restore(snapshot, RestoreOptions(allow_incomplete=allow_incomplete))


def restore(panel: Panel, snapshot: str, *, backup: bool = True, allow_incomplete: bool = False) -> Job:
    """Bring a snapshot back to where its model was, after an automatic backup; raises NotFound, NoVault, Locked."""
    vault = panel.vault
    head = vault.find(snapshot)
    options = RestoreOptions(backup=backup, allow_incomplete=allow_incomplete)
    words = ["restore", head.id, "-y"]
    words += [] if backup else ["--no-backup"]
    words += ["--allow-incomplete"] if allow_incomplete else []
    subject = Subject(
        "restore",
        f"Restore of '{head.title}' into {head.model_name}",
        command_line("--vault", str(vault.path), *words),
        head.model_name,
        panel.desk.key_of_head(head),
        head.id,
    )
    return panel.jobs.start(subject, lambda job: _noted(job, vault.restore(head.id, options, progress=job)), _told)


def plan_undo(panel: Panel, key: str) -> RestorePlan:
    """Return what `undo` would do, without doing it; raises NotFound where there is nothing to go back to."""
    return panel.vault.plan_undo(api.path_to(panel.desk.model(key)))


def undo(panel: Panel, key: str) -> Job:
    """Go back to what was in a model's place before the last restore; raises NotFound, NoVault, Locked."""
    vault, model = panel.vault, panel.desk.model(key)
    path = api.path_to(model)
    subject = Subject(
        "undo",
        f"Undo of the last restore of {model.name}",
        command_line("--vault", str(vault.path), "undo", str(path), "-y"),
        model.name,
        key,
    )
    return panel.jobs.start(subject, lambda job: _noted(job, vault.undo(path, progress=job)), _told)


def _noted(job: Job, result: RestoreResult) -> RestoreResult:
    job.made = [result.backup.id] if result.backup is not None else []
    return result


def _told(result: RestoreResult) -> str:
    plan = result.plan
    if plan.nothing_to_do:
        return f"{plan.live.name} was exactly that already; nothing was changed."
    if result.backup is None:
        return f"Done in {result.seconds:.1f} s; nothing was backed up."
    how = "is safe: it is" if result.backup_existed else "is kept as"
    return f"Done in {result.seconds:.1f} s. What was there before {how} '{result.backup.title}'."
