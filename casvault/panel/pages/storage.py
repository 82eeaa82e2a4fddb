"""Storage: what the vault takes, what could be freed, when it was last checked, and what each snapshot costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from casvault.api import SnapshotUsage, Usage, VerifyResult
from casvault.figures import age, iteration, size
from casvault.panel.given import Given, takes
from casvault.panel.pages.card import Card, card_of
from casvault.panel.panel import Panel, panel_of
from casvault.panel.render import page
from casvault.panel.words import plural

__all__ = ["ROUTES", "Row"]

_FIRST = 100
"""Rows that are shown before somebody asks for all."""
_MOST_DAMAGE = 20

_ORDERS: dict[str, tuple[str, Callable[[SnapshotUsage], Any], bool]] = {
    "newest": ("Newest first", lambda one: one.head.id, True),
    "frees": ("Frees most first", lambda one: (one.unique_bytes, one.head.id), True),
    "size": ("Largest first", lambda one: (one.logical_bytes, one.head.id), True),
    "name": ("By name", lambda one: ((one.head.name or "~").casefold(), one.head.id), False),
}


class _Ids(Given):
    ids: list[str]


@dataclass(frozen=True)
class Row:
    """A snapshot and what it takes, in words; ``own`` and ``shared`` are lengths, of 100 for what needs most."""

    card: Card
    iteration: str
    logical: str
    frees: str
    others: str
    own: float
    shared: float
    thin: bool


@dataclass(frozen=True)
class Span:
    """A part of what is stored: ``x`` and ``width`` are in thousandths of the bar."""

    kind: str
    name: str
    why: str
    size: int
    x: float
    width: float


@dataclass(frozen=True)
class Check:
    """When the stored bytes were last read, in words, and what the last check of this panel found."""

    text: str
    told: str
    look: str
    damaged: tuple[str, ...]
    more: int
    affected: tuple[str, ...]


def storage(request: Request) -> Response:
    """Answer with the page; its parts are the same that come when something changed."""
    panel = panel_of(request)
    if not panel.desk.has_vault:
        return page(request, "storage.html", usage=None)
    return page(request, "storage.html", **_figures(panel), **_rows(panel, request))


def figures(request: Request) -> Response:
    """Answer with what the vault takes as a whole."""
    return page(request, "storage_figures.html", **_figures(panel_of(request)))


def rows(request: Request) -> Response:
    """Answer with what each snapshot takes."""
    return page(request, "storage_rows.html", **_rows(panel_of(request), request))


@takes(_Ids)
def together(request: Request, form: _Ids) -> Response:
    """Answer with what deleting these snapshots together would free."""
    panel = panel_of(request)
    known = {one.head.id: one.head for one in panel.desk.usage().snapshots}
    ids = [id for id in form.ids if id in known and not known[id].label.pinned]
    frees = panel.vault.plan_delete(*ids).frees_bytes if ids else 0
    pinned = len([id for id in form.ids if id in known]) - len(ids)
    return page(
        request,
        "together.html",
        count=plural(len(form.ids)),
        frees="unknown" if frees is None else size(frees),
        pinned=pinned,
    )


def _figures(panel: Panel) -> dict[str, Any]:
    usage = panel.desk.usage()
    deleted = panel.vault.snapshots(deleted=True)
    return {
        "usage": usage,
        "spans": _spans(usage),
        "deleted": len(deleted),
        "check": _check(panel),
        "count": plural(len(usage.snapshots)),
        "models": usage.models if len(usage.models) > 1 else (),
    }


def _spans(usage: Usage) -> tuple[Span, ...]:
    vault = usage.vault
    needed = vault.stored_bytes - vault.reclaimable_bytes - vault.base_bytes
    told = (
        ("needed", "Needed", "What the snapshots hold", needed),
        ("bases", "Only leaned on", "Of snapshots that are gone, kept since deltas lean on it", vault.base_bytes),
        ("free", "Can be freed", "What no snapshot needs any more", vault.reclaimable_bytes),
    )
    made, at = [], 0.0
    for kind, name, why, number in told:
        width = 1000 * number / vault.stored_bytes if vault.stored_bytes else 0.0
        made.append(Span(kind, name, why, number, round(at, 2), round(width, 2)))
        at += width
    return tuple(made)


def _check(panel: Panel) -> Check:
    last = panel.vault.last_checked()
    job = next((job for job in panel.jobs.all() if job.subject.kind == "verify" and job.state == "done"), None)
    result = job.result if job is not None and isinstance(job.result, VerifyResult) else None
    damaged = result.damaged if result is not None else ()
    affected = result.affected if result is not None else ()
    if not last.objects:
        text, told, look = "Nothing to check yet", "", ""
    elif last.newest is None or last.oldest is None:
        text, told, look = "Never", "No stored byte was read since it was written.", "warn"
    else:
        newest, oldest = (datetime.fromtimestamp(moment, timezone.utc) for moment in (last.newest, last.oldest))
        share = last.never / last.objects
        text = _ago(newest)
        never = f" {share:.0%} was never read." if last.never else " All of it was read."
        told, look = f"Longest ago: {_ago(oldest).lower()}.{never}", ("warn" if share > 0.5 else "good")
    if damaged:
        told, look = f"The last check found damage: {plural(len(damaged), 'fault')}.", "bad"
    elif result is not None and not last.never:
        told += " No damage was found."
    return Check(text, told, look, damaged[:_MOST_DAMAGE], max(0, len(damaged) - _MOST_DAMAGE), affected)


def _ago(moment: datetime) -> str:
    """Return how long ago something was that is known to the hour."""
    hours = (datetime.now(timezone.utc) - moment).total_seconds() / 3600
    return "Within the last hour" if hours < 1 else age(moment)


def _rows(panel: Panel, request: Request) -> dict[str, Any]:
    wanted = request.query_params.get("order", "")
    order = wanted if wanted in _ORDERS else "newest"
    every = request.query_params.get("all") == "true"
    usage = panel.desk.usage()
    _, key, reverse = _ORDERS[order]
    found = sorted(usage.snapshots, key=key, reverse=reverse)
    shown = found if every else found[:_FIRST]
    most = max((one.unique_bytes + one.shared_bytes for one in found), default=0) or 1
    return {
        "rows": [_row(one, most) for one in shown],
        "orders": [(name, text) for name, (text, *_) in _ORDERS.items()],
        "order": order,
        "every": every,
        "hidden_rows": len(found) - len(shown),
    }


def _row(one: SnapshotUsage, most: int) -> Row:
    head = one.head
    return Row(
        card=card_of(head),
        iteration=iteration(head.iteration).removeprefix("Iter "),
        logical=size(one.logical_bytes),
        frees=size(one.unique_bytes),
        others=size(one.shared_bytes),
        own=round(100 * one.unique_bytes / most, 2),
        shared=round(100 * one.shared_bytes / most, 2),
        thin=bool(head.label.thinned),
    )


def titles(cards: Sequence[Card]) -> str:
    """Return what to call some snapshots in a sentence."""
    return cards[0].title if len(cards) == 1 else plural(len(cards))


ROUTES: list[BaseRoute] = [
    Route("/storage", storage),
    Route("/storage/figures", figures),
    Route("/storage/rows", rows),
    Route("/storage/together", together, methods=["POST"]),
]
