"""Problems: which answer an error becomes. Owns the promise that bad input is never answered with a 500."""

from __future__ import annotations

import os
import traceback
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from casvault.errors import (
    AmbiguousError,
    Cancelled,
    CasvaultError,
    DamageError,
    IncompleteSave,
    Locked,
    NoSpace,
    NotFound,
    NoVault,
    RemoteConflict,
    RemoteError,
    TrainerRunning,
    UsageError,
)
from casvault.panel.jobs import problem_of, sentence_of
from casvault.panel.render import page

__all__ = ["HANDLERS", "STATUS", "status_of"]

STATUS: tuple[tuple[type[CasvaultError], int], ...] = (
    (AmbiguousError, 409),
    (UsageError, 422),
    (NotFound, 404),
    (NoVault, 404),
    (IncompleteSave, 409),
    (TrainerRunning, 409),
    (RemoteConflict, 409),
    (Cancelled, 409),
    (Locked, 423),
    (RemoteError, 502),
    (NoSpace, 507),
    (DamageError, 503),
    (CasvaultError, 503),
)
"""The first that fits says the status."""


def status_of(error: CasvaultError) -> int:
    """Return the status that an error is answered with."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def answer(request: Request, error: CasvaultError, status: int, headers: dict[str, str] | None = None) -> Response:
    """Return an error as a document for the API, as a fragment for htmx, else as a page."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": problem_of(error)}, status, headers)
    template = "problem_fragment.html" if request.headers.get("hx-request") == "true" else "problem.html"
    return page(request, template, status, headers, error=error, code=status)


def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, CasvaultError)
    return answer(request, error, status_of(error))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = NotFound if error.status_code == 404 else UsageError
    text = f"there is nothing at {request.url.path[:200]}." if kind is NotFound else f"{error.detail}."
    return answer(request, kind(text), error.status_code, dict(error.headers or {}))


def _bug(request: Request, error: Exception) -> Response:
    if os.environ.get("CASVAULT_DEBUG"):
        traceback.print_exception(error)
    return answer(request, CasvaultError(sentence_of(error)), 500)


HANDLERS: dict[Any, Any] = {CasvaultError: _known, HTTPException: _http, OSError: _bug, Exception: _bug}
"""What is raised -> what answers."""
