"""Rendering: templates become pages and fragments of pages. Owns the promise that whatever is put in is escaped."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from casvault import __version__
from casvault.panel import words
from casvault.panel.panel import panel_of

__all__ = ["environment", "page"]


@cache
def environment() -> Environment:
    """Return the environment of all templates: everything is escaped, and an unknown name is an error."""
    made = Environment(
        loader=PackageLoader("casvault.panel", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(words.FILTERS)
    made.globals["version"] = __version__
    return made


def page(
    request: Request, template: str, status: int = 200, headers: dict[str, str] | None = None, **context: Any
) -> Response:
    """Return a template as a page, or as a fragment of one where it does not extend ``base.html``.

    Templates also know ``panel``, ``path`` (of the request) and ``version``.
    """
    text = environment().get_template(template).render(panel=panel_of(request), path=request.url.path, **context)
    return HTMLResponse(text, status, headers)
