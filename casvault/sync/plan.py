"""Planning: what has to travel from one side to the other, told by ids, stamps and digests alone.

Owns the rules: the newest label wins; a snapshot that was deleted at the receiver stays away; a deletion, and what
gives chunks up as one does, travels only when asked for; the same id with other bytes is a conflict, which is told and
left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from casvault.objects import ObjectName
from casvault.sync.local import DELETED
from casvault.sync.remote import Known, Standing, State, Wanted

__all__ = ["Plan", "Sending", "plan_objects", "plan_snapshots", "portions_of"]


@dataclass(frozen=True)
class Sending:
    """A snapshot that travels, or only its newer label; ``stamp`` is that label's, None for no label."""

    id: str
    stamp: str | None
    new: bool


@dataclass
class Plan:
    """What travels, newest first; ``burials`` are deletions: id and the label's stamp.

    ``refused`` and ``conflicts`` say by id why something stays where it is.
    """

    sendings: list[Sending] = field(default_factory=list)
    burials: list[tuple[str, str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)


def plan_snapshots(source: State, target: State, ids: Collection[str], *, delete: bool) -> Plan:
    """Return what of the snapshots ``ids`` has to travel from ``source`` to ``target``."""
    plan = Plan()
    for id in sorted(ids, reverse=True):
        ours = source.snapshots.get(id)
        if ours is None or ours.head.label.deleted:
            stamp = source.tombstones.get(id) if ours is None else ours.stamp
            if delete and stamp is not None:
                _bury(plan, id, stamp, target.snapshots.get(id))
        elif id in target.damaged:
            plan.conflicts[id] = "its manifest in the receiving vault cannot be read"
        elif id in target.tombstones:
            plan.refused[id] = DELETED
        elif id in target.snapshots:
            _compare(plan, ours, target.snapshots[id], delete=delete)
        else:
            plan.sendings.append(Sending(id, None if ours.head.doubtful else ours.stamp, True))
    return plan


def _bury(plan: Plan, id: str, stamp: str, theirs: Known | None) -> None:
    if theirs is None or theirs.head.label.deleted:
        return
    if theirs.head.label.pinned:
        plan.refused[id] = "it was deleted, but is pinned in the receiving vault"
    elif theirs.stamp is not None and theirs.stamp >= stamp:
        plan.refused[id] = "it was deleted, but its label in the receiving vault is newer than that"
    else:
        plan.burials.append((id, stamp))


def _compare(plan: Plan, ours: Known, theirs: Known, *, delete: bool) -> None:
    """Plan for a snapshot that both sides have: only its label can be another."""
    id, mine, other = ours.head.id, ours.head.label, theirs.head.label
    if ours.fingerprint != theirs.fingerprint:
        plan.conflicts[id] = "the receiving vault has a snapshot of that id with other bytes"
    elif other.deleted:
        plan.refused[id] = DELETED
    elif ours.stamp is None or ours.head.doubtful:
        return
    elif ours.stamp == theirs.stamp:
        if mine != other and not theirs.head.doubtful:
            plan.conflicts[id] = "the receiving vault has a label of the same time with other bytes"
    elif theirs.stamp is None or ours.stamp > theirs.stamp:
        if set(mine.thinned) - set(other.thinned) and not delete:
            plan.refused[id] = "it was thinned; only with --delete is it thinned in the receiving vault too"
        else:
            plan.sendings.append(Sending(id, ours.stamp, False))


def plan_objects(
    names: Sequence[ObjectName],
    digests: Collection[str],
    standing: Standing,
    max_depth: int,
    held: Collection[str] | None,
) -> list[Wanted]:
    """Return which objects to send so that the ``digests`` can be had there, bases first.

    ``names`` are the objects that give them here, bases first. An object is sent standing alone where its chain would
    grow past ``max_depth``, where something there leans on it, or where its base is missing there and is not among the
    chunks that are ``held`` by what is sent as a whole (None: whatever is a base is sent).
    """
    depth: dict[str, float] = dict(standing.depths)
    wanted: dict[str, Wanted] = {}
    for name in names:
        if name.digest in standing.depths:
            continue
        base = name.base
        alone = base is not None and (
            name.digest in standing.alone
            or depth.get(base, inf) + 1 > max_depth
            or not (base in standing.depths or held is None or base in held)
        )
        depth[name.digest] = 0 if base is None or alone else depth[base] + 1
        wanted[name.digest] = Wanted(name, alone)
    todo, sent = [digest for digest in digests if digest in wanted], set[str]()
    while todo:
        digest = todo.pop()
        if digest not in sent:
            sent.add(digest)
            each = wanted[digest]
            if each.name.base in wanted and not each.alone:
                todo.append(str(each.name.base))
    return _in_order([wanted[digest] for digest in sorted(sent)])


def _in_order(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Return objects so that each comes soon after its base: a receiver that decodes it has that at hand still."""
    going = {each.name.digest for each in wanted}
    leaning: dict[str | None, list[Wanted]] = {}
    for each in wanted:
        base = each.name.base if not each.alone and each.name.base in going else None
        leaning.setdefault(base, []).append(each)
    ordered, todo = list[Wanted](), leaning.pop(None, [])[::-1]
    while todo:
        ordered.append(todo.pop())
        todo += leaning.pop(ordered[-1].name.digest, [])[::-1]
    return ordered


def portions_of(wanted: Sequence[Wanted], limit: Callable[[], int]) -> Iterator[list[Wanted]]:
    """Yield the objects in portions of at most so many stored bytes, or of one object that is larger.

    ``limit`` is asked anew for each.
    """
    portion: list[Wanted] = []
    room = limit()
    for each in wanted:
        if portion and each.name.size > room:
            yield portion
            portion, room = [], limit()
        portion.append(each)
        room -= each.name.size
    if portion:
        yield portion
