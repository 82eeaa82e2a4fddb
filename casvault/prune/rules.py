"""Rules of retention: which of the snapshots of one run stay, and why.

Each rule keeps some, and what any rule keeps stays. Rules choose among the snapshots that may be deleted at all; what
is protected stays besides, and takes nobody's place. Owns the invariants that a rule which cannot be applied, such as
one by loss where there are no losses, keeps what it cannot judge, and that asking twice gives the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from casvault.manifest.stamp import from_iso
from casvault.vault.head import Head

__all__ = ["Rules"]


@dataclass(frozen=True)
class Rules:
    """What is kept of each run of each model; 0, None and False are no rule.

    ``last`` are the newest so many, not counting broken ones among them; ``every_iterations`` keeps the first snapshot
    at or after each multiple; ``hourly``, ``daily`` and ``weekly`` the newest of each of the last so many hours, days
    and weeks (local time) that have any; ``best`` those with the lowest mean loss; ``log`` the first at or after each
    power of two of iterations; ``within`` all that are not older than so much before the newest. ``max_bytes`` is a
    ceiling on what the vault stores: beyond it the oldest go, whatever keeps them.
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

    @property
    def keeps(self) -> bool:
        """Whether any rule says what stays; else all stays, but for the ceiling."""
        return bool(
            self.last or self.every_iterations or self.hourly or self.daily or self.weekly or self.best or self.log
        ) or (self.within is not None)

    def kept(self, heads: Sequence[Head]) -> dict[str, list[str]]:
        """Return id -> the rules that keep it, for those of ``heads`` (one run, oldest first) that stay."""
        found: dict[str, list[str]] = {}

        def keep(rule: str, chosen: Iterable[Head]) -> None:
            for head in chosen:
                rules = found.setdefault(head.id, [])
                if rule not in rules:
                    rules.append(rule)

        newest_first = sorted(heads, key=lambda head: (moment(head), head.id), reverse=True)
        # What is broken may be among the newest, but never takes the place of what is sound.
        for some in (newest_first, [head for head in newest_first if head.healthy and not head.incomplete]):
            keep("last", some[: self.last])
            keep("hourly", _newest_of_each(some, self.hourly, lambda time: time.strftime("%Y-%m-%d %H")))
            keep("daily", _newest_of_each(some, self.daily, lambda time: time.strftime("%Y-%m-%d")))
            keep("weekly", _newest_of_each(some, self.weekly, lambda time: time.strftime("%G-%V")))
        if self.within is not None and newest_first:
            since = moment(newest_first[0]) - self.within
            keep("within", (head for head in newest_first if moment(head) >= since))
        if self.best:
            keep("best", _best(newest_first, self.best))
        if self.every_iterations:
            keep("every", _first_of_each(heads, lambda iteration: iteration // self.every_iterations))
        if self.log:
            keep("log", _first_of_each(heads, int.bit_length))
        return found


def moment(head: Head) -> datetime:
    """Return the local time that rules go by: when the trainer saved, else when the snapshot was taken."""
    return from_iso(head.saved_at or head.created).astimezone()


def mean_loss(head: Head) -> float | None:
    """Return the mean of a snapshot's losses, None where one is not known or it holds no whole, healthy save."""
    values = list((head.loss or {}).values())
    if head.incomplete or not head.healthy or not values:
        return None
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    return sum(numbers) / len(numbers) if len(numbers) == len(values) else None


def _newest_of_each(newest_first: Sequence[Head], count: int, name: Callable[[datetime], str]) -> list[Head]:
    found: dict[str, Head] = {}
    for head in newest_first:
        if len(found) < count:
            found.setdefault(name(moment(head)), head)
    return list(found.values())


def _first_of_each(heads: Sequence[Head], bucket: Callable[[int], int]) -> list[Head]:
    found: dict[int, Head] = {}
    unknown = [head for head in heads if head.iteration is None]
    known = [(head.iteration, head.id, head) for head in heads if head.iteration is not None]
    for iteration, _, head in sorted(known, key=lambda item: item[:2]):
        found.setdefault(bucket(iteration), head)
    return unknown + list(found.values())


def _best(heads: Sequence[Head], count: int) -> list[Head]:
    losses = [(loss, head.id, head) for head in heads if (loss := mean_loss(head)) is not None]
    if not losses:
        return [head for head in heads if head.healthy and not head.incomplete]
    return [head for _, _, head in sorted(losses, key=lambda item: item[:2])[:count]]
