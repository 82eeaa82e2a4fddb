"""Checking: whether stored bytes and models are as they should be, and how they differ."""

from __future__ import annotations

from pathlib import Path

from casvault import api
from casvault.api import Diff, Health, VerifyResult
from casvault.errors import NotFound
from casvault.panel.activity import command_line
from casvault.panel.jobs import Job, Subject
from casvault.panel.panel import Panel

__all__ = ["diff", "examine", "verify"]


def verify(panel: Panel, *, read_data: bool = False, sample: float | None = None) -> Job:
    """Check the vault, with ``read_data`` every stored byte, with ``sample`` that share of them, above 0 to 1.

    Raises NoVault, Locked.
    """
    vault = panel.vault
    words = ["verify", *(["--read-data"] if read_data else []), *([f"--sample={100 * sample:g}%"] if sample else [])]
    subject = Subject("verify", "Verifying", command_line("--vault", str(vault.path), *words))
    return panel.jobs.start(
        subject, lambda job: vault.verify(read_data=read_data, sample=sample, progress=job), _verified
    )


def examine(panel: Panel, what: str) -> Job:
    """Examine the health of a snapshot, by its id, or of a live model, by its key; raises NotFound, NoVault, Locked."""
    vault = panel.vault
    title, meant = _meant(panel, what)
    subject = Subject("health", f"Examining {title}", command_line("--vault", str(vault.path), "health", str(meant)))
    return panel.jobs.start(subject, lambda job: vault.health(meant, progress=job), _examined)


def diff(panel: Panel, a: str, b: str) -> Job:
    """Compare two snapshots, by their ids, or live models, by their keys; raises NotFound, NoVault, Locked."""
    vault = panel.vault
    (title_a, one), (title_b, other) = _meant(panel, a), _meant(panel, b)
    command = command_line("--vault", str(vault.path), "diff", str(one), str(other))
    subject = Subject("diff", f"Comparing {title_a} with {title_b}", command)
    return panel.jobs.start(subject, lambda job: vault.diff(one, other, progress=job), _compared)


def _meant(panel: Panel, what: str) -> tuple[str, str | Path]:
    """Return what to call it, and a snapshot's id, or the path of a live model that has this key."""
    try:
        head = panel.vault.find(what)
    except NotFound:
        model = panel.desk.model(what)
        return f"{model.name} as it is now", api.path_to(model)
    return f"'{head.title}'", head.id


def _verified(result: VerifyResult) -> str:
    if result.ok:
        return f"All is well: {result.objects_checked:,} objects are there, {result.objects_read:,} of them were read."
    return f"{len(result.damaged):,} damaged, {len(result.affected):,} snapshots hit."


def _examined(result: Health) -> str:
    return "In good health." if result.ok else f"{result.state}: {' '.join(result.findings)}"


def _compared(result: Diff) -> str:
    changed = sum(tensor.change == "changed" for tensor in result.tensors)
    return "Nothing changed." if result.same else f"{changed:,} of {len(result.tensors):,} tensors changed."
