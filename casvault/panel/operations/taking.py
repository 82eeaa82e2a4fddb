"""Taking snapshots, and switching automatic ones on and off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from casvault import api
from casvault.api import Patience, SnapshotResult
from casvault.panel.activity import command_line
from casvault.panel.jobs import Job
from casvault.panel.panel import Panel

__all__ = ["make_vault", "snapshot", "switch_watch"]


def make_vault(panel: Panel) -> dict[str, Any]:
    """Make the vault where the panel would have found one; raises UsageError, StorageError."""
    vault = panel.desk.make_vault()
    panel.activity.add("init", f"Made a vault at {vault.path}.", command=command_line("init", str(vault.path)))
    panel.hub.publish("vault", {})
    return {"vault": str(vault.path)}


def snapshot(
    panel: Panel,
    key: str,
    *,
    name: str | None = None,
    notes: str | None = None,
    next_save: bool = False,
    allow_incomplete: bool = False,
) -> Job:
    """Take a snapshot of a model, or of its next save; raises NotFound, NoVault, Locked."""
    vault, model = panel.vault, panel.desk.model(key)
    command = ["--vault", str(vault.path), "snapshot", str(api.path_to(model))]
    if model.kind == "generic":
        command += ["--model", model.name]
    for option, text in (("--name", name), ("--notes", notes)):
        command += [option, text] if text else []
    command += ["--next-save"] if next_save else []
    command += ["--allow-incomplete"] if allow_incomplete else []
    usual = Patience()
    seconds = math.inf if next_save else usual.seconds
    patience = Patience(seconds, allow_incomplete, next_save, still=usual.still)

    def work(job: Job) -> _Taken:
        vault.finish_interrupted()
        results, _ = vault.snapshot_each([model], name=name, notes=notes, patience=patience, progress=job)
        return _Taken(results[0])

    title = f"Snapshot of {model.name}" + (f": {name}" if name else "")
    return panel.jobs.start("snapshot", title, work, command=command_line(*command), model=model.name)


@dataclass(frozen=True)
class _Taken:
    taken: SnapshotResult

    def to_json(self) -> dict[str, Any]:
        return {**self.taken.to_json(), "warnings": list(self.taken.warnings)}


def switch_watch(panel: Panel, key: str, on: bool) -> dict[str, Any]:
    """Switch automatic snapshots of a model on or off; raises NotFound, UsageError, NoVault."""
    model = panel.desk.model(key)
    if on:
        panel.watches.switch_on(panel.vault, key, model)
    else:
        panel.watches.switch_off(key, model.name)
    return panel.watches.state(key)
