"""``casvault gc``."""

from __future__ import annotations

from datetime import timedelta

import click

from casvault.cli.collecting import collect, collect_remote
from casvault.cli.options import common, open_vault, print_json, remote_named
from casvault.cli.quantities import DURATION
from casvault.errors import UsageError

__all__ = ["command"]


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would be freed.")
@click.option("--no-recode", is_flag=True, help="Do not re-code what only props up deltas: quicker, frees less.")
@click.option("--grace", type=DURATION, help="Of a bucket, with --remote: leave what is younger than this (24h).")
@common
@click.pass_obj
def command(
    named: str | None, dry_run: bool, no_recode: bool, grace: timedelta | None, as_json: bool, quiet: bool
) -> None:
    """Free the space of what was deleted, thinned or left behind. Safe while snapshots are taken.

    Then deltas whose base no snapshot holds any more are coded anew, where that saves space. In a bucket nothing is,
    and what is young stays: there is no lock that would keep others out.
    """
    vault, remote = open_vault(named), remote_named()
    if remote is not None:
        freed = collect_remote(vault, remote, grace, quiet=quiet, as_json=as_json, dry_run=dry_run)
        if as_json:
            print_json(freed.to_json())
        return
    if grace is not None:
        raise UsageError("--grace goes with --remote: in a vault on a disk gc need not wait for anybody.")
    result = collect(vault, quiet=quiet, as_json=as_json, dry_run=dry_run, recode=not no_recode)
    if as_json:
        print_json(result.to_json())
