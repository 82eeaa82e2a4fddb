"""Sync: other vaults that have names here, what is only here and only there, and snapshots that travel.

A remote on this machine is looked at when the page is opened. One that is reached over a network only when somebody
asks, so that opening a page connects to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from casvault.api import Comparison, Head, RemoteEntry
from casvault.errors import CasvaultError, NotFound
from casvault.panel.given import Given, takes
from casvault.panel.operations import syncing
from casvault.panel.pages.card import Card, card_of
from casvault.panel.pages.work import job_page
from casvault.panel.panel import Panel, panel_of
from casvault.panel.render import page
from casvault.panel.words import plural

__all__ = ["ROUTES"]

_MOST = 20


class _Remote(Given):
    name: str
    address: str


class _Name(Given):
    name: str


class _Transfer(Given):
    remote: str
    model: str = ""
    delete: bool = False


@dataclass(frozen=True)
class Place:
    """A remote in words; ``near`` says that it is on this machine."""

    name: str
    url: str
    near: bool


@dataclass(frozen=True)
class Group:
    """Snapshots that stand alike: a title, what it means, the first of them, how many more, and the way they go."""

    title: str
    why: str
    cards: tuple[Card, ...]
    more: int
    count: int


def sync(request: Request) -> Response:
    """Answer with the page."""
    panel = panel_of(request)
    vault = panel.desk.has_vault
    return page(request, "sync.html", vault=vault, remotes=_places(panel) if vault else [])


def places(request: Request) -> Response:
    """Answer with the remotes."""
    return page(request, "sync_places.html", remotes=_places(panel_of(request)))


def state(request: Request) -> Response:
    """Answer with how this vault and a remote stand to each other, or why that cannot be told."""
    panel = panel_of(request)
    entry = _entry(panel, request.path_params["name"])
    try:
        found = panel.vault.compare_remote(entry.name)
    except CasvaultError as error:
        return page(request, "sync_state.html", name=entry.name, error=str(error), found=None)
    return page(request, "sync_state.html", name=entry.name, error="", found=found, **_told(found))


def add(request: Request) -> Response:
    """Answer with the dialog that names a remote."""
    return page(request, "dialogs/remote.html")


@takes(_Remote)
def added(request: Request, form: _Remote) -> Response:
    """Name a remote; answer that it is done."""
    entry = syncing.add_remote(panel_of(request), form.name.strip(), form.address.strip())
    return page(request, "dialogs/done.html", told=f"{entry.name} is a remote now.", undo="", ids=[])


def remove(request: Request) -> Response:
    """Answer with the question whether a remote is to be forgotten."""
    return page(request, "dialogs/forget.html", entry=_entry(panel_of(request), request.path_params["name"]))


@takes(_Name)
def removed(request: Request, form: _Name) -> Response:
    """Forget a remote; answer that it is done."""
    entry = syncing.remove_remote(panel_of(request), form.name)
    return page(request, "dialogs/done.html", told=f"Forgot {entry.name}.", undo="", ids=[])


def transfer(request: Request) -> Response:
    """Answer with what would travel."""
    panel = panel_of(request)
    way = request.path_params["way"]
    if way not in syncing.WAYS:
        raise NotFound("snapshots can be pushed, pulled or synced.")
    entry = _entry(panel, request.query_params.get("remote", ""))
    model = request.query_params.get("model", "") or None
    delete = request.query_params.get("delete") == "true"
    found = panel.vault.compare_remote(entry.name)
    here, there = (*found.only_here, *found.deleted_there), (*found.only_there, *found.deleted_here)
    models = {head.model_name for head in (*panel.vault.snapshots(), *here, *there)}
    sends = receives = None
    if way in ("push", "sync"):
        sends = panel.vault.push(entry.name, model=model, delete=delete, dry_run=True)
    if way in ("pull", "sync"):
        receives = panel.vault.pull(entry.name, model=model, delete=delete, dry_run=True)
    return page(
        request,
        "dialogs/transfer.html",
        way=way,
        entry=entry,
        sends=sends,
        receives=receives,
        models=sorted(models),
        model=model,
        delete=delete,
        conflicts=len(found.conflicts),
        given_up=len(found.deleted_here) * (sends is not None) + len(found.deleted_there) * (receives is not None),
    )


@takes(_Transfer)
def transferred(request: Request, form: _Transfer) -> Response:
    """Begin to send or bring snapshots; answer with how far that is."""
    way = request.path_params["way"]
    job = syncing.transfer(panel_of(request), way, form.remote, model=form.model or None, delete=form.delete)
    return job_page(request, job, job.subject.title)


def _entry(panel: Panel, name: str) -> RemoteEntry:
    entry = next((entry for entry in panel.vault.remotes() if entry.name == name), None)
    if entry is None:
        raise NotFound("there is no such remote any more; load the page anew to see which there are.")
    return entry


def _places(panel: Panel) -> list[Place]:
    return [Place(entry.name, entry.url, "://" not in entry.url) for entry in panel.vault.remotes()]


def _told(found: Comparison) -> dict[str, Any]:
    told = (
        ("Only here", "Push sends them", found.only_here),
        ("Only there", "Pull brings them", found.only_there),
        ("Named or marked anew here", "Push sends what was written", found.newer_here),
        ("Named or marked anew there", "Pull brings what was written", found.newer_there),
        ("Deleted here, still there", "They stay, unless deletions travel too", found.deleted_here),
        ("Deleted there, still here", "They stay, unless deletions travel too", found.deleted_there),
    )
    groups = [_group(title, why, heads) for title, why, heads in told if heads]
    return {
        "groups": groups,
        "counts": [(title, len(heads)) for title, _, heads in told[:2]],
        "both": plural(found.both),
        "stays": [*found.conflicts.items(), *found.refused.items()][:_MOST],
    }


def _group(title: str, why: str, heads: Sequence[Head]) -> Group:
    return Group(title, why, tuple(card_of(head) for head in heads[:_MOST]), max(0, len(heads) - _MOST), len(heads))


ROUTES: list[BaseRoute] = [
    Route("/sync", sync),
    Route("/sync/places", places),
    Route("/sync/state/{name}", state),
    Route("/dialogs/remote", add),
    Route("/dialogs/remote", added, methods=["POST"]),
    Route("/dialogs/forget/{name}", remove),
    Route("/dialogs/forget", removed, methods=["POST"]),
    Route("/dialogs/transfer/{way}", transfer),
    Route("/dialogs/transfer/{way}", transferred, methods=["POST"]),
]
