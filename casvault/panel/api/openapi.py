"""The OpenAPI document, made of the endpoints' declarations."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from casvault import __version__
from casvault.panel.api import documents, jobs, models, remotes, snapshots, storage
from casvault.panel.api.endpoint import PREFIX, Endpoint

__all__ = ["ENDPOINTS", "openapi"]

ENDPOINTS: tuple[Endpoint, ...] = (
    *models.ENDPOINTS,
    *snapshots.ENDPOINTS,
    *storage.ENDPOINTS,
    *remotes.ENDPOINTS,
    *jobs.ENDPOINTS,
)
"""All endpoints of the API."""

_PARTS = {
    "id": ("The id of a snapshot.", snapshots.ID_PATTERN),
    "key": ("The key of a model, as `models` tells it.", "^[0-9a-f]{16}$"),
    "name": ("The name of a remote.", "^[A-Za-z0-9][A-Za-z0-9_-]{0,49}$"),
    "job": ("The id of an operation.", "^[0-9a-f]{12}$"),
}
_DESCRIPTION = """\
What the pages of the panel do. The cookie comes from opening the address that `casvault panel` printed. Requests that
change something are sent as application/json, from the panel's own origin or by a program that sends none. Sizes are
bytes, times ISO 8601 in UTC. Each error is a document with a sentence: 401 without the cookie, 403 from another page,
404 for what is not there, 409 for what cannot be now, 413 for too much, 415 for another content type, 421 for another
host, 422 for what makes no sense, 423 where somebody else holds a lock, 502 for a remote, 503 for damage and for a disk
that fails, 507 for a full one."""


@cache
def openapi() -> dict[str, Any]:
    """Return the document: OpenAPI 3.1."""
    answers = [endpoint.answer for endpoint in ENDPOINTS if endpoint.answer is not None]
    bodies = [endpoint.body for endpoint in ENDPOINTS if endpoint.body is not None]
    queries = [endpoint.query for endpoint in ENDPOINTS]
    kinds = list(dict.fromkeys([*answers, *bodies, *queries, documents.ProblemDocument]))
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    named = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        told = _operation(endpoint, named, components)
        paths.setdefault(PREFIX + endpoint.path, {})[endpoint.method.lower()] = told
    return {
        "openapi": "3.1.0",
        "info": {"title": "casvault panel", "version": __version__, "description": _DESCRIPTION},
        "security": [{"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"cookie": {"type": "apiKey", "in": "cookie", "name": "casvault_8577"}},
        },
    }


def _operation(endpoint: Endpoint, named: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [_part(name) for name in re.findall(r"{(\w+)}", endpoint.path)]
        + _query(_resolved(named[endpoint.query], components)),
        "responses": {
            str(endpoint.status): {"description": endpoint.summary, "content": _content(endpoint, named)},
            "default": {
                "description": "An error, as a document.",
                "content": {"application/json": {"schema": named[documents.ProblemDocument]}},
            },
        },
    }
    if endpoint.body is not None:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": named[endpoint.body]}}}
    return told


def _content(endpoint: Endpoint, named: dict[Any, Any]) -> dict[str, Any]:
    if endpoint.answer is None:
        return {media: {} for media in endpoint.media}
    return {"application/json": {"schema": named[endpoint.answer]}}


def _part(name: str) -> dict[str, Any]:
    told, pattern = _PARTS[name]
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "description": told, "schema": schema}


def _query(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    found = []
    for name, kind in schema.get("properties", {}).items():
        # A query has no null: what is not given is not there.
        some = [one for one in kind.get("anyOf", ()) if one.get("type") != "null"]
        told = {key: value for key, value in kind.items() if key not in ("anyOf", "default")} | (
            some[0] if some else {}
        )
        found.append({"name": name, "in": "query", "required": name in required, "schema": told})
    return found


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    found = components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return dict(found)
