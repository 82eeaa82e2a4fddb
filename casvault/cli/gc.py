"""``casvault gc``."""

from __future__ import annotations

import click

from casvault.cli.collecting import collect
from casvault.cli.options import common, open_vault, print_json

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
    result = collect(open_vault(named), quiet=quiet, as_json=as_json, dry_run=dry_run, recode=not no_recode)
    if as_json:
        print_json(result.to_json())
