"""A card: one snapshot as the list and the dialogs show it, all of it in words.

Owns the invariant that nothing but this says how a snapshot reads in a browser: templates only put it in its place.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from casvault.api import Head
from casvault.figures import age, iteration, loss, size
from casvault.panel.words import exact, moment_of

__all__ = ["Card", "Mark", "card_of", "losses_of", "title_of"]

_FIRST_LINE = 300
"""Characters of the first line of notes that are shown before somebody asks for more."""

_KINDS = {
    "auto-backup": ("Automatic backup", "shield", "What was there before a restore"),
    "scheduled": ("Automatic", "clock", "Taken after a save, by a watch"),
    "imported": ("Imported", "download", "Made of a copy that was imported"),
}


@dataclass(frozen=True)
class Mark:
    """A small label: its text, its class, an icon, and what is told where the pointer rests on it."""

    text: str
    look: str = ""
    sign: str = ""
    told: str = ""


@dataclass(frozen=True)
class Card:
    """One snapshot in words. ``moment`` is ISO 8601; ``rest`` are the notes behind their first line.

    ``picture`` is where its picture is, empty where it has none. ``stamp`` changes with all that is shown, but for the
    age.
    """

    id: str
    tail: str
    title: str
    unnamed: bool
    model: str
    type: str
    iteration: str
    losses: tuple[tuple[str, str], ...]
    moment: str
    exact: str
    age: str
    size: str
    notes: str
    rest: str
    marks: tuple[Mark, ...]
    pinned: bool
    deleted: bool
    picture: str
    stamp: str


def card_of(head: Head, now: datetime | None = None) -> Card:
    """Return the card of a snapshot."""
    told = head.to_json()
    notes, rest = _folded(head.label.notes or "")
    tail = head.id[-6:]
    return Card(
        id=head.id,
        tail=tail,
        title=title_of(head),
        unnamed=head.name is None,
        model=head.model_name,
        type=head.model_type or "Other",
        iteration=iteration(head.iteration) if head.iteration is not None else "",
        losses=losses_of(head.loss),
        moment=head.moment.isoformat(),
        exact=_moments(head),
        age=age(head.moment, now),
        size=size(head.size),
        notes=notes,
        rest=rest,
        marks=_marks(head),
        pinned=head.label.pinned,
        deleted=head.label.deleted,
        picture=f"/pictures/{head.id}" if told.get("preview") else "",
        stamp=hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12],
    )


def title_of(head: Head) -> str:
    """Return what to call a snapshot: its name, or by the end of its id."""
    return head.name or f"Snapshot {head.id[-6:]}"


def losses_of(values: dict[str, float | None] | None) -> tuple[tuple[str, str], ...]:
    """Return the names and texts of losses."""
    return tuple((str(name), loss(value)) for name, value in (values or {}).items())


def _moments(head: Head) -> str:
    taken = f"Snapshot taken {exact(moment_of(head.created))}"
    return taken if head.saved_at is None else f"Saved by the trainer {exact(head.moment)}\n{taken}"


def _folded(notes: str) -> tuple[str, str]:
    """Return the beginning of notes, at most their first line, and the rest."""
    line, _, rest = notes.strip().partition("\n")
    if len(line) > _FIRST_LINE:
        return line[:_FIRST_LINE] + "…", notes.strip()
    return line, rest.strip("\n")


def _marks(head: Head) -> tuple[Mark, ...]:
    found = []
    if head.label.pinned:
        found.append(Mark("Pinned", "badge-plain", "pin", "Nothing cleans it up"))
    if not head.healthy:
        bad = head.health == "broken"
        look, sign = ("badge-bad", "bad") if bad else ("badge-warn", "warn")
        found.append(Mark(head.health.capitalize(), look, sign, " ".join(head.findings)))
    if head.incomplete:
        found.append(Mark("Incomplete save", "badge-warn", "warn", "Not all of its files were of one save"))
    if head.doubtful:
        found.append(Mark("Label unreadable", "badge-warn", "warn", "Nobody can tell whether it is pinned"))
    if head.label.thinned:
        found.append(Mark("Thinned", "badge-plain", "thin", "Without its optimizer: " + ", ".join(head.label.thinned)))
    if head.kind in _KINDS:
        text, sign, why = _KINDS[head.kind]
        found.append(Mark(text, "badge-plain", sign, why))
    found += [Mark(f"#{tag}", "badge-plain") for tag in head.label.tags]
    return tuple(found)
