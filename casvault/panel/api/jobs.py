"""Operations under way and the activity over HTTP."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response, StreamingResponse

from casvault.panel.api import documents
from casvault.panel.api.endpoint import Call, Endpoint

__all__ = ["ENDPOINTS"]


def _cancel(call: Call) -> dict[str, Any]:
    job = call.panel.jobs.get(call.parts["job"])
    if job.running:
        job.cancel()
    return job.to_json()


def _events(call: Call) -> Response:
    return StreamingResponse(call.panel.hub.stream(), media_type="text/event-stream")


ENDPOINTS = (
    Endpoint(
        "GET",
        "/jobs",
        "jobs",
        "Operations that run or ran in this panel.",
        lambda call: {"jobs": [job.summary() for job in call.panel.jobs.all()]},
        documents.JobsDocument,
    ),
    Endpoint(
        "GET",
        "/jobs/{job}",
        "job",
        "One operation, with its result.",
        lambda call: call.panel.jobs.get(call.parts["job"]),
        documents.JobDocument,
    ),
    Endpoint(
        "POST",
        "/jobs/{job}/cancel",
        "cancel",
        "Ask an operation to stop; what cannot be cut is finished.",
        _cancel,
        documents.JobDocument,
    ),
    Endpoint(
        "GET",
        "/activity",
        "activity",
        "What was done, each with the command line that does the same.",
        lambda call: {"activity": [entry.to_json() for entry in call.panel.activity.entries()]},
        documents.ActivityDocument,
    ),
    Endpoint(
        "GET",
        "/events",
        "events",
        "What happens, as it happens: job, jobs, vault, live, watch, activity.",
        _events,
        None,
        media=("text/event-stream",),
    ),
)
