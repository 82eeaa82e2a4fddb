"""``casvault delete``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from casvault.cli.options import ask, common, make_progress, open_vault, print_json, say
from casvault.cli.text import describe, plain, size

if TYPE_CHECKING:
    from casvault.delete import DeleteResult

__all__ = ["command"]


@click.command("delete")
@click.argument("snapshots", nargs=-1, required=True, metavar="SNAPSHOT...")
@click.option("--gc", "collect", is_flag=True, help="Free the space at once; there is no undelete then.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted, and what that frees.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common
@click.pass_obj
def command(
    named: str | None,
    snapshots: tuple[str, ...],
    collect: bool,
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
        print_json(plan.to_json()) if as_json else say(_list(plan))
        return
    if not yes:
        say(_list(plan), err=True)
        count = len(plan.heads) + len(plan.unreadable)
        ask("Delete it?" if count == 1 else f"Delete these {count} snapshots?", yes)
    result = vault.delete(*(head.id for head in plan.heads), *plan.unreadable)
    collected = vault.gc(progress=make_progress(quiet or as_json)) if collect else None
    if as_json:
        print_json({**result.to_json(), "gc": collected.to_json() if collected is not None else None})
        return
    names = [f"'{plain(head.title)}'" for head in result.heads] + list(result.unreadable)
    say(f"Deleted {', '.join(names)}.", quiet=quiet)
    if collected is not None:
        say(f"{size(collected.freed_bytes)} freed, {size(collected.remaining_bytes)} remain.", quiet=quiet)
    elif result.frees_bytes is not None:
        say(f"{size(result.frees_bytes)} will be freed by `casvault gc` (or --gc).{_more(result)}", quiet=quiet)


def _list(plan: DeleteResult) -> str:
    lines = [f"  {describe(head)}" for head in plan.heads]
    lines += [f"  {id}, whose manifest is damaged" for id in plan.unreadable]
    if plan.frees_bytes is not None:
        lines.append(f"gc will free {size(plan.frees_bytes)} for that.{_more(plan)}")
    return "\n".join(lines)


def _more(plan: DeleteResult) -> str:
    text = ""
    if plan.leaned_bytes:
        text += f" Deltas of other snapshots lean on {size(plan.leaned_bytes)} more; gc codes those anew if that saves."
    if plan.reclaimable_bytes:
        text += f" It will free {size(plan.reclaimable_bytes)} of earlier deletions besides."
    return text
