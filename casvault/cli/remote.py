"""``casvault remote``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from casvault.cli.options import common, open_vault, print_json, say
from casvault.cli.text import plain, table
from casvault.errors import UsageError

if TYPE_CHECKING:
    from casvault.sync import RemoteEntry
    from casvault.sync.remote import Remote

__all__ = ["command"]

_ACTIONS = {"add": 2, "list": 0, "remove": 1, "check": 1}


@click.command("remote")
@click.argument("action", type=click.Choice(list(_ACTIONS)))
@click.argument("words", nargs=-1, metavar="[NAME] [URL]")
@click.option(
    "--program", metavar="PATH", help="With add: casvault on that machine, where its PATH does not lead to it."
)
@common
@click.pass_obj
def command(
    named: str | None, action: str, words: tuple[str, ...], program: str | None, as_json: bool, quiet: bool
) -> None:
    """Name other vaults: add NAME URL, list, remove NAME, check NAME.

    URL is a path, file:///path, or ssh://user@host:port/path.
    """
    from casvault.sync import Remotes

    if len(words) != _ACTIONS[action]:
        wanted = {"add": "a name and a place", "list": "nothing else"}.get(action, "a name")
        raise UsageError(f"`casvault remote {action}` takes {wanted}.")
    if program is not None and action != "add":
        raise UsageError("--program goes with `casvault remote add`.")
    remotes = Remotes(open_vault(named))
    if action == "list":
        found = remotes.every()
        if as_json:
            print_json({"remotes": [one.to_json() for one in found]})
        else:
            none = "There are no remotes; `casvault remote add NAME URL` adds one."
            say(plain(table([(one.name, one.url) for one in found])) or none)
        return
    if action == "add":
        entry = remotes.add(words[0], words[1], program or "casvault")
        text = f"{entry.name} is {entry.url}; `casvault remote check {entry.name}` tries it."
    elif action == "remove":
        entry = remotes.remove(words[0])
        text = f"{entry.name} is forgotten; the vault at {entry.url} stays as it is."
    else:
        _check(remotes.find(words[0]), as_json)
        return
    if as_json:
        print_json(entry.to_json())
    else:
        say(plain(text), quiet=quiet)


def _check(entry: RemoteEntry, as_json: bool) -> None:
    from casvault.sync import connect

    with connect(entry) as there:
        alive = _alive(there)
    if as_json:
        print_json({**entry.to_json(), "uuid": there.uuid, "snapshots": alive})
    else:
        say(plain(f"{entry.name} answers: {alive} {'snapshot' if alive == 1 else 'snapshots'}, vault {there.uuid}."))


def _alive(there: Remote) -> int:
    return sum(not known.head.label.deleted for known in there.state().snapshots.values())
