"""Charts: the losses of a model with its snapshots along them, and what the vault stores over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from casvault.api import Head
from casvault.panel.pages.saved import saved_by
from casvault.panel.pages.subjects import Subject, live_subjects, stored_subjects
from casvault.panel.panel import Panel, panel_of
from casvault.panel.render import page

__all__ = ["ROUTES"]

WINDOWS = (1, 20, 100, 500, 2000)
"""Iterations that somebody may have the mean taken over."""


def charts(request: Request) -> Response:
    """Answer with the page of the charts; the figures come by themselves."""
    panel = panel_of(request)
    heads = panel.vault.snapshots() if panel.desk.has_vault else []
    groups = list(_groups(panel, heads))
    subjects = [subject for _, group in groups for subject in group]
    wanted = request.query_params.get("of", "")
    chosen = next((one for one in subjects if one.key == wanted), subjects[0] if subjects else None)
    return page(request, "charts.html", groups=groups, chosen=chosen, windows=WINDOWS, snapshots=len(heads))


def saved(request: Request) -> Response:
    """Answer with what saves how much, as a fragment."""
    panel = panel_of(request)
    return page(request, "saved.html", saved=saved_by(panel.desk.usage().vault, panel.vault.coding()))


def _groups(panel: Panel, heads: Sequence[Head]) -> Iterator[tuple[str, list[Subject]]]:
    """Yield what curves there are: live models first, then the snapshots of each model."""
    live = live_subjects(panel)
    if live:
        yield "Live models", live
    for name in dict.fromkeys(head.model_name for head in reversed(heads)):
        yield f"Snapshots of {name}", stored_subjects([head for head in heads if head.model_name == name])


ROUTES: list[BaseRoute] = [
    Route("/charts", charts),
    Route("/charts/saved", saved),
]
