"""``casvault verify``."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import click

from casvault.cli.options import common, make_progress, open_vault, print_json, say
from casvault.cli.quantities import SHARE
from casvault.cli.text import age, plain, size
from casvault.errors import DamageError

if TYPE_CHECKING:
    from casvault.check import VerifyResult

__all__ = ["command"]


@click.command("verify")
@click.option("--read-data", is_flag=True, help="Also read, decode and compare every stored byte.")
@click.option("--sample", type=SHARE, help="Read a part of the objects, those not checked for longest first: 5%.")
@common
@click.pass_obj
def command(named: str | None, read_data: bool, sample: float | None, as_json: bool, quiet: bool) -> int:
    """Check that every snapshot can be restored; exit code 20 says that something is damaged.

    When each object was last read is remembered, also when this is interrupted.
    """
    vault = open_vault(named)
    result = vault.verify(read_data=read_data, sample=sample, progress=make_progress(quiet or as_json))
    if as_json:
        print_json(result.to_json())
        return 0 if result.ok else DamageError.exit_code
    if result.ok:
        say(f"All is well: {result.objects_checked:,} objects{_read(result)}.", quiet=quiet)
        say(_last_checked(result), quiet=quiet)
        return 0
    for sentence in result.damaged:
        say(plain(sentence))
    titles = {head.id: head.title for head in vault.heads()}
    for id in result.affected:
        say(f"hit: snapshot '{plain(titles.get(id, '?'))}' ({id})")
    raise DamageError(
        f"damaged: {len(result.damaged)}; snapshots hit: {len(result.affected)}. All others can be restored; "
        "`casvault repair` heals what can be healed."
    )


def _read(result: VerifyResult) -> str:
    if not result.objects_read:
        return ""
    part = "" if result.objects_read == result.objects_checked else f"{result.objects_read:,} of them, "
    return f", {part}{size(result.bytes_checked)} read"


def _last_checked(result: VerifyResult) -> str:
    """Return how long ago the stored bytes were last read: last checked: oldest 12 days ago, 40 % never."""
    never, objects = result.last_checked.never, result.last_checked.objects
    oldest = result.oldest_check
    if oldest is None:
        return "Last checked: never." if objects else "There is nothing to check yet."
    # It is known to the hour.
    recent = datetime.now(timezone.utc) - oldest < timedelta(hours=1)
    then = "less than an hour ago" if recent else age(oldest)
    if not never:
        return f"Last checked: oldest {then}."
    part = 100 * never / objects
    return f"Last checked: oldest {then}, {'less than 1' if part < 1 else f'{part:.0f}'} % never."
