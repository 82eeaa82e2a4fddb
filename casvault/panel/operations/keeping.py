"""Keeping: what stays, what goes, and what is written about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from casvault.api import DeleteResult, GcResult, Head, PrunePlan, Rules, ThinResult
from casvault.panel.activity import command_line
from casvault.panel.jobs import Job, Subject
from casvault.panel.panel import Panel
from casvault.panel.words import size

__all__ = ["delete", "edit", "gc", "prune", "rules_of", "thin", "undelete", "unthin"]


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
    """Change what is written about a snapshot; None leaves it as it is, an empty text takes it away.

    Raises NotFound, UsageError, Locked, NoSpace, StorageError.
    """
    head = panel.vault.edit(snapshot, name=name, notes=notes, pinned=pinned, tag=tag, untag=untag)
    words = [f"--name={name}"] if name is not None else []
    words += [f"--notes={notes}"] if notes is not None else []
    words += [] if pinned is None else ["--pin" if pinned else "--unpin"]
    words += [f"--tag={text}" for text in tag] + [f"--untag={text}" for text in untag]
    _note(panel, "edit", f"Edited {_called([head])}.", ["edit", head.id, *words], [head])
    return head


def delete(panel: Panel, snapshots: Sequence[str]) -> DeleteResult:
    """Delete snapshots, which `undelete` undoes until gc; raises NotFound, UsageError, Locked, NoSpace."""
    result = panel.vault.delete(*snapshots)
    ids = [head.id for head in result.heads] + list(result.unreadable)
    freed = "" if result.frees_bytes is None else f" gc would free {size(result.frees_bytes)} for it."
    text = f"Deleted {_called(result.heads) or ', '.join(result.unreadable)}.{freed}"
    _note(panel, "delete", text, ["delete", *ids, "-y"], result.heads)
    return result


def undelete(panel: Panel, snapshot: str) -> Head:
    """Bring a deleted snapshot back; raises NotFound, also where gc has freed its space, Locked."""
    head = panel.vault.undelete(snapshot)
    _note(panel, "undelete", f"Brought {_called([head])} back.", ["undelete", head.id], [head])
    return head


def gc(panel: Panel) -> Job:
    """Free what no snapshot needs; raises NoVault, Locked."""
    vault = panel.vault
    subject = Subject("gc", "Freeing space", command_line("--vault", str(vault.path), "gc"))
    return panel.jobs.start(subject, lambda job: vault.gc(progress=job), _told)


def prune(panel: Panel, rules: Rules, *, model: str | None = None, include_manual: bool = False) -> PrunePlan:
    """Delete the snapshots that rules do not keep, of all or of the model of that name.

    Raises UsageError without any rule, NotFound, DamageError, Locked, NoSpace.
    """
    plan = panel.vault.prune(rules, model=model, include_manual=include_manual)
    gone = [verdict.head for verdict in plan.verdicts if not verdict.stays]
    words = ["prune", *([model] if model is not None else []), *_options(rules)]
    words += ["--include-manual"] if include_manual else []
    text = f"Pruned: {len(gone):,} of {len(plan.verdicts):,} snapshots deleted."
    _note(panel, "prune", text, [*words, "-y"], gone)
    return plan


def thin(panel: Panel, snapshots: Sequence[str]) -> ThinResult:
    """Let snapshots give up their optimizers, which `unthin` undoes until gc.

    Raises NotFound, UsageError for a pinned one and one without an optimizer, Locked, NoSpace.
    """
    result = panel.vault.thin(*snapshots)
    ids = [head.id for head in result.heads]
    text = f"Thinned {_called(result.heads)}. gc would free {size(result.frees_bytes)} for it."
    _note(panel, "thin", text, ["thin", *ids, "-y"], result.heads)
    return result


def unthin(panel: Panel, snapshot: str) -> Head:
    """Let a snapshot have its optimizers back; raises NotFound where gc has freed them, Locked."""
    head = panel.vault.unthin(snapshot)
    _note(panel, "thin", f"Gave {_called([head])} its optimizer back.", ["thin", head.id, "--undo"], [head])
    return head


def rules_of(
    *,
    last: int = 0,
    every_iterations: int = 0,
    hourly: int = 0,
    daily: int = 0,
    weekly: int = 0,
    best: int = 0,
    log: bool = False,
    within_hours: int | None = None,
    max_bytes: int | None = None,
) -> Rules:
    """Return rules of retention; raises UsageError for what is less than nothing."""
    within = None if within_hours is None else timedelta(hours=within_hours)
    return Rules(last, every_iterations, hourly, daily, weekly, best, log, within, max_bytes)


def _options(rules: Rules) -> list[str]:
    """Return the options of `casvault prune` that say the same as ``rules``."""
    counts = {
        "last": rules.last,
        "every": rules.every_iterations,
        "hourly": rules.hourly,
        "daily": rules.daily,
        "weekly": rules.weekly,
        "best": rules.best,
    }
    words = [f"--keep-{name}={number}" for name, number in counts.items() if number]
    words += ["--keep-log"] if rules.log else []
    words += [f"--keep-within={int(rules.within.total_seconds()) // 3600}h"] if rules.within is not None else []
    return words + ([f"--max-bytes={rules.max_bytes}"] if rules.max_bytes is not None else [])


def _told(result: GcResult) -> str:
    left = f" {result.unfinished}" if result.unfinished else ""
    return f"{size(result.freed_bytes)} freed, {size(result.remaining_bytes)} left.{left}"


def _called(heads: Sequence[Head]) -> str:
    if len(heads) > 5:
        return f"{len(heads):,} snapshots"
    return ", ".join(f"'{head.title}' of {head.model_name}" for head in heads)


def _note(panel: Panel, what: str, text: str, words: list[str], heads: Sequence[Head]) -> None:
    models = {head.model_name for head in heads}
    panel.activity.add(
        what,
        text,
        command=command_line("--vault", str(panel.desk.path), *words),
        model=models.pop() if len(models) == 1 else None,
        snapshot=heads[0].id if len(heads) == 1 else None,
    )
    panel.changes.settle(head.id for head in heads)
