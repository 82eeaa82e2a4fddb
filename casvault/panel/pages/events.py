"""The stream of events that every page listens to."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from casvault.panel.panel import panel_of

__all__ = ["ROUTES"]


async def events(request: Request) -> Response:
    """Answer with what happens, as it happens."""
    return StreamingResponse(panel_of(request).hub.stream(), media_type="text/event-stream")


ROUTES: list[BaseRoute] = [Route("/events", events)]
