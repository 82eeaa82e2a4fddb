"""Collecting: a sweep, then re-coding with a sweep after each portion.

Owns the order: the sweep comes first, since it needs no room on the disk; what comes after it only saves more.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from casvault.errors import Cancelled, CasvaultError
from casvault.gc.recode import recode
from casvault.gc.sweep import Sweeper, SweepPlan
from casvault.objects import ObjectName
from casvault.progress import Progress
from casvault.vault.vault import Vault

__all__ = ["GcResult", "collect"]

ONE_WAIT = 60.0
"""Seconds to wait for another collection to end."""


@dataclass(frozen=True)
class GcResult:
    """What a collection did, or with ``dry_run`` what its sweep would do; sizes are stored bytes.

    ``freed_bytes`` is all that the folder of objects has less, ``recoding_freed_bytes`` of it was won by re-coding
    ``recoded_objects`` objects. ``base_bytes`` are still kept only since deltas lean on them. ``unfinished`` says why
    re-coding did not come to its end, None where it did.
    """

    deleted_objects: int
    freed_bytes: int
    recoded_objects: int
    recoding_freed_bytes: int
    forgotten_snapshots: tuple[str, ...]
    remaining_bytes: int
    base_bytes: int
    dry_run: bool = False
    unfinished: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            "dry_run": self.dry_run,
            "deleted_objects": self.deleted_objects,
            "freed_bytes": self.freed_bytes,
            "recoded_objects": self.recoded_objects,
            "recoding_freed_bytes": self.recoding_freed_bytes,
            "forgotten_snapshots": list(self.forgotten_snapshots),
            "remaining_bytes": self.remaining_bytes,
            "base_bytes": self.base_bytes,
            "unfinished": self.unfinished,
        }


def collect(
    vault: Vault,
    *,
    dry_run: bool = False,
    recoding: bool = True,
    only: Collection[str] | None = None,
    progress: Progress | None = None,
) -> GcResult:
    """Remove what no snapshot needs, then re-code what only props up deltas.

    With ``only`` just these of the deleted snapshots are given up, and nothing that was thinned. Raises Locked,
    DamageError where a manifest cannot be read, StorageError, Cancelled; what was left then, the next one collects.
    """
    progress = progress or Progress()
    sweeper = Sweeper(vault, only)
    if dry_run:
        with vault.locks.shared("gc"):
            return _result([sweeper.prepare()], [], [], None, dry_run=True)
    with vault.locks.one("gc", ONE_WAIT):
        with vault.locks.shared("gc"):
            sweeper.prepare()
        try:
            swept = _sweep(sweeper, progress)
            again, made = list[SweepPlan](), list[ObjectName]()
            unfinished = _recode(vault, sweeper, again, made, progress) if recoding else None
        except Cancelled:
            raise Cancelled("stopped as asked; the next `casvault gc` goes on from here.") from None
        return _result(swept, again, made, unfinished)


def _sweep(sweeper: Sweeper, progress: Progress) -> list[SweepPlan]:
    """Sweep in turns, between which others may go on, until all is removed."""
    done = [sweeper.sweep(progress)]
    while done[-1].more:
        done.append(sweeper.sweep(progress))
    return done


def _recode(
    vault: Vault, sweeper: Sweeper, done: list[SweepPlan], made: list[ObjectName], progress: Progress
) -> str | None:
    """Re-code in portions, each followed by a sweep, and add to ``done`` and ``made``; return why it ended early."""
    refused = set[str]()
    try:
        while recode(vault, sweeper, progress, refused, made):
            done += _sweep(sweeper, progress)
    except Cancelled:
        raise
    except CasvaultError as error:
        # All that is needed is there; this only would have saved more. What was begun is taken away again.
        with suppress(CasvaultError):
            with vault.locks.shared("gc"):
                sweeper.prepare()
            done += _sweep(sweeper, progress)
        return str(error)
    return None


def _result(
    swept: list[SweepPlan],
    again: list[SweepPlan],
    made: list[ObjectName],
    unfinished: str | None,
    *,
    dry_run: bool = False,
) -> GcResult:
    done = [*swept, *again]
    last = done[-1]
    # What was begun may never have come to be: only what a later sweep found was written.
    there = {name for plan in again for name in plan.ledger.graph.names}
    won = sum(plan.freed_bytes for plan in again) - sum(name.size for name in set(made) & there)
    return GcResult(
        deleted_objects=sum(plan.objects for plan in done),
        freed_bytes=sum(plan.freed_bytes for plan in swept) + won,
        recoded_objects=len(made) if unfinished is None else 0,
        recoding_freed_bytes=won,
        forgotten_snapshots=tuple(id for plan in done for id in plan.forgotten),
        remaining_bytes=last.ledger.stored_in_all(),
        base_bytes=last.ledger.leaned_bytes(),
        dry_run=dry_run,
        unfinished=unfinished,
    )
