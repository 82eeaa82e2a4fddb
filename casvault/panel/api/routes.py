"""The routes of the API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from casvault.panel.api.endpoint import PREFIX, document, route
from casvault.panel.api.openapi import ENDPOINTS, openapi

__all__ = ["ROUTES"]


def described(request: Request) -> Response:
    """Answer with the OpenAPI document."""
    return document(openapi())


ROUTES: list[BaseRoute] = [Route(f"{PREFIX}/openapi.json", described), *map(route, ENDPOINTS)]
