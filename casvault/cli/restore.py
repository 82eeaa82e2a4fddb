"""``casvault restore``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from casvault.cli.options import ask, common, make_progress, open_vault, print_json, remote_named, say
from casvault.cli.restoring import describe_plan, describe_result, describe_salvage, question
from casvault.cli.text import plain
from casvault.errors import PartialResult, UsageError

if TYPE_CHECKING:
    from casvault.api import RemoteVault, Vault
    from casvault.restore import RestoreOptions, RestoreResult

__all__ = ["command"]


@click.command("restore")
@click.argument("snapshot")
@click.option("--to", metavar="MODEL|DIR", help="Where to; else where the model was.")
@click.option("--as", "as_name", metavar="NAME", help="Under another name.")
@click.option("--no-backup", is_flag=True, help="Do not keep what is there now. There is no undo then.")
@click.option("--allow-incomplete", is_flag=True, help="Also restore what was not one whole save.")
@click.option("--force", is_flag=True, help="Also while a trainer runs, which may save over it.")
@click.option("--skip-damaged", is_flag=True, help="Only the files that are whole, to the new folder DIR.")
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
    skip_damaged: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Bring SNAPSHOT back exactly, after an automatic backup of what is there.

    SNAPSHOT is an id, the start or the last six digits of one, a name, `latest`, `latest~1`, MODEL@latest or
    MODEL@50000.
    """
    from casvault.restore import RestoreOptions

    vault, remote = open_vault(named, fallback=to), remote_named()
    if skip_damaged:
        if remote is not None:
            raise UsageError("--skip-damaged is for a vault here; `casvault pull` brings the snapshot first.")
        _salvage(vault, snapshot, Path(to) if to else None, as_name, dry_run, as_json, quiet)
        return
    options = RestoreOptions(Path(to) if to else None, as_name, not no_backup, allow_incomplete, force)
    if remote is None:
        result = _restore(vault, snapshot, options, dry_run, yes, as_json, quiet)
    else:
        with vault.remote(remote) as there:
            result = _restore(there, snapshot, options, dry_run, yes, as_json, quiet)
    if result is not None:
        print_json(result.to_json()) if as_json else say(describe_result(result, named), quiet=quiet)


def _restore(
    source: Vault | RemoteVault,
    snapshot: str,
    options: RestoreOptions,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> RestoreResult | None:
    """Restore from here or from elsewhere, once that is agreed to; None where it was only to be told."""
    id = source.find(snapshot).id
    if dry_run or not yes:
        plan = source.plan_restore(id, options)
        if dry_run:
            print_json(plan.to_json()) if as_json else say(describe_plan(plan, options.backup))
            return None
        if not options.force:
            plan.check_not_trained()
        if not plan.nothing_to_do:
            say(describe_plan(plan, options.backup), err=True)
            ask(question(plan), yes)
    return source.restore(id, options, progress=make_progress(quiet or as_json))


def _salvage(
    vault: Vault, snapshot: str, to: Path | None, as_name: str | None, dry_run: bool, as_json: bool, quiet: bool
) -> None:
    progress = make_progress(quiet or as_json)
    if dry_run:
        result = vault.plan_salvage(snapshot, to, as_name=as_name, progress=progress)
    else:
        result = vault.salvage(snapshot, to, as_name=as_name, progress=progress)
    if as_json:
        print_json(result.to_json())
    else:
        say(describe_salvage(result), quiet=quiet)
    if result.missing:
        raise PartialResult(
            f"{len(result.missing)} of {len(result.missing) + len(result.files)} files "
            f"{'are' if dry_run else 'were'} left out: {plain(', '.join(sorted(result.missing)))}."
        )
