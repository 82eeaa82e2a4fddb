"""Syncing: names for other vaults, and snapshots that travel there and back.

The address of a remote is the one place that a browser may name; it has to be a vault already, and the program that is
run at its other end is always casvault.
"""

from __future__ import annotations

from casvault.api import Exchange, RemoteEntry, SyncResult
from casvault.errors import UsageError
from casvault.panel.activity import command_line
from casvault.panel.jobs import Job, Subject
from casvault.panel.panel import Panel
from casvault.panel.words import plural, size

__all__ = ["WAYS", "add_remote", "remove_remote", "transfer"]

WAYS = {"push": "Sending snapshots to", "pull": "Bringing snapshots from", "sync": "Syncing with"}
"""The ways that snapshots can travel, and what each is called while it is under way."""


def add_remote(panel: Panel, name: str, url: str) -> RemoteEntry:
    """Give the vault at ``url`` a name here; nothing is connected to. Raises UsageError, Locked, StorageError."""
    entry = panel.vault.add_remote(name, url)
    _note(panel, f"Added the remote {entry.name}: {entry.url}", "add", entry.name, entry.url)
    return entry


def remove_remote(panel: Panel, name: str) -> RemoteEntry:
    """Forget a remote; the vault there stays as it is. Raises NotFound, Locked, StorageError."""
    entry = panel.vault.remove_remote(name)
    _note(panel, f"Forgot the remote {entry.name}; the vault at {entry.url} stays as it is.", "remove", entry.name)
    return entry


def transfer(panel: Panel, way: str, remote: str, *, model: str | None = None, delete: bool = False) -> Job:
    """Push, pull or sync, as ``way`` says, everything or the snapshots of one model.

    With ``delete`` deletions and thinnings travel as well. Raises NotFound, UsageError, NoVault, Locked.
    """
    if way not in WAYS:
        raise UsageError("snapshots can be pushed, pulled or synced.")
    vault = panel.vault
    name = next((entry.name for entry in vault.remotes() if entry.name == remote), None)
    if name is None:
        raise UsageError(f"there is no remote {remote!r}; add it first.")
    words = [way, name, *([f"--model={model}"] if model else []), *(["--delete"] if delete else [])]
    subject = Subject(way, f"{WAYS[way]} {name}", command_line("--vault", str(vault.path), *words), model)
    if way == "sync":
        return panel.jobs.start(
            subject, lambda job: vault.sync(name, model=model, delete=delete, progress=job), _exchanged
        )
    move = vault.push if way == "push" else vault.pull
    return panel.jobs.start(subject, lambda job: move(name, model=model, delete=delete, progress=job), _moved)


def _moved(result: SyncResult) -> str:
    return f"{_travelled(result)}{_stayed(result)}"


def _exchanged(result: Exchange) -> str:
    return f"{_travelled(result.sent)} {_travelled(result.received)}{_stayed(result.sent, result.received)}"


def _travelled(result: SyncResult) -> str:
    parts = [f"{plural(len(result.snapshots))} {result.way}, {size(result.object_bytes)}"] if result.snapshots else []
    parts += [f"{plural(result.labels, 'label')} {result.way}"] if result.labels else []
    parts += [f"{plural(len(result.deleted), 'deletion')} {result.way}"] if result.deleted else []
    return f"{'; '.join(parts)}." if parts else f"Nothing had to be {result.way}."


def _stayed(*results: SyncResult) -> str:
    """Say of what stayed where it is why, for the first of them."""
    why: dict[str, str] = {}
    for result in results:
        why |= {**result.refused, **result.conflicts, **result.failed}
    if not why:
        return ""
    return f" {plural(len(why))} stayed where {'it is' if len(why) == 1 else 'they are'}: {next(iter(why.values()))}"


def _note(panel: Panel, text: str, *words: str) -> None:
    command = command_line("--vault", str(panel.desk.path), "remote", *words)
    panel.activity.add("remote", text, command=command)
    panel.hub.publish("vault", {})
