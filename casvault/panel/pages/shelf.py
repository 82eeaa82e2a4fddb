"""The shelf: which snapshots the list shows, by model and newest first, a page at a time.

Owns the invariant that a page costs no more with a thousand snapshots than with a hundred: only what is shown is put
into words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import groupby
from urllib.parse import urlencode

from casvault.api import Head
from casvault.figures import size
from casvault.panel.pages.card import Card, card_of
from casvault.panel.words import plural

__all__ = ["PAGE", "Choice", "Group", "Query", "Shelf", "choices", "shelf"]

PAGE = 50
"""Cards on a page."""
_MOST = 2000
"""Cards that are given at most, where somebody asks for all that is open in a window."""
_LONGEST = 200

SHOWN = {
    "": "All snapshots",
    "manual": "Taken by hand",
    "scheduled": "Automatic",
    "auto-backup": "Automatic backups",
    "imported": "Imported",
    "pinned": "Pinned",
    "unhealthy": "In bad health",
    "incomplete": "Incomplete saves",
    "thinned": "Thinned",
    "deleted": "Deleted",
}


@dataclass(frozen=True)
class Query:
    """What somebody wants to see: words to look for, a model, a type, one of `SHOWN`; from which place, how many."""

    q: str = ""
    model: str = ""
    type: str = ""
    show: str = ""
    start: int = 0
    count: int = PAGE

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Query:
        """Return the query of an address; what makes no sense in it is passed over."""
        show = given.get("show", "")
        return cls(
            q=given.get("q", "").strip()[:_LONGEST],
            model=given.get("model", ""),
            type=given.get("type", ""),
            show=show if show in SHOWN else "",
            start=_number(given.get("start"), 0, 1_000_000),
            count=max(1, _number(given.get("count"), PAGE, _MOST)),
        )

    @property
    def text(self) -> str:
        """The query as a part of an address, without the place."""
        told = {"q": self.q, "model": self.model, "type": self.type, "show": self.show}
        return urlencode({name: value for name, value in told.items() if value})

    @property
    def filters(self) -> bool:
        """Whether anything is left out."""
        return bool(self.text)

    def fits(self, head: Head) -> bool:
        """Tell whether a snapshot is wanted."""
        if (self.model and head.model_name != self.model) or (self.type and (head.model_type or "") != self.type):
            return False
        marks = {
            "pinned": head.label.pinned,
            "unhealthy": not head.healthy,
            "incomplete": head.incomplete,
            "thinned": bool(head.label.thinned),
            "deleted": True,
            "": True,
        }
        return marks.get(self.show, head.kind == self.show) and self._finds(head)

    def _finds(self, head: Head) -> bool:
        """Tell whether every word is in what people wrote, or is how the iteration or the id begins."""
        words = self.q.casefold().replace(",", "").split()
        if not words:
            return True
        parts = [head.name, head.label.notes, head.model_name, head.model_type, "iter", *head.label.tags]
        text = "\n".join(part for part in parts if part).casefold().replace(",", "")
        begins = (str(head.iteration), head.id.casefold(), head.id[-6:])
        return all(word in text or any(one.startswith(word) for one in begins) for word in words)


@dataclass(frozen=True)
class Group:
    """The snapshots of a model in its place; without ``heading`` the page before began it."""

    key: str
    model: str
    told: str
    heading: bool
    cards: tuple[Card, ...]

    @property
    def stamp(self) -> str:
        """What changes when the heading does."""
        return self.told


@dataclass(frozen=True)
class Shelf:
    """A page of the list. ``more`` asks for the next one; ``why`` and ``way`` tell of an empty list."""

    groups: tuple[Group, ...]
    total: int
    more: str
    filtered: bool
    why: str = ""
    way: str = ""


@dataclass(frozen=True)
class Choice:
    """One thing to filter by: its name in an address, what it is called, and its options with their texts."""

    name: str
    label: str
    value: str
    options: tuple[tuple[str, str], ...]


def shelf(heads: Sequence[Head], query: Query, now: datetime | None = None) -> Shelf:
    """Return a page of those ``heads`` (oldest first) that fit."""
    moment = now or datetime.now(timezone.utc)
    fitting = [head for head in heads if query.fits(head)][::-1]
    ranks: dict[tuple[str, str], int] = {}
    for head in fitting:
        ranks.setdefault(_group(head), len(ranks))
    ordered = sorted(fitting, key=lambda head: ranks[_group(head)])
    page = ordered[query.start : query.start + query.count]
    before = _group(ordered[query.start - 1]) if 0 < query.start <= len(ordered) else None
    groups = []
    for key, mine in groupby(page, _group):
        cards = tuple(card_of(head, moment) for head in mine)
        members = [head for head in fitting if _group(head) == key]
        groups.append(Group(_key(key), key[0], _told(key, members), key != before, cards))
    end = query.start + len(page)
    more = _join(query.text, f"start={end}") if end < len(ordered) else ""
    made = Shelf(tuple(groups), len(ordered), more, query.filters)
    if groups or query.start:
        return made
    why, way = _emptiness(query)
    return replace(made, why=why, way=way)


def choices(heads: Iterable[Head], query: Query) -> list[Choice]:
    """Return what can be filtered by: the model and the type only where there are several."""
    counts: dict[str, int] = {}
    types = set()
    for head in heads:
        counts[head.model_name] = counts.get(head.model_name, 0) + 1
        types.add(head.model_type or "")
    found = []
    if len(counts) > 1 or query.model not in ("", *counts):
        names = sorted({*counts, query.model} - {""})
        options = [(name, f"{name} ({counts.get(name, 0):,})") for name in names]
        found.append(Choice("model", "Model", query.model, (("", "All models"), *options)))
    if len(types) > 1:
        options = [(name, name) for name in sorted(types - {""})]
        found.append(Choice("type", "Type", query.type, (("", "All types"), *options)))
    found.append(Choice("show", "Which snapshots", query.show, tuple(SHOWN.items())))
    return found


def _group(head: Head) -> tuple[str, str]:
    return head.model_name, head.place


def _key(group: tuple[str, str]) -> str:
    return hashlib.sha256("\n".join(group).encode()).hexdigest()[:12]


def _told(key: tuple[str, str], members: Sequence[Head]) -> str:
    kind = members[0].model_type
    parts = [kind] if kind else []
    return " · ".join([*parts, plural(len(members)), size(sum(head.size for head in members)), key[1]])


def _emptiness(query: Query) -> tuple[str, str]:
    """Say why nothing is shown, and what to do about it."""
    if query.show == "deleted" and not query.q:
        return "Nothing was deleted", "What you delete stays here, and can be brought back, until gc frees its space."
    if query.filters:
        return "No snapshot fits", "Try fewer words, or look among all snapshots."
    return (
        "There are no snapshots yet",
        "Create the first one above. It takes what the trainer saved last, also while training goes on.",
    )


def _number(text: str | None, usual: int, most: int) -> int:
    if text is None or not (text.isascii() and text.isdecimal()):
        return usual
    return min(int(text[:9]), most)


def _join(*parts: str) -> str:
    return "&".join(part for part in parts if part)
