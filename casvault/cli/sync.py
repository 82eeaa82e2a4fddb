"""``casvault sync``."""

from __future__ import annotations

import click

from casvault.cli.options import common, print_json, say
from casvault.cli.syncing import Ends, check, describe, options_of, transfer_options

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
    from casvault.sync import sync

    options = options_of((), False, model, delete, dry_run, limit_rate)
    with Ends(named, remote, quiet or as_json) as ends:
        sent, received = sync(ends.here, ends.there, options, ends.progress)
    if as_json:
        both = {**sent.to_json("sent"), **received.to_json("received")}
        both["wire_bytes"] = sent.wire_bytes + received.wire_bytes
        both["retries"] = sent.retries + received.retries
        both["seconds"] = round(sent.seconds + received.seconds, 3)
        for key in ("refused", "conflicts", "failed"):
            both[key] = {**getattr(sent, key), **getattr(received, key)}
        print_json(both)
    else:
        say(describe(sent, "sent to", ends.entry.name), quiet=quiet)
        say(describe(received, "received from", ends.entry.name), quiet=quiet)
    check([sent, received])
