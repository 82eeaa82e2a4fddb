"""An endpoint: one path and method of the API, what it takes, what it answers, and what does it."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from casvault.errors import UsageError
from casvault.panel.given import Given, parse_body, parse_query
from casvault.panel.jobs import Job
from casvault.panel.panel import Panel, panel_of

__all__ = ["PREFIX", "Call", "Endpoint", "Nothing", "document", "route"]

PREFIX = "/api/v1"


class Nothing(Given):
    """No members at all."""


@dataclass(frozen=True)
class Call:
    """A request that was checked: ``parts`` of its path, its ``query``, its ``body``."""

    panel: Panel
    parts: Mapping[str, str]
    query: Any
    body: Any
    request: Request


@dataclass(frozen=True)
class Endpoint:
    """``run`` gets the call and returns a document, a Job, or a response that is ready.

    ``name`` is unique among all; ``answer`` is the type of the document, None for none in JSON, which ``media`` then
    names. ``refuses`` are statuses that are told in the description beside the usual ones.
    """

    method: str
    path: str
    name: str
    summary: str
    run: Callable[[Call], Any]
    answer: Any
    body: type[Given] | None = None
    query: type[Given] = Nothing
    status: int = 200
    media: tuple[str, ...] = ()
    tag: str = ""


def route(endpoint: Endpoint) -> Route:
    """Return the route of an endpoint: checks what comes, works in a thread, answers."""

    async def answered(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        given = dict(pairs)
        if len(given) < len(pairs):
            raise UsageError("the address says one thing twice.")
        query = parse_query(given, endpoint.query)
        data = await request.body()
        if endpoint.body is None and data not in (b"", b"{}"):
            raise UsageError("this takes no members; send {} or nothing.")
        body = parse_body(data, endpoint.body) if endpoint.body is not None else None
        call = Call(panel_of(request), request.path_params, query, body, request)
        found = await run_in_threadpool(endpoint.run, call)
        if isinstance(found, Response):
            return found
        if isinstance(found, Job):
            found = await run_in_threadpool(found.to_json)
        return document(found, endpoint.status)

    handler: Callable[[Request], Awaitable[Response]] = answered
    return Route(PREFIX + endpoint.path, handler, methods=[endpoint.method], name=endpoint.name)


def document(found: Any, status: int = 200) -> Response:
    """Return a document as an answer: in ASCII, so that it can hold any name; what is not finite is null."""
    try:
        text = json.dumps(found, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(found), allow_nan=False)
    return Response(text, status, media_type="application/json")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
