"""Activity: what was done, by whom, how it ended, and the command line that does the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from casvault.figures import age
from casvault.panel.activity import Entry
from casvault.panel.panel import Panel, panel_of
from casvault.panel.render import page
from casvault.panel.words import exact

__all__ = ["ROUTES"]

_FIRST = 100
_BY = {"": "Everything", "panel": "In this panel", "watch": "By a watch", "elsewhere": "Elsewhere"}
_SIGNS = {
    "snapshot": "plus", "restore": "restore", "undo": "undo", "delete": "trash", "undelete": "undo", "edit": "edit",
    "gc": "disk", "prune": "list", "thin": "thin", "verify": "shield", "health": "shield", "diff": "compare",
    "push": "sync", "pull": "sync", "sync": "sync", "remote": "sync", "watch": "clock", "init": "disk",
}  # fmt: skip
_ENDS = {
    "done": ("", ""),
    "failed": ("Failed", "badge-bad"),
    "cancelled": ("Stopped", "badge-warn"),
    "running": ("Under way", "badge-iter"),
}


@dataclass(frozen=True)
class Line:
    """One entry in words; ``by`` is empty where it was done in this panel."""

    number: int
    text: str
    sign: str
    moment: str
    exact: str
    age: str
    by: str
    end: str
    look: str
    command: str
    model: str
    snapshot: str


def activity(request: Request) -> Response:
    """Answer with the page."""
    return page(request, "activity.html", by=_BY, **_lines(panel_of(request), request))


def entries(request: Request) -> Response:
    """Answer with the entries."""
    return page(request, "activity_entries.html", **_lines(panel_of(request), request))


def _lines(panel: Panel, request: Request) -> dict[str, Any]:
    wanted = request.query_params.get("by", "")
    every = request.query_params.get("all") == "true"
    known = {head.id for head in panel.vault.snapshots()} if panel.desk.has_vault else set()
    found = [entry for entry in panel.activity.entries() if wanted not in _BY or wanted in ("", entry.by)]
    shown = found if every else found[:_FIRST]
    return {
        "lines": [_line(entry, known) for entry in shown],
        "chosen": wanted if wanted in _BY else "",
        "left_out": len(found) - len(shown),
        "every": every,
    }


def _line(entry: Entry, known: set[str]) -> Line:
    end, look = _ENDS.get(entry.outcome, ("", ""))
    return Line(
        number=entry.number,
        text=entry.text,
        sign=_SIGNS.get(entry.what, "info"),
        moment=entry.time.isoformat(),
        exact=exact(entry.time),
        age=age(entry.time),
        by="" if entry.by == "panel" else _BY.get(entry.by, entry.by),
        end=end,
        look=look,
        command=entry.command or "",
        model=entry.model or "",
        snapshot=entry.snapshot if entry.snapshot in known and entry.snapshot is not None else "",
    )


ROUTES: list[BaseRoute] = [Route("/activity", activity), Route("/activity/entries", entries)]
