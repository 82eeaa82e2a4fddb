"""Prune: apply rules to a vault and delete what none of them keeps.

Owns the invariants that pinned snapshots, manual ones (unless asked for), automatic backups of the last week, and the
newest whole, healthy snapshot of each run stay whatever the rules are, and that a plan says for each snapshot why.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from casvault.delete import mark_deleted
from casvault.errors import UsageError
from casvault.manifest.stamp import from_iso
from casvault.prune.rules import Rules, moment
from casvault.usage.ledger import Ledger
from casvault.usage.usage import account
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["PrunePlan", "Verdict", "plan_prune", "prune"]

_KEEP_BACKUPS = timedelta(days=7)


@dataclass(frozen=True)
class Verdict:
    """What becomes of one snapshot, and the ``reasons`` that it stays; ``over`` says that the ceiling takes it."""

    head: Head
    reasons: tuple[str, ...]
    over: bool = False

    @property
    def stays(self) -> bool:
        """Whether it stays."""
        return bool(self.reasons) and not self.over


@dataclass(frozen=True)
class PrunePlan:
    """What pruning does: a verdict for each snapshot, oldest first, and the stored bytes that gc frees for it.

    ``excess_bytes`` is what the vault stores above the ceiling even then, since the rest is protected.
    """

    verdicts: tuple[Verdict, ...]
    frees_bytes: int
    excess_bytes: int = 0

    @property
    def goes(self) -> tuple[str, ...]:
        """The ids of the snapshots that are deleted."""
        return tuple(verdict.head.id for verdict in self.verdicts if not verdict.stays)

    def to_json(self) -> dict[str, Any]:
        """Return the plan for `--json`."""
        return {
            "snapshots": [
                {
                    "id": one.head.id,
                    "name": one.head.name,
                    "model": one.head.model_name,
                    "iteration": one.head.iteration,
                    "kept": one.stays,
                    "reasons": ["max-bytes"] if one.over else list(one.reasons),
                }
                for one in self.verdicts
            ],
            "deleted": list(self.goes),
            "frees_bytes": self.frees_bytes,
            "excess_bytes": self.excess_bytes,
        }


def plan_prune(
    vault: Vault,
    rules: Rules,
    *,
    model: str | None = None,
    kinds: Collection[str] | None = None,
    include_manual: bool = False,
    now: datetime | None = None,
) -> PrunePlan:
    """Return what pruning does; with ``model`` (a full name) only to its snapshots, with ``kinds`` only to those kinds.

    Raises UsageError without any rule, DamageError where a manifest cannot be read, Locked, StorageError.
    """
    if not rules.keeps and rules.max_bytes is None:
        raise UsageError("say at least one rule, such as --keep-last 10; without any all snapshots would go.")
    with vault.locks.shared("prune"):
        vault.objects.forget()
        ledger, _ = account(vault)
        heads = [h.head for h in ledger.holdings.snapshots if model in (None, h.head.model_name)]
    verdicts = _verdicts(heads, rules, kinds, include_manual, now or datetime.now(timezone.utc))
    freed = sum(ledger.remove(verdict.head.id) for verdict in verdicts if not verdict.stays)
    if rules.max_bytes is None:
        return PrunePlan(tuple(verdicts), freed)
    return _below(ledger, verdicts, freed, rules.max_bytes)


def prune(vault: Vault, plan: PrunePlan) -> PrunePlan:
    """Delete what the plan says, but for what was pinned since; raises Locked, NoSpace, StorageError."""
    for id in plan.goes:
        with suppress(UsageError):
            mark_deleted(vault, id)
    return plan


def _verdicts(
    heads: Sequence[Head], rules: Rules, kinds: Collection[str] | None, include_manual: bool, now: datetime
) -> list[Verdict]:
    runs: dict[tuple[str, str, int], list[Head]] = {}
    for head in heads:
        runs.setdefault((head.model_name, head.source, head.document["run"]), []).append(head)
    reasons: dict[str, list[str]] = {head.id: _protected(head, kinds, include_manual, now) for head in heads}
    for run in runs.values():
        candidates = [head for head in run if not reasons[head.id]]
        sound = [head for head in run if head.healthy and not head.incomplete]
        kept = rules.kept(candidates) if rules.keeps else {head.id: ["no rule"] for head in candidates}
        for id, names in kept.items():
            reasons[id] += names
        if sound:
            newest = max(sound, key=lambda head: (moment(head), head.id))
            reasons[newest.id].append("newest")
    return [Verdict(head, tuple(reasons[head.id])) for head in heads]


def _protected(head: Head, kinds: Collection[str] | None, include_manual: bool, now: datetime) -> list[str]:
    """Return why no rule is asked about a snapshot."""
    found = []
    if head.label.pinned:
        found.append("pinned")
    if head.kind == "manual" and not include_manual:
        found.append("manual")
    if head.kind == "auto-backup" and now - from_iso(head.created) < _KEEP_BACKUPS:
        found.append("recent backup")
    if kinds is not None and head.kind not in kinds:
        found.append(head.kind)
    return list(dict.fromkeys(found))


def _below(ledger: Ledger, verdicts: list[Verdict], freed: int, ceiling: int) -> PrunePlan:
    """Let the oldest go until what is stored is at most ``ceiling``; what is protected stays."""
    stored, found = ledger.stored_in_all(), []
    for verdict in verdicts:
        over = verdict.stays and stored > ceiling and not set(verdict.reasons) & _UNTOUCHED
        if over:
            less = ledger.remove(verdict.head.id)
            stored, freed = stored - less, freed + less
        found.append(Verdict(verdict.head, verdict.reasons, over))
    return PrunePlan(tuple(found), freed, max(0, stored - ceiling))


_UNTOUCHED = {"pinned", "manual", "recent backup", "newest", "auto-backup", "imported", "scheduled"}
"""Reasons that are no rules."""
