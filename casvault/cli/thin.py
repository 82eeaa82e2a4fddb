"""``casvault thin``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from casvault.cli.collecting import collect, will_free
from casvault.cli.options import ask, common, open_vault, print_json, say
from casvault.cli.quantities import DURATION
from casvault.cli.text import describe, plain
from casvault.errors import UsageError

if TYPE_CHECKING:
    from casvault.api import Vault
    from casvault.thin import ThinResult

__all__ = ["command"]


@click.command("thin")
@click.argument("snapshots", nargs=-1, metavar="[SNAPSHOT]...")
@click.option("--older-than", type=DURATION, help="All older than this: 12h, 7d, 2w.")
@click.option(
    "--keep-last", type=click.IntRange(min=0), default=0, metavar="N", help="But not the last N of a model, at least 1."
)
@click.option("--undo", "take_back", is_flag=True, help="Give SNAPSHOTs their optimizers back, which works until gc.")
@click.option("--gc", "collect_too", is_flag=True, help="Free the space at once; there is no --undo then.")
@click.option("--dry-run", is_flag=True, help="Only say what would go, and what that frees.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common
@click.pass_obj
def command(
    named: str | None,
    snapshots: tuple[str, ...],
    older_than: timedelta | None,
    keep_last: int,
    take_back: bool,
    collect_too: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Let old snapshots give up their optimizer, which is half of a model or more.

    A thinned snapshot still restores: merging needs no optimizer, and the trainer starts a missing one afresh. Pinned
    snapshots are refused by name; by age they and the newest whole, healthy one of each model are left out.
    """
    if bool(snapshots) == (older_than is not None) or (keep_last and older_than is None):
        raise UsageError("name the snapshots, or say --older-than (perhaps with --keep-last), one of the two.")
    if take_back and (older_than is not None or dry_run or collect_too):
        raise UsageError("--undo takes the snapshots that are to have their optimizers back, and nothing else.")
    vault = open_vault(named)
    if take_back:
        _take_back(vault, snapshots, as_json, quiet)
        return
    ids = list(snapshots) if older_than is None else vault.old_snapshots(older_than, keep_last)
    plan = vault.plan_thin(*ids)
    if not dry_run and plan.heads:
        if not yes:
            say(_list(plan), err=True)
            ask(f"Give these files up{' for good' if collect_too else ''}?", yes)
        plan = vault.thin(*(head.id for head in plan.heads))
    done = bool(plan.heads) and not dry_run
    if done:
        names = ", ".join(f"'{plain(head.title)}'" for head in plan.heads)
        say(f"Thinned {names}.", quiet=quiet or as_json)
    collected = collect(vault, quiet=quiet, as_json=as_json) if collect_too and not dry_run else None
    if as_json:
        gc = collected.to_json() if collected is not None else None
        print_json({**plan.to_json(), "dry_run": dry_run, "gc": gc})
    elif not done:
        say(_list(plan), quiet=quiet and not dry_run)
    elif collected is None:
        say(will_free(plan.frees_bytes, plan.leaned_bytes), quiet=quiet)
        say("Until `casvault gc` runs, `casvault thin --undo` takes it back.", quiet=quiet)


def _list(plan: ThinResult) -> str:
    if not plan.heads:
        return "There is nothing to thin."
    lines = []
    for head in plan.heads:
        lines += [f"  {describe(head)}", f"    gives up {plain(', '.join(plan.files[head.id]))}"]
    return "\n".join([*lines, will_free(plan.frees_bytes, plan.leaned_bytes)])


def _take_back(vault: Vault, snapshots: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    heads = [vault.unthin(reference) for reference in snapshots]
    if as_json:
        print_json({"snapshots": [head.to_json() for head in heads]})
    for head in heads:
        say(f"Snapshot '{plain(head.title)}' ({head.id}) has all its files.", quiet=quiet or as_json)
