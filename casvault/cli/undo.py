"""``casvault undo``."""

from __future__ import annotations

import click

from casvault.cli.options import ask, common, make_progress, open_vault, print_json, say
from casvault.cli.restoring import describe_plan, describe_result, question

__all__ = ["command"]


@click.command("undo")
@click.argument("model")
@click.option("--force", is_flag=True, help="Also while a trainer runs, which may save over it.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common
@click.pass_obj
def command(named: str | None, model: str, force: bool, dry_run: bool, yes: bool, as_json: bool, quiet: bool) -> None:
    """Go back to what was in MODEL's place before the last restore; a second undo goes forth again."""
    vault = open_vault(named, model)
    if dry_run or not yes:
        plan = vault.plan_undo(model)
        if dry_run:
            print_json(plan.to_json()) if as_json else say(describe_plan(plan, backup=True))
            return
        if not force:
            plan.check_not_trained()
        if not plan.nothing_to_do:
            say(describe_plan(plan, backup=True), err=True)
            ask(question(plan), yes)
    result = vault.undo(model, force=force, progress=make_progress(quiet or as_json))
    if as_json:
        print_json(result.to_json())
    else:
        say(describe_result(result, named), quiet=quiet)
