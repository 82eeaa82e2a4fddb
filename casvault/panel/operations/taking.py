"""Taking snapshots, and switching automatic ones on and off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from casvault import api
from casvault.api import Patience, SnapshotResult
from casvault.panel.activity import command_line
from casvault.panel.jobs import Job, Subject
from casvault.panel.panel import Panel
from casvault.panel.words import size

__all__ = ["Taken", "make_vault", "snapshot", "switch_watch"]


@dataclass(frozen=True)
class Taken:
    """A snapshot that was taken, as a job's result."""

    result: SnapshotResult

    def to_json(self) -> dict[str, Any]:
        """Return what `casvault snapshot --json` prints, and the warnings."""
        return {**self.result.to_json(), "warnings": list(self.result.warnings)}

    @property
    def told(self) -> str:
        """A sentence that says what was stored."""
        result = self.result
        if result.read_bytes == 0:
            return "Nothing changed since the snapshot before, so nothing was stored but its record."
        return f"{size(result.stored_bytes_added)} stored for {size(result.head.size)}, in {result.seconds:.1f} s."


def make_vault(panel: Panel) -> dict[str, Any]:
    """Make the vault where the panel would have found one; raises UsageError, StorageError."""
    there = panel.desk.has_vault
    vault = panel.desk.make_vault()
    if not there:
        panel.activity.add("init", f"Made a vault at {vault.path}.", command=command_line("init", str(vault.path)))
        panel.hub.publish("vault", {})
    return {"vault": str(vault.path), "made": not there}


def snapshot(
    panel: Panel,
    key: str,
    *,
    name: str | None = None,
    notes: str | None = None,
    next_save: bool = False,
    allow_incomplete: bool = False,
) -> Job:
    """Take a snapshot of a model, or of its next save; raises NotFound, NoVault, Locked, UsageError."""
    vault, model = panel.vault, panel.desk.model(key)
    name, notes = api.check_name(name), api.check_notes(notes)
    words = ["snapshot", str(api.path_to(model))]
    words += ["--model", model.name] if model.kind == "generic" else []
    words += [f"--name={name}"] if name else []
    words += [f"--notes={notes}"] if notes else []
    words += ["--next-save"] if next_save else []
    words += ["--allow-incomplete"] if allow_incomplete else []
    usual = Patience()
    patience = Patience(math.inf if next_save else usual.seconds, allow_incomplete, next_save, still=usual.still)

    def work(job: Job) -> Taken:
        vault.finish_interrupted()
        results, _ = vault.snapshot_each([model], name=name, notes=notes, patience=patience, progress=job)
        job.made = [results[0].id]
        return Taken(results[0])

    title = f"Snapshot of {model.name}" + (f": {name}" if name else "")
    subject = Subject("snapshot", title, command_line("--vault", str(vault.path), *words), model.name, key)
    return panel.jobs.start(subject, work, lambda taken: taken.told)


def switch_watch(panel: Panel, key: str, on: bool) -> dict[str, Any]:
    """Switch automatic snapshots of a model on or off; raises NotFound, UsageError, NoVault."""
    model = panel.desk.model(key)
    if on:
        panel.watches.switch_on(panel.vault, key, model)
    else:
        panel.watches.switch_off(key, model.name)
    return panel.watches.state(key)
