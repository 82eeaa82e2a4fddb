"""The first page: the live models and the list of snapshots; where there is no vault yet, how to begin."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from casvault.api import Head
from casvault.errors import NotFound
from casvault.figures import size
from casvault.panel.given import Given, takes
from casvault.panel.operations import taking
from casvault.panel.pages.first import found_near
from casvault.panel.pages.live import live_models, strangers
from casvault.panel.pages.shelf import Query, choices, shelf
from casvault.panel.panel import Panel, panel_of
from casvault.panel.render import page

__all__ = ["ROUTES"]


class _Watch(Given):
    on: bool = False


def home(request: Request) -> Response:
    """Answer with the first page."""
    panel = panel_of(request)
    if not panel.desk.has_vault:
        return page(request, "first.html", found=found_near(panel))
    query = Query.of(request.query_params)
    heads = panel.desk.snapshots()
    return page(
        request,
        "snapshots.html",
        query=query,
        choices=choices(heads, query),
        shelf=shelf(_asked(panel, query), query),
        damaged=_damaged(panel),
        **_live(panel),
    )


def live(request: Request) -> Response:
    """Answer with the live models alone."""
    return page(request, "live.html", **_live(panel_of(request)))


def cards(request: Request) -> Response:
    """Answer with a page of the list alone."""
    query = Query.of(request.query_params)
    return page(request, "list.html", query=query, shelf=shelf(_asked(panel_of(request), query), query))


def frees(request: Request) -> Response:
    """Answer with what deleting each snapshot would free, and what the vault takes, in words."""
    found = panel_of(request).desk.usage()
    vault = found.vault
    told = {one.head.id: f"frees {size(one.unique_bytes)}" for one in found.snapshots}
    taken = f"{size(vault.stored_bytes)} stored for {size(vault.logical_bytes)}" if vault.logical_bytes else ""
    return JSONResponse({"frees": told, "vault": taken})


@takes(_Watch)
def watch(request: Request, form: _Watch) -> Response:
    """Switch automatic snapshots of a model on or off."""
    panel, key = panel_of(request), request.path_params["key"]
    taking.switch_watch(panel, key, form.on)
    name = panel.desk.model(key).name
    told = (
        f"A snapshot of {name} is taken after each save, as long as this panel runs."
        if form.on
        else f"No automatic snapshots of {name} any more."
    )
    return page(request, "dialogs/done.html", told=told, undo="", ids=[])


def picture(request: Request) -> Response:
    """Answer with the picture of a snapshot, which never changes."""
    vault, id = panel_of(request).vault, request.path_params["id"]
    data, told = vault.preview(id), vault.show(id).preview
    if data is None or told is None:
        raise NotFound(f"snapshot {id} has no picture.")
    return Response(data, media_type=told.media_type, headers={"Cache-Control": "private, max-age=31536000, immutable"})


def _asked(panel: Panel, query: Query) -> list[Head]:
    return panel.desk.snapshots(deleted=query.show == "deleted")


def _live(panel: Panel) -> dict[str, Any]:
    models, heads = panel.desk.models(), panel.desk.snapshots()
    found = live_models(panel, models, heads)
    return {"lives": found, "strangers": strangers(models, found)}


def _damaged(panel: Panel) -> str:
    """Say how many snapshots cannot be listed, empty where all can."""
    damaged = panel.vault.index.damaged
    if not damaged:
        return ""
    return f"{len(damaged)} of the vault's documents could not be read: {next(iter(damaged.values()))}"


ROUTES: list[BaseRoute] = [
    Route("/", home),
    Route("/parts/live", live),
    Route("/parts/list", cards),
    Route("/parts/frees", frees),
    Route("/pictures/{id}", picture),
    Route("/models/{key}/watch", watch, methods=["POST"]),
]
