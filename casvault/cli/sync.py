"""``casvault sync``."""

from __future__ import annotations

import click

from casvault.cli.options import common, make_progress, open_vault, print_json, say
from casvault.cli.syncing import check, describe, transfer_options

__all__ = ["command"]


@click.command("sync")
@click.argument("remote")
@transfer_options
@common
@click.pass_obj
def command(
    named: str | None,
    remote: str,
    model: str | None,
    delete: bool,
    dry_run: bool,
    limit_rate: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Push, then pull: afterwards both vaults have what either had, and the newer label of each snapshot."""
    result = open_vault(named).sync(
        remote,
        model=model,
        delete=delete,
        dry_run=dry_run,
        limit_rate=limit_rate,
        progress=make_progress(quiet or as_json),
    )
    if as_json:
        print_json(result.to_json())
    else:
        say(describe(result.sent, "sent to", remote), quiet=quiet)
        say(describe(result.received, "received from", remote), quiet=quiet)
    check([result.sent, result.received])
