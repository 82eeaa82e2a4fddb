"""``casvault verify``."""

from __future__ import annotations

import click

from casvault.cli.options import common, make_progress, open_vault, print_json, say
from casvault.cli.text import plain, size
from casvault.errors import DamageError

__all__ = ["command"]


@click.command("verify")
@click.option("--read-data", is_flag=True, help="Also read, decode and compare every stored byte.")
@common
@click.pass_obj
def command(named: str | None, read_data: bool, as_json: bool, quiet: bool) -> int:
    """Check that every snapshot can be restored; exit code 20 says that something is damaged."""
    vault = open_vault(named)
    result = vault.verify(read_data=read_data, progress=make_progress(quiet or as_json))
    if as_json:
        print_json(result.to_json())
        return 0 if result.ok else DamageError.exit_code
    if result.ok:
        read = f", {size(result.bytes_checked)} read" if read_data else ""
        say(f"All is well: {result.objects_checked:,} objects{read}.", quiet=quiet)
        return 0
    for sentence in result.damaged:
        say(plain(sentence))
    titles = {head.id: head.title for head in vault.heads()}
    for id in result.affected:
        say(f"hit: snapshot '{plain(titles.get(id, '?'))}' ({id})")
    raise DamageError(
        f"damaged: {len(result.damaged)}; snapshots hit: {len(result.affected)}. All others can be restored."
    )
