"""``casvault push``."""

from __future__ import annotations

import click

from casvault.cli.options import common, make_progress, open_vault, print_json, say
from casvault.cli.syncing import check, describe, selecting, transfer_options

__all__ = ["command"]


@click.command("push")
@click.argument("remote")
@selecting
@transfer_options
@common
@click.pass_obj
def command(
    named: str | None,
    remote: str,
    snapshots: tuple[str, ...],
    latest: bool,
    model: str | None,
    delete: bool,
    dry_run: bool,
    limit_rate: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Send snapshots to another vault: all that it lacks, or those that are named. REMOTE is a name or a place.

    Newest first; each is there as a whole or not at all, and a push that was cut off goes on where it stopped.
    """
    result = open_vault(named).push(
        remote,
        *snapshots,
        model=model,
        latest=latest,
        delete=delete,
        dry_run=dry_run,
        limit_rate=limit_rate,
        progress=make_progress(quiet or as_json),
    )
    if as_json:
        print_json(result.to_json())
    else:
        say(describe(result, "sent to", remote), quiet=quiet)
    check([result])
