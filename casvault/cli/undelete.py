"""``casvault undelete``."""

from __future__ import annotations

import click

from casvault.cli.options import common, open_vault, print_json, say
from casvault.cli.text import plain

__all__ = ["command"]


@click.command("undelete")
@click.argument("snapshot")
@common
@click.pass_obj
def command(named: str | None, snapshot: str, as_json: bool, quiet: bool) -> None:
    """Bring a deleted snapshot back. That works until `casvault gc` has freed its space."""
    head = open_vault(named).undelete(snapshot)
    if as_json:
        print_json(head.to_json())
    else:
        say(f"Snapshot '{plain(head.title)}' ({head.id}) is back.", quiet=quiet)
