"""Rules of retention: which of the snapshots of one run stay, and why.

Each rule keeps some, and what any rule keeps stays. Rules choose among the snapshots that may be deleted at all; what
is protected stays besides, and takes nobody's place. Owns the invariants that a rule keeps what it cannot judge, such
as one by loss where a loss is not known, that what is broken takes nobody's place, and that what a rule keeps of some
snapshots it also keeps of any part of them. So asking twice gives the same answer, and pruning now and then, as
snapshots come in, ends as pruning all of them at once does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from casvault.errors import UsageError
from casvault.vault.head import Head

__all__ = ["RETENTION", "Rules"]


@dataclass(frozen=True)
class Rules:
    """What is kept of each run of each model; 0, None and False are no rule. Raises UsageError below 0.

    ``last`` are the newest so many, broken ones not counted; ``every_iterations`` keeps the first snapshot at or after
    each multiple, and the first after each restore; ``hourly``, ``daily`` and ``weekly`` the newest of each of the last
    so many hours, days and weeks (local time) that have any; ``best`` those with the lowest mean loss; ``log`` is as
    ``every_iterations``, with each power of two; ``within`` keeps all that are not older than so much before the
    newest. ``max_bytes`` is a ceiling on what the vault stores: beyond it the oldest go, whatever keeps them.
    """

    last: int = 0
    every_iterations: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    best: int = 0
    log: bool = False
    within: timedelta | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        counts = (self.last, self.every_iterations, self.hourly, self.daily, self.weekly, self.best)
        if min(*counts, self.max_bytes or 0) < 0 or (self.within or timedelta()) < timedelta():
            raise UsageError("a rule cannot keep less than nothing; say 0 or more.")

    @property
    def keeps(self) -> bool:
        """Whether any rule says what stays; else all stays, but for the ceiling."""
        return bool(
            self.last or self.every_iterations or self.hourly or self.daily or self.weekly or self.best or self.log
        ) or (self.within is not None)

    def kept(self, heads: Sequence[Head], lines: Mapping[str, int] | None = None) -> dict[str, list[str]]:
        """Return id -> the rules that keep it, for those of ``heads`` (one run) that stay.

        ``lines`` are id -> how many restores went before; rules by iteration look at each line by itself, so that the
        snapshots of an attempt that was given up take no place of the next one's.
        """
        found: dict[str, list[str]] = {}

        def keep(rule: str, chosen: Iterable[Head]) -> None:
            for head in chosen:
                rules = found.setdefault(head.id, [])
                if rule not in rules:
                    rules.append(rule)

        newest_first = sorted(heads, key=lambda head: (head.moment, head.id), reverse=True)
        times = {head.id: _local(head) for head in newest_first}
        # What is broken may be among the newest, but never takes the place of what is sound.
        for some in (newest_first, [head for head in newest_first if is_sound(head)]):
            keep("last", some[: self.last])
            for rule, count, form in (
                ("hourly", self.hourly, "%Y-%m-%d %H"),
                ("daily", self.daily, "%Y-%m-%d"),
                ("weekly", self.weekly, "%G-%V"),
            ):
                keep(rule, _newest_of_each(some, count, times, form))
        if self.within is not None and newest_first:
            newest, within = newest_first[0].moment, self.within
            keep("within", (head for head in newest_first if newest - head.moment <= within))
        if self.best:
            keep("best", _best(newest_first, self.best))
        if self.every_iterations:
            keep("every", _first_of_each(heads, lines or {}, lambda iteration: iteration // self.every_iterations))
        if self.log:
            keep("log", _first_of_each(heads, lines or {}, int.bit_length))
        return found


RETENTION = Rules(last=6, hourly=24, daily=14, best=3)
"""What is kept of the snapshots that a watch took, unless something else is said."""


def is_sound(head: Head) -> bool:
    """Tell whether a snapshot is a whole save of a model that nothing speaks against."""
    return head.healthy and not head.incomplete


def mean_loss(head: Head) -> float | None:
    """Return the mean of a snapshot's losses, None where one of them is not known."""
    values = list((head.loss or {}).values())
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(values) else None


def _local(head: Head) -> datetime:
    """Return the local time of a snapshot, for who counts days; UTC where the system's calendar does not reach."""
    try:
        return head.moment.astimezone()
    except (OverflowError, ValueError, OSError):
        return head.moment


def _newest_of_each(newest_first: Sequence[Head], count: int, times: Mapping[str, datetime], form: str) -> list[Head]:
    found: dict[str, Head] = {}
    for head in newest_first:
        if len(found) >= count:
            break
        found.setdefault(times[head.id].strftime(form), head)
    return list(found.values())


def _first_of_each(heads: Sequence[Head], lines: Mapping[str, int], bucket: Callable[[int], int]) -> list[Head]:
    found: dict[tuple[int, int], Head] = {}
    # Without the first of a line nobody could tell the line from the one before.
    apart = [head for head in heads if head.iteration is None or head.document["restored_from"] is not None]
    known = [(not is_sound(head), head.iteration, head.id, head) for head in heads if head.iteration is not None]
    for _, iteration, id, head in sorted(known, key=lambda item: item[:3]):
        found.setdefault((lines.get(id, 0), bucket(iteration)), head)
    return apart + list(found.values())


def _best(heads: Sequence[Head], count: int) -> list[Head]:
    losses = [(mean_loss(head), head) for head in heads if is_sound(head)]
    known = sorted((loss, head.id, head) for loss, head in losses if loss is not None)
    return [head for loss, head in losses if loss is None] + [head for _, _, head in known[:count]]
