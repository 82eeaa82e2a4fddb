"""``casvault remote``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from casvault.cli.options import common, open_vault, print_json, say
from casvault.cli.text import plain, table
from casvault.errors import UsageError

if TYPE_CHECKING:
    from casvault.api.remote_check import RemoteCheck

__all__ = ["command"]

_ACTIONS = {"add": 2, "list": 0, "remove": 1, "check": 1}


@click.command("remote")
@click.argument("action", type=click.Choice(list(_ACTIONS)))
@click.argument("words", nargs=-1, metavar="[NAME] [URL]")
@click.option(
    "--program", metavar="PATH", help="With add: casvault on that machine, where its PATH does not lead to it."
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="With add: how a bucket is reached, as in endpoint=https://s3.example.org. Never a secret.",
)
@common
@click.pass_obj
def command(
    named: str | None,
    action: str,
    words: tuple[str, ...],
    program: str | None,
    options: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Name other vaults: add NAME URL, list, remove NAME, check NAME.

    URL is a path, file:///path, ssh://user@host:port/path, or s3://bucket/prefix.
    """
    if len(words) != _ACTIONS[action]:
        wanted = {"add": "a name and a place", "list": "nothing else"}.get(action, "a name")
        raise UsageError(f"`casvault remote {action}` takes {wanted}.")
    if (program is not None or options) and action != "add":
        raise UsageError("--program and --option go with `casvault remote add`.")
    vault = open_vault(named)
    if action == "list":
        found = vault.remotes()
        if as_json:
            print_json({"remotes": [one.to_json() for one in found]})
        else:
            none = "There are no remotes; `casvault remote add NAME URL` adds one."
            say(plain(table([(one.name, one.url) for one in found])) or none)
        return
    if action == "add":
        entry = vault.add_remote(words[0], words[1], program=program or "casvault", options=_pairs(options))
        text = f"{entry.name} is {entry.url}; `casvault remote check {entry.name}` tries it."
    elif action == "remove":
        entry = vault.remove_remote(words[0])
        text = f"{entry.name} is forgotten; the vault at {entry.url} stays as it is."
    else:
        _check(vault.check_remote(words[0]), as_json)
        return
    if as_json:
        print_json(entry.to_json())
    else:
        say(plain(text), quiet=quiet)


def _check(found: RemoteCheck, as_json: bool) -> None:
    if as_json:
        print_json(found.to_json())
        return
    count = found.snapshots
    text = f"{found.entry.name} answers: {count} {'snapshot' if count == 1 else 'snapshots'}, vault {found.uuid}."
    if found.uuid is None:
        text = f"{found.entry.name} answers: it is empty, and the first push makes a vault there."
    if found.can:
        *most, last = found.can
        text += f" You can {', '.join(most)} and {last} there." if most else f" You can {last} there."
    for what, why in found.cannot.items():
        text += f"\nYou cannot {what}: {why}"
    say(plain(text))


def _pairs(options: tuple[str, ...]) -> dict[str, str]:
    pairs = [option.partition("=") for option in options]
    for key, equals, _ in pairs:
        if not equals:
            raise UsageError(f"--option takes KEY=VALUE, not {key!r}.")
    return {key: value for key, _, value in pairs}
