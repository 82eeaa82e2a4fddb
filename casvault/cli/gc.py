"""``casvault gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from casvault.cli.options import common, make_progress, open_vault, print_json, say
from casvault.cli.text import plain, size

if TYPE_CHECKING:
    from casvault.gc import GcResult

__all__ = ["command"]


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would be freed.")
@click.option("--no-recode", is_flag=True, help="Do not re-code what only props up deltas: quicker, frees less.")
@common
@click.pass_obj
def command(named: str | None, dry_run: bool, no_recode: bool, as_json: bool, quiet: bool) -> None:
    """Free the space of what was deleted, thinned or left behind. Safe while snapshots are taken.

    Then deltas whose base no snapshot holds any more are coded anew, where that saves space.
    """
    vault = open_vault(named)
    result = vault.gc(dry_run=dry_run, recode=not no_recode, progress=make_progress(quiet or as_json))
    if as_json:
        print_json(result.to_json())
    else:
        say(_describe(result), quiet=quiet)
    if result.unfinished is not None:
        say(f"Warning: re-coding was not finished: {plain(result.unfinished)}", err=True)


def _describe(result: GcResult) -> str:
    if result.dry_run:
        lines = [f"gc would free {size(result.freed_bytes)}: {result.deleted_objects:,} objects."]
        if result.base_bytes:
            lines.append(f"Of the rest {size(result.base_bytes)} are only leaned on; coding anew may save most of it.")
    else:
        lines = [f"{size(result.freed_bytes)} freed: {result.deleted_objects:,} objects."]
        if result.recoded_objects:
            lines.append(
                f"{size(result.recoding_freed_bytes)} of it by coding {result.recoded_objects:,} objects anew."
            )
    count = len(result.forgotten_snapshots)
    if count:
        verb = "could not come back then" if result.dry_run else "cannot come back now"
        lines.append(f"{count} deleted {'snapshot' if count == 1 else 'snapshots'} {verb}.")
    lines.append(f"{size(result.remaining_bytes)} remain.")
    return "\n".join(lines)
