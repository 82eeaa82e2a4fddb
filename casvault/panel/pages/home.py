"""The first page."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from casvault.panel.panel import panel_of
from casvault.panel.render import page

__all__ = ["ROUTES"]


def home(request: Request) -> Response:
    """Answer with the list of snapshots."""
    panel = panel_of(request)
    heads = panel.vault.snapshots() if panel.desk.has_vault else []
    return page(request, "home.html", heads=heads, models=panel.desk.models())


ROUTES: list[BaseRoute] = [Route("/", home)]
