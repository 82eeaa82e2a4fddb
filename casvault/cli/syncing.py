"""What `push`, `pull` and `sync` have in common: their options, and how they tell what was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from casvault.cli.options import say
from casvault.cli.quantities import SIZE
from casvault.cli.text import plain, size
from casvault.errors import PartialResult, RemoteConflict

if TYPE_CHECKING:
    from casvault.sync import SyncResult

__all__ = ["check", "describe", "selecting", "transfer_options"]

F = TypeVar("F", bound=Callable[..., Any])
_SHOWN = 5


def selecting(function: F) -> F:
    """Add what chooses some snapshots out of a vault."""
    function = click.option("--latest", is_flag=True, help="Only the newest whole, healthy snapshot.")(function)
    return click.argument("snapshots", nargs=-1, metavar="[SNAPSHOT]...")(function)


def transfer_options(function: F) -> F:
    """Add the options of every transfer."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Only say what would travel."),
        click.option("--limit-rate", type=SIZE, metavar="SIZE", help="Send no more than this per second, as in 2MB."),
        click.option("--delete", is_flag=True, help="Let deletions and thinnings travel as well."),
        click.option("--model", metavar="NAME", help="Only snapshots of this model."),
    ):
        function = option(function)
    return function


def describe(result: SyncResult, way: str, title: str) -> str:
    """Write what travelled, and what did not and why; ``way`` is sent to, or received from."""
    count = len(result.snapshots)
    verb = f"would be {way}" if result.dry_run else way
    if not count and not result.labels and not result.deleted and not result.objects:
        lines = [f"Nothing {'would be' if result.dry_run else 'was'} {way} {title}: all is there."]
    else:
        moved = size(result.object_bytes) if result.dry_run else f"{size(result.wire_bytes)} over the wire"
        lines = [
            f"{count} {'snapshot' if count == 1 else 'snapshots'} {verb} {title}: {result.objects:,} objects, {moved}"
            + ("." if result.dry_run else f", {result.seconds:.1f} s.")
        ]
    changed = result.labels - count
    if changed > 0:
        lines.append(f"{changed} more {'has' if changed == 1 else 'have'} a newer label.")
    if result.deleted:
        lines.append(f"{len(result.deleted)} deleted {'snapshot is' if len(result.deleted) == 1 else 'snapshots are'} "
                     "marked as deleted there too.")  # fmt: skip
    return plain("\n".join(lines))


def tell(results: Sequence[SyncResult]) -> None:
    """Write on stderr what stayed where it is."""
    for result in results:
        for why, ids in _by_reason(result.refused).items():
            say(f"Note: {_some(ids)} stayed away: {plain(why)}.", err=True)


def check(results: Sequence[SyncResult]) -> None:
    """Raise RemoteConflict where the vaults disagree, PartialResult where something could not be sent."""
    tell(results)
    for result in results:
        for why, ids in _by_reason(result.conflicts).items():
            raise RemoteConflict(
                f"{_some(ids)}: {why}; both are left as they are, and `casvault show` on each side tells more."
            )
        for why, ids in _by_reason(result.failed).items():
            raise PartialResult(f"{_some(ids)} could not be sent, the rest was: {why}")


def _by_reason(reasons: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for id, why in reasons.items():
        found.setdefault(why, []).append(id)
    return found


def _some(ids: list[str]) -> str:
    shown = ", ".join(id[-6:] for id in ids[:_SHOWN])
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"{'snapshot' if len(ids) == 1 else 'snapshots'} {shown}{more}"
