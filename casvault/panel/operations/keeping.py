"""Keeping: what stays, what goes, and what is written about it."""

from __future__ import annotations

from collections.abc import Sequence

from casvault.api import DeleteResult, Head
from casvault.panel.activity import command_line
from casvault.panel.jobs import Job
from casvault.panel.panel import Panel

__all__ = ["delete", "edit", "gc", "undelete"]


def edit(
    panel: Panel,
    snapshot: str,
    *,
    name: str | None = None,
    notes: str | None = None,
    pinned: bool | None = None,
    tag: Sequence[str] = (),
    untag: Sequence[str] = (),
) -> Head:
    """Change what is written about a snapshot; None leaves it as it is, an empty text takes it away."""
    vault = panel.vault
    head = vault.edit(snapshot, name=name, notes=notes, pinned=pinned, tag=tag, untag=untag)
    command = ["--vault", str(vault.path), "edit", head.id]
    for option, text in (("--name", name), ("--notes", notes)):
        command += [f"{option}={text}"] if text is not None else []
    command += [] if pinned is None else ["--pin" if pinned else "--unpin"]
    command += [f"--tag={text}" for text in tag] + [f"--untag={text}" for text in untag]
    panel.activity.add(
        "edit",
        f"Edited {head.title} of {head.model_name}.",
        command=command_line(*command),
        model=head.model_name,
        snapshot=head.id,
    )
    panel.hub.publish("vault", {})
    return head


def delete(panel: Panel, snapshots: Sequence[str]) -> DeleteResult:
    """Delete snapshots, which `undelete` undoes until gc; raises NotFound, UsageError, Locked, NoSpace."""
    vault = panel.vault
    result = vault.delete(*snapshots)
    ids = [head.id for head in result.heads] + list(result.unreadable)
    names = ", ".join(head.title for head in result.heads) or ", ".join(result.unreadable)
    panel.activity.add(
        "delete",
        f"Deleted {names}.",
        command=command_line("--vault", str(vault.path), "delete", *ids, "-y"),
        model=result.heads[0].model_name if result.heads else None,
        snapshot=ids[0] if len(ids) == 1 else None,
    )
    panel.hub.publish("vault", {})
    return result


def undelete(panel: Panel, snapshot: str) -> Head:
    """Bring a deleted snapshot back; raises NotFound, also where gc has freed its space, Locked."""
    vault = panel.vault
    head = vault.undelete(snapshot)
    panel.activity.add(
        "undelete",
        f"Brought {head.title} back.",
        command=command_line("--vault", str(vault.path), "undelete", head.id),
        model=head.model_name,
        snapshot=head.id,
    )
    panel.hub.publish("vault", {})
    return head


def gc(panel: Panel) -> Job:
    """Free what no snapshot needs; raises NoVault, Locked."""
    vault = panel.vault
    return panel.jobs.start(
        "gc",
        "Freeing space",
        lambda job: vault.gc(progress=job),
        command=command_line("--vault", str(vault.path), "gc"),
    )
