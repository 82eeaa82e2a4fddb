"""``casvault prune``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from casvault.cli.options import ask, common, make_progress, open_vault, print_json, say
from casvault.cli.quantities import DURATION, SIZE
from casvault.cli.text import age, iteration, losses, plain, size, table
from casvault.errors import PartialResult
from casvault.manifest.stamp import from_iso

if TYPE_CHECKING:
    from casvault.prune import PrunePlan, Verdict

__all__ = ["command"]

_COUNT = click.IntRange(min=0)


@click.command("prune")
@click.argument("model", required=False)
@click.option("--keep-last", type=_COUNT, default=0, metavar="N", help="The newest N.")
@click.option("--keep-every", type=_COUNT, default=0, metavar="N-iterations", help="One for every N iterations.")
@click.option("--keep-hourly", type=_COUNT, default=0, metavar="N", help="The newest of each of the last N hours.")
@click.option("--keep-daily", type=_COUNT, default=0, metavar="N", help="The newest of each of the last N days.")
@click.option("--keep-weekly", type=_COUNT, default=0, metavar="N", help="The newest of each of the last N weeks.")
@click.option("--keep-best", type=_COUNT, default=0, metavar="N", help="The N with the lowest mean loss.")
@click.option("--keep-log", is_flag=True, help="The first at or after 1, 2, 4, 8 ... iterations.")
@click.option("--keep-within", type=DURATION, help="All within this time before the newest: 12h, 7d, 2w.")
@click.option("--max-bytes", type=SIZE, help="Then the oldest, until the vault stores no more: 20GB.")
@click.option("--include-manual", is_flag=True, help="Also delete snapshots that people took.")
@click.option("--gc", "collect", is_flag=True, help="Free the space at once; there is no undelete then.")
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
    collect: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Delete by rule, of MODEL or of all models; gc frees. Rules work on each run of each model and add up.

    Pinned snapshots, those that people took, automatic backups of the last week and the newest whole one of each run
    always stay.
    """
    from casvault.prune import Rules, prune

    vault = open_vault(named)
    rules = Rules(
        keep_last, keep_every, keep_hourly, keep_daily, keep_weekly, keep_best, keep_log, keep_within, max_bytes
    )
    plan = vault.plan_prune(rules, model=model, include_manual=include_manual)
    if not dry_run and plan.goes:
        if not yes:
            say(_list(plan), err=True)
            ask(f"Delete {_count(plan)}?", yes)
        prune(vault, plan)
    collected = vault.gc(progress=make_progress(quiet or as_json)) if collect and not dry_run else None
    if as_json:
        print_json({**plan.to_json(), "dry_run": dry_run, "gc": collected.to_json() if collected is not None else None})
    elif dry_run:
        say(_list(plan))
    else:
        say(f"Deleted {_count(plan)}.", quiet=quiet)
        if collected is not None:
            say(f"{size(collected.freed_bytes)} freed, {size(collected.remaining_bytes)} remain.", quiet=quiet)
        elif plan.goes:
            say(f"{size(plan.frees_bytes)} will be freed by `casvault gc` (or --gc).", quiet=quiet)
    if plan.excess_bytes:
        raise PartialResult(
            f"the vault still stores {size(plan.excess_bytes)} more than --max-bytes: the rest is protected."
        )


def _count(plan: PrunePlan) -> str:
    return f"{len(plan.goes)} of {len(plan.verdicts)} snapshots"


def _list(plan: PrunePlan) -> str:
    rows: list[tuple[str, ...]] = [("", "ID", "NAME", "MODEL", "ITERATION", "LOSS", "SAVED", "WHY")]
    rows += [_row(verdict) for verdict in reversed(plan.verdicts)]
    return f"{table(rows)}\n{_count(plan)} go; gc will free {size(plan.frees_bytes)} for that."


def _row(verdict: Verdict) -> tuple[str, ...]:
    head = verdict.head
    why = "more than --max-bytes" if verdict.over else ", ".join(verdict.reasons) or "no rule keeps it"
    return (
        "keep" if verdict.stays else "delete",
        head.id[-6:],
        plain(head.name or "-"),
        plain(head.model_name),
        iteration(head.iteration),
        losses(head.loss),
        age(from_iso(head.saved_at or head.created)),
        why,
    )
