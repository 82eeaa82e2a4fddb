"""``casvault pull``."""

from __future__ import annotations

import click

from casvault.cli.options import common, print_json, say
from casvault.cli.syncing import Ends, check, describe, options_of, selecting, transfer_options

__all__ = ["command"]


@click.command("pull")
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
    """Bring snapshots from another vault: all that are lacking here, or those that are named.

    A model that was elsewhere is restored with --to.
    """
    from casvault.sync import pull

    options = options_of(snapshots, latest, model, delete, dry_run, limit_rate)
    with Ends(named, remote, quiet or as_json) as ends:
        result = pull(ends.here, ends.there, options, ends.progress)
    if as_json:
        print_json(result.to_json("received"))
    else:
        say(describe(result, "received from", ends.entry.name), quiet=quiet)
    check([result])
