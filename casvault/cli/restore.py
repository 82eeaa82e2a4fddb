"""``casvault restore``."""

from __future__ import annotations

from pathlib import Path

import click

from casvault.cli.options import ask, common, make_progress, open_vault, print_json, say
from casvault.cli.restoring import describe_plan, describe_result, question

__all__ = ["command"]


@click.command("restore")
@click.argument("snapshot")
@click.option("--to", metavar="MODEL|DIR", help="Where to; else where the model was.")
@click.option("--as", "as_name", metavar="NAME", help="Under another name.")
@click.option("--no-backup", is_flag=True, help="Do not keep what is there now. There is no undo then.")
@click.option("--allow-incomplete", is_flag=True, help="Also restore what was not one whole save.")
@click.option("--force", is_flag=True, help="Also while a trainer runs, which may save over it.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common
@click.pass_obj
def command(
    named: str | None,
    snapshot: str,
    to: str | None,
    as_name: str | None,
    no_backup: bool,
    allow_incomplete: bool,
    force: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Bring SNAPSHOT back exactly, after an automatic backup of what is there.

    SNAPSHOT is an id, the start or the last six digits of one, a name, `latest`, `latest~1`, MODEL@latest or
    MODEL@50000.
    """
    from casvault.restore import RestoreOptions, restore

    vault = open_vault(named, fallback=to)
    options = RestoreOptions(Path(to) if to else None, as_name, not no_backup, allow_incomplete, force)
    head = vault.find(snapshot)
    if dry_run or not yes:
        plan = vault.plan_restore(head.id, options)
        if dry_run:
            print_json(plan.to_json()) if as_json else say(describe_plan(plan, options.backup))
            return
        if not force:
            plan.check_not_trained()
        if not plan.nothing_to_do:
            say(describe_plan(plan, options.backup), err=True)
            ask(question(plan), yes)
    result = restore(vault, head, options, make_progress(quiet or as_json))
    if as_json:
        print_json(result.to_json())
    else:
        say(describe_result(result, named), quiet=quiet)
