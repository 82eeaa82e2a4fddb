"""``casvault init``."""

from __future__ import annotations

from pathlib import Path

import click

from casvault.cli.options import common, print_json, say

__all__ = ["command"]


@click.command("init")
@click.argument("path", required=False)
@common
@click.pass_obj
def command(named: str | None, path: str | None, as_json: bool, quiet: bool) -> None:
    """Make a vault at PATH; without it beside the `workspace` folder, else as .casvault here."""
    from casvault.vault.locate import place_for_vault
    from casvault.vault.vault import Vault

    chosen = path or named
    place = Path(chosen).absolute() if chosen else place_for_vault(Path.cwd())
    made = Vault.create_at(place)
    if as_json:
        print_json({"vault": str(place), "created": made})
    elif made:
        say(f"Made a vault at {place}.\nNext: casvault snapshot MODEL, such as workspace/model", quiet=quiet)
    else:
        say(f"{place} is a vault already; nothing was changed.", quiet=quiet)
