"""``casvault delete``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from casvault.cli.collecting import collect, will_free
from casvault.cli.options import ask, common, open_vault, print_json, say
from casvault.cli.text import describe, plain, size

if TYPE_CHECKING:
    from casvault.delete import DeleteResult
    from casvault.gc import GcResult

__all__ = ["command"]


@click.command("delete")
@click.argument("snapshots", nargs=-1, required=True, metavar="SNAPSHOT...")
@click.option("--gc", "collect_too", is_flag=True, help="Free the space at once; there is no undelete then.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted, and what that frees.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common
@click.pass_obj
def command(
    named: str | None,
    snapshots: tuple[str, ...],
    collect_too: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Delete snapshots. `casvault undelete` brings them back until `casvault gc` frees their space.

    Pinned snapshots are refused.
    """
    vault = open_vault(named)
    plan = vault.plan_delete(*snapshots)
    if dry_run:
        print_json(_document(plan, dry_run, None)) if as_json else say(_list(plan))
        return
    if not yes:
        say(_list(plan), err=True)
        count = len(plan.heads) + len(plan.unreadable)
        ask(f"Delete {'it' if count == 1 else f'these {count} snapshots'}{' for good' if collect_too else ''}?", yes)
    result = vault.delete(*(head.id for head in plan.heads), *plan.unreadable)
    names = [f"'{plain(head.title)}'" for head in result.heads] + list(result.unreadable)
    say(f"Deleted {', '.join(names)}.", quiet=quiet or as_json)
    collected = collect(vault, quiet=quiet, as_json=as_json) if collect_too else None
    if as_json:
        print_json(_document(result, dry_run, collected))
    elif collected is None:
        if result.frees_bytes is not None:
            say(_frees(result), quiet=quiet)
        say("Until `casvault gc` runs, `casvault undelete` brings it back.", quiet=quiet)


def _document(result: DeleteResult, dry_run: bool, collected: GcResult | None) -> dict[str, Any]:
    return {**result.to_json(), "dry_run": dry_run, "gc": collected.to_json() if collected is not None else None}


def _list(plan: DeleteResult) -> str:
    lines = [f"  {describe(head)}" for head in plan.heads]
    lines += [f"  {id}, whose manifest is damaged" for id in plan.unreadable]
    if plan.frees_bytes is not None:
        lines.append(_frees(plan))
    return "\n".join(lines)


def _frees(plan: DeleteResult) -> str:
    text = will_free(plan.frees_bytes or 0, plan.leaned_bytes)
    if plan.reclaimable_bytes:
        text += f" It will free {size(plan.reclaimable_bytes)} besides, of what was deleted or left before."
    return text
