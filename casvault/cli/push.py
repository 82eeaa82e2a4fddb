"""``casvault push``."""

from __future__ import annotations

import click

from casvault.cli.options import common, print_json, say
from casvault.cli.syncing import Ends, check, describe, options_of, selecting, transfer_options

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
    from casvault.sync import push

    options = options_of(snapshots, latest, model, delete, dry_run, limit_rate)
    with Ends(named, remote, quiet or as_json) as ends:
        result = push(ends.here, ends.there, options, ends.progress)
    if as_json:
        print_json(result.to_json("sent"))
    else:
        say(describe(result, "sent to", ends.entry.name), quiet=quiet)
    check([result])
