"""``casvault thin``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from casvault.cli.options import ask, common, open_vault, print_json, say
from casvault.cli.quantities import DURATION
from casvault.cli.text import describe, plain, size
from casvault.errors import UsageError

if TYPE_CHECKING:
    from casvault.api import Vault
    from casvault.thin import ThinResult

__all__ = ["command"]


@click.command("thin")
@click.argument("snapshots", nargs=-1, metavar="[SNAPSHOT]...")
@click.option("--older-than", type=DURATION, help="All that were taken longer ago than this: 12h, 7d, 2w.")
@click.option("--keep-last", type=click.IntRange(min=0), default=0, help="But not the last N of each model.")
@click.option("--undo", "take_back", is_flag=True, help="Take the thinning of SNAPSHOT back, which works until gc.")
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
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Let old snapshots give up their optimizer, which is half of a model or more.

    A thinned snapshot still restores: merging needs no optimizer, and the trainer starts a missing one afresh.
    Pinned snapshots are refused by name and left out by age.
    """
    if bool(snapshots) == (older_than is not None) or (keep_last and older_than is None):
        raise UsageError("name the snapshots, or say --older-than (perhaps with --keep-last), one of the two.")
    vault = open_vault(named)
    if take_back:
        _take_back(vault, snapshots, as_json, quiet)
        return
    ids = list(snapshots) if older_than is None else vault.old_snapshots(older_than, keep_last)
    plan = vault.plan_thin(*ids)
    if dry_run or not plan.heads:
        print_json(plan.to_json()) if as_json else say(_list(plan))
        return
    if not yes:
        say(_list(plan), err=True)
        ask("Give these files up?", yes)
    result = vault.thin(*ids)
    if as_json:
        print_json(result.to_json())
    else:
        names = ", ".join(f"'{plain(head.title)}'" for head in result.heads)
        say(f"Thinned {names}.", quiet=quiet)
        say(f"{size(result.frees_bytes)} will be freed by `casvault gc`; until then --undo takes it back.", quiet=quiet)


def _list(plan: ThinResult) -> str:
    if not plan.heads:
        return "There is nothing to thin."
    lines = []
    for head in plan.heads:
        lines += [f"  {describe(head)}", f"    gives up {plain(', '.join(plan.files[head.id]))}"]
    return "\n".join([*lines, f"gc will free {size(plan.frees_bytes)} for that."])


def _take_back(vault: Vault, snapshots: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    if not snapshots:
        raise UsageError("name the snapshots whose thinning is to be taken back.")
    heads = [vault.unthin(reference) for reference in snapshots]
    if as_json:
        print_json({"snapshots": [head.to_json() for head in heads]})
    for head in heads:
        say(f"Snapshot '{plain(head.title)}' ({head.id}) has all its files again.", quiet=quiet or as_json)
