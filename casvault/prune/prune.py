"""Prune: apply rules to a vault and delete what none of them keeps.

Owns the invariants that pinned snapshots, manual ones (unless asked for), automatic backups of the last week, and the
newest whole, healthy snapshot of each run stay whatever the rules are, and that a plan says for each snapshot why.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from casvault.errors import UsageError
from casvault.manifest.stamp import from_iso
from casvault.prune.rules import Rules, is_sound
from casvault.vault.head import Head
from casvault.vault.live import LiveRecord
from casvault.vault.vault import Vault

if TYPE_CHECKING:
    from casvault.usage.ledger import Ledger

__all__ = ["PrunePlan", "Verdict", "plan_prune", "prune"]

_KEEP_BACKUPS = timedelta(days=7)


@dataclass(frozen=True)
class Verdict:
    """What becomes of one snapshot, and the ``reasons`` that it stays: names of rules, and of what protects it.

    ``fixed`` says that something protects it; ``over`` that the ceiling takes it, whatever rule keeps it.
    """

    head: Head
    reasons: tuple[str, ...]
    fixed: bool = False
    over: bool = False

    @property
    def stays(self) -> bool:
        """Whether it stays."""
        return bool(self.reasons) and not self.over

    def to_json(self) -> dict[str, Any]:
        """Return the verdict for `--json`."""
        return {
            "id": self.head.id,
            "name": self.head.name,
            "model": self.head.model_name,
            "iteration": self.head.iteration,
            "kept": self.stays,
            "reasons": list(self.reasons),
            "over_max_bytes": self.over,
        }


@dataclass(frozen=True)
class PrunePlan:
    """What pruning does: a verdict for each snapshot, oldest first, and the stored bytes that gc frees for it.

    ``leaned_bytes`` are bases of other snapshots' deltas, which stay until gc codes those anew. ``excess_bytes`` is
    what the vault stores above the ceiling even then, since the rest is protected.
    """

    verdicts: tuple[Verdict, ...]
    frees_bytes: int
    leaned_bytes: int
    excess_bytes: int = 0

    @property
    def goes(self) -> tuple[str, ...]:
        """The ids of the snapshots that are deleted."""
        return tuple(verdict.head.id for verdict in self.verdicts if not verdict.stays)

    def to_json(self) -> dict[str, Any]:
        """Return the plan for `--json`."""
        return {
            "snapshots": [verdict.to_json() for verdict in self.verdicts],
            "deleted": list(self.goes),
            "frees_bytes": self.frees_bytes,
            "leaned_bytes": self.leaned_bytes,
            "excess_bytes": self.excess_bytes,
        }


def plan_prune(
    vault: Vault,
    rules: Rules,
    *,
    among: Collection[str] | None = None,
    kinds: Collection[str] | None = None,
    include_manual: bool = False,
    now: datetime | None = None,
) -> PrunePlan:
    """Return what pruning does to all snapshots, or to those ``among`` these ids; with ``kinds`` only to those kinds.

    Raises UsageError without any rule, DamageError where a manifest cannot be read, Locked, StorageError.
    """
    if not rules.keeps and rules.max_bytes is None:
        raise UsageError("say at least one rule, such as --keep-last 10; without any all snapshots would go.")
    with vault.locks.shared("prune"):
        from casvault.usage.usage import account

        vault.objects.forget()
        ledger, _ = account(vault)
    heads = [holding.head for holding in ledger.holdings.snapshots if among is None or holding.id in among]
    backups = LiveRecord.backups(vault.backend)
    verdicts = judge(heads, rules, kinds, include_manual, now or datetime.now(timezone.utc), backups)
    leaned = ledger.leaned_bytes()
    freed = sum(ledger.remove(verdict.head.id) for verdict in verdicts if not verdict.stays)
    excess = 0
    if rules.max_bytes is not None:
        verdicts, more, excess = _below(ledger, verdicts, rules.max_bytes)
        freed += more
    return PrunePlan(tuple(verdicts), freed, max(0, ledger.leaned_bytes() - leaned), excess)


def prune(vault: Vault, plan: PrunePlan) -> PrunePlan:
    """Delete what the plan says, but for what was pinned since; return what was done.

    Raises Locked, NoSpace, StorageError; what was deleted until then stays deleted.
    """
    return replace(plan, verdicts=tuple(_carried_out(vault, verdict) for verdict in plan.verdicts))


def judge(
    heads: Sequence[Head],
    rules: Rules,
    kinds: Collection[str] | None,
    include_manual: bool,
    now: datetime,
    backups: Collection[str] = (),
) -> list[Verdict]:
    """Return what becomes of each of ``heads`` (all of a run or none, oldest first), but for the ceiling.

    ``backups`` are what `undo` goes back to.
    """
    runs: dict[tuple[str, str, int], list[Head]] = {}
    for head in heads:
        runs.setdefault((head.model_name, head.place, head.document["run"]), []).append(head)
    reasons = {head.id: _protected(head, kinds, include_manual, now) for head in heads}
    for id in reasons.keys() & set(backups):
        reasons[id].append("undo")
    fixed = {id for id, found in reasons.items() if found}
    for run in runs.values():
        candidates = [head for head in run if head.id not in fixed]
        kept = rules.kept(candidates, _lines(run)) if rules.keeps else {head.id: ["fits"] for head in candidates}
        for id, names in kept.items():
            reasons[id] += names
        newest = max(filter(is_sound, run), key=_how_new, default=None)
        if newest is not None:
            reasons[newest.id].append("newest")
            fixed.add(newest.id)
    return [Verdict(head, tuple(reasons[head.id]), head.id in fixed) for head in heads]


def _how_new(head: Head) -> tuple[bool, datetime, str]:
    # An automatic backup may hold what a restore was to get rid of: it is the newest only where it is the only one.
    return head.kind != "auto-backup", head.moment, head.id


def _lines(run: Sequence[Head]) -> dict[str, int]:
    """Return id -> how many restores went before the snapshot, of a run, oldest first."""
    lines, restores = {}, 0
    for head in run:
        restores += head.document["restored_from"] is not None
        lines[head.id] = restores
    return lines


def _protected(head: Head, kinds: Collection[str] | None, include_manual: bool, now: datetime) -> list[str]:
    """Return why no rule is asked about a snapshot."""
    found = []
    if head.label.pinned:
        found.append("pinned")
    if head.doubtful:
        found.append("damaged label")
    if head.kind == "manual" and not include_manual:
        found.append("manual")
    if head.kind == "auto-backup" and now - from_iso(head.created) < _KEEP_BACKUPS:
        found.append("recent backup")
    if kinds is not None and head.kind not in kinds:
        found.append(head.kind)
    return list(dict.fromkeys(found))


def _below(ledger: Ledger, verdicts: Sequence[Verdict], ceiling: int) -> tuple[list[Verdict], int, int]:
    """Let the oldest go until what is stored is at most ``ceiling``; return also what that frees, and what is above."""
    from casvault.prune.ceiling import Ceiling

    stored = Ceiling(ledger, {verdict.head.id for verdict in verdicts if not verdict.stays})
    over, freed, above = set(), 0, stored.stored
    for verdict in sorted(verdicts, key=lambda one: (one.head.moment, one.head.id)):
        if above > ceiling and verdict.stays and not verdict.fixed:
            over.add(verdict.head.id)
            freed += stored.remove(verdict.head.id)
            above = stored.stored
    return [replace(one, over=one.head.id in over) for one in verdicts], freed, max(0, above - ceiling)


def _carried_out(vault: Vault, verdict: Verdict) -> Verdict:
    from casvault.delete import mark_deleted

    if verdict.stays:
        return verdict
    try:
        mark_deleted(vault, verdict.head.id)
    except UsageError:
        return Verdict(verdict.head, ("pinned",), fixed=True)
    return verdict
