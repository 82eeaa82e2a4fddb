"""``casvault prune``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from casvault.cli.collecting import collect, will_free
from casvault.cli.options import ask, common, open_vault, print_json, say
from casvault.cli.quantities import DURATION, SIZE
from casvault.cli.text import age, iteration, losses, plain, size, table
from casvault.errors import PartialResult

if TYPE_CHECKING:
    from casvault.prune import PrunePlan, Verdict

__all__ = ["command"]

_COUNT = click.IntRange(min=0)
_NONE = "There are no snapshots to prune."


@click.command("prune")
@click.argument("model", required=False)
@click.option("--keep-last", type=_COUNT, default=0, metavar="N", help="Keep the newest N.")
@click.option("--keep-every", type=_COUNT, default=0, metavar="N", help="Keep one for every N iterations.")
@click.option("--keep-hourly", type=_COUNT, default=0, metavar="N", help="Keep the newest of each of the last N hours.")
@click.option("--keep-daily", type=_COUNT, default=0, metavar="N", help="Keep the newest of each of the last N days.")
@click.option("--keep-weekly", type=_COUNT, default=0, metavar="N", help="Keep the newest of each of the last N weeks.")
@click.option("--keep-best", type=_COUNT, default=0, metavar="N", help="Keep the N with the lowest mean loss.")
@click.option("--keep-log", is_flag=True, help="Keep the first at or after 1, 2, 4, 8 ... iterations.")
@click.option("--keep-within", type=DURATION, help="Keep all within this time before the newest: 12h, 7d, 2w.")
@click.option("--max-bytes", type=SIZE, help="Then delete the oldest until the vault stores no more: 20GB.")
@click.option("--include-manual", is_flag=True, help="Let rules choose among snapshots that people took, too.")
@click.option("--gc", "collect_too", is_flag=True, help="Free the space at once; there is no undelete then.")
@click.option("--dry-run", is_flag=True, help="Only say what stays and why, and what goes.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common
@click.pass_obj
def command(
    named: str | None,
    model: str | None,
    keep_last: int,
    keep_every: int,
    keep_hourly: int,
    keep_daily: int,
    keep_weekly: int,
    keep_best: int,
    keep_log: bool,
    keep_within: timedelta | None,
    max_bytes: int | None,
    include_manual: bool,
    collect_too: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Delete the snapshots of MODEL, or of all models, that no rule keeps; gc frees their space.

    Rules look at each run of each model by itself, and what one of them keeps stays. Pinned snapshots, those that
    people took, automatic backups of the last week and the newest whole, healthy one of each run always stay.
    """
    from casvault.prune import Rules, prune

    vault = open_vault(named)
    rules = Rules(
        keep_last, keep_every, keep_hourly, keep_daily, keep_weekly, keep_best, keep_log, keep_within, max_bytes
    )
    plan = vault.plan_prune(rules, model=model, include_manual=include_manual)
    if plan.goes and not dry_run:
        if not yes:
            say(_list(plan), err=True)
            ask(f"Delete {_count(plan)}{' for good' if collect_too else ''}?", yes)
        plan = prune(vault, plan)
    if not as_json:
        say(_list(plan) if dry_run else _done(plan), quiet=quiet and not dry_run)
    collected = collect(vault, quiet=quiet, as_json=as_json) if collect_too and not dry_run else None
    if as_json:
        print_json({**plan.to_json(), "dry_run": dry_run, "gc": collected.to_json() if collected is not None else None})
    elif plan.goes and not dry_run and collected is None:
        say(will_free(plan.frees_bytes, plan.leaned_bytes), quiet=quiet)
        say("Until `casvault gc` runs, `casvault undelete` brings each back.", quiet=quiet)
    if plan.excess_bytes:
        raise PartialResult(
            f"even so the vault stores about {size(plan.excess_bytes)} more than --max-bytes: the rest is protected."
        )


def _count(plan: PrunePlan) -> str:
    return f"{len(plan.goes)} of {len(plan.verdicts)} snapshots"


def _list(plan: PrunePlan) -> str:
    if not plan.verdicts:
        return _NONE
    rows: list[tuple[str, ...]] = [("", "ID", "NAME", "MODEL", "ITERATION", "LOSS", "SAVED", "WHY")]
    rows += [_row(verdict) for verdict in reversed(plan.verdicts)]
    if not plan.goes:
        return f"{table(rows)}\n{_done(plan)}"
    return f"{table(rows)}\n{_count(plan)} are to go. {will_free(plan.frees_bytes, plan.leaned_bytes)}"


def _done(plan: PrunePlan) -> str:
    if not plan.verdicts:
        return _NONE
    if plan.goes:
        return f"Deleted {_count(plan)}."
    manual = sum("manual" in verdict.reasons for verdict in plan.verdicts)
    hint = f" People took {manual} of them; --include-manual lets the rules choose among those too." if manual else ""
    return f"None of {len(plan.verdicts)} snapshots goes.{hint}"


def _row(verdict: Verdict) -> tuple[str, ...]:
    head = verdict.head
    return (
        "keep" if verdict.stays else "delete",
        head.id[-6:],
        plain(head.name or "-"),
        plain(head.model_name),
        iteration(head.iteration),
        losses(head.loss),
        age(head.moment),
        _why(verdict),
    )


def _why(verdict: Verdict) -> str:
    if verdict.over:
        return "over --max-bytes"
    return ", ".join(_WORDS.get(reason, reason) for reason in verdict.reasons) or "no rule keeps it"


_RULES = ("last", "every", "hourly", "daily", "weekly", "best", "log", "within")
_WORDS = {
    "manual": "taken by people",
    "newest": "the newest",
    "fits": "there is room",
    **{rule: f"--keep-{rule}" for rule in _RULES},
}
"""Reasons as people read them."""
