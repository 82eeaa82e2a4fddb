"""How a restore is described: before it happens, as a question, and afterwards."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from typing import TYPE_CHECKING

from casvault.cli.text import age, iteration, losses, plain, size, table
from casvault.manifest.stamp import from_iso

if TYPE_CHECKING:
    from casvault.restore import RestorePlan, RestoreResult, SalvageResult

__all__ = ["describe_plan", "describe_result", "describe_salvage", "question"]

_VERBS = {"add": "write", "replace": "replace", "remove": "remove", "keep": "leave, right already"}


def describe_plan(plan: RestorePlan, backup: bool) -> str:
    """Return what a restore would do, file by file."""
    head = plan.head
    when = from_iso(head.saved_at or head.created)
    lines = [
        f"Snapshot '{plain(head.title)}' of {plain(head.model_name)}: "
        f"{iteration(head.iteration)}, {losses(head.loss)}, {age(when)}",
        f"into {plain(str(plan.folder))}",
    ]
    if head.incomplete:
        lines.append("It holds an incomplete save.")
    if not head.healthy:
        findings = " ".join(map(str, head.document["health"]["findings"]))
        lines.append(f"It was not in good health: {plain(findings)}")
    if head.label.thinned:
        lines.append(
            f"It was thinned: {plain(', '.join(head.label.thinned))} will be missing; the trainer starts those afresh."
        )
    if plan.trainers:
        lines.append(f"It is being trained, and may be saved over: {plain(str(plan.trainers[0]))}.")
    rows = [(_VERBS[change.action], plain(change.path), size(change.size)) for change in plan.changes]
    lines.append(table(rows, right=(2,), indent="  "))
    if plan.nothing_to_do:
        lines.append("Everything is right already; nothing would be changed.")
    elif not plan.live.files and not plan.live.leftovers:
        lines.append("Nothing is there now, so there is nothing to back up.")
    elif backup:
        lines.append("What is there now is backed up first.")
    else:
        lines.append("What is there now will be lost: --no-backup.")
    return "\n".join(lines)


def question(plan: RestorePlan) -> str:
    """Return the question before a restore."""
    counts = Counter(change.action for change in plan.changes)
    parts = [f"{_VERBS[action]} {counts[action]}" for action in ("add", "replace", "remove") if counts[action]]
    what = ", ".join(parts)
    return f"{what[0].upper()}{what[1:]} {'file' if sum(counts.values()) - counts['keep'] == 1 else 'files'}?"


def describe_result(result: RestoreResult, vault: str | None) -> str:
    """Return what a restore did, and the line that undoes it; ``vault`` is what was named with --vault."""
    plan = result.plan
    title, name = plain(plan.head.title), plain(plan.live.name)
    if plan.nothing_to_do:
        return f"{name} is exactly snapshot '{title}' already; nothing was changed."
    place = plain(str(result.model_path))
    lines = [f"Restored '{title}' ({iteration(plan.head.iteration)}) to {place} in {result.seconds:.1f} s."]
    if plan.head.incomplete:
        lines.append("It holds an incomplete save.")
    if plan.trainers:
        lines.append(f"It is still being trained, and may be saved over: {plain(str(plan.trainers[0]))}.")
    if plan.head.label.thinned:
        lines.append(f"Thinned away, so not restored: {plain(', '.join(plan.head.label.thinned))}.")
    if result.backup is not None:
        how = "is safe: it is snapshot" if result.backup_existed else "is kept as"
        lines.append(f"What was there before {how} '{plain(result.backup.title)}' ({result.backup.id}).")
        named = f" --vault {_quoted(vault)}" if vault is not None else ""
        lines.append(f"To undo: casvault{named} undo {_quoted(str(result.model_path))}")
    elif not plan.live.files and not plan.live.leftovers:
        lines.append("Nothing was there before, so there is nothing to undo.")
    return "\n".join(lines)


def describe_salvage(result: SalvageResult) -> str:
    """Return which files of a snapshot were given, and why others were not."""
    verb = "Would write" if result.dry_run else "Wrote"
    title, place = plain(result.head.title), plain(str(result.folder))
    lines = [f"{verb} {len(result.files)} files of '{title}' that are whole to {place}."]
    lines += [f"  left out: {plain(path)}: {plain(reason)}" for path, reason in sorted(result.missing.items())]
    if result.missing:
        lines.append("This is no whole model: a trainer would start afresh what is missing.")
    return "\n".join(lines)


def _quoted(path: str) -> str:
    if sys.platform == "win32":
        return f'"{path}"' if " " in path else path
    return shlex.quote(path)
