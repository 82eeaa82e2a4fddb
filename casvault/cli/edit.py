"""``casvault edit``."""

from __future__ import annotations

import click

from casvault.cli.options import common, open_vault, print_json, say
from casvault.cli.text import plain
from casvault.errors import UsageError

__all__ = ["command"]


@click.command("edit")
@click.argument("snapshot")
@click.option("--name", help="What to call it; an empty text takes the name away.")
@click.option("--notes", help="Its notes; an empty text takes them away.")
@click.option("--pin/--unpin", "pinned", default=None, help="Keep it from being deleted, or let go of it.")
@click.option("--tag", multiple=True, metavar="TAG", help="Add a tag.")
@click.option("--untag", multiple=True, metavar="TAG", help="Remove a tag.")
@common
@click.pass_obj
def command(
    named: str | None,
    snapshot: str,
    name: str | None,
    notes: str | None,
    pinned: bool | None,
    tag: tuple[str, ...],
    untag: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Change what is written about SNAPSHOT: its name, notes, tags, and whether it is pinned."""
    if name is None and notes is None and pinned is None and not tag and not untag:
        raise UsageError("say what to change: --name, --notes, --pin, --unpin, --tag or --untag.")
    head = open_vault(named).edit(snapshot, name=name, notes=notes, pinned=pinned, tag=tag, untag=untag)
    if as_json:
        print_json(head.to_json())
        return
    marks = [*(["pinned"] if head.label.pinned else []), *(f"#{plain(one)}" for one in head.label.tags)]
    told = f": {', '.join(marks)}" if marks else ""
    say(f"Changed snapshot '{plain(head.title)}' ({head.id}){told}.", quiet=quiet)
