"""Work: what is under way, how it ended, and stopping it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from casvault.api import RestoreResult
from casvault.panel.given import Given, takes
from casvault.panel.jobs import Job
from casvault.panel.operations.taking import Taken
from casvault.panel.panel import panel_of
from casvault.panel.render import page

__all__ = ["ROUTES", "job_page"]


class _Nothing(Given):
    pass


def job_page(request: Request, job: Job, title: str) -> Response:
    """Return the part of a dialog that shows how far a job is, and follows it."""
    return page(request, "dialogs/job.html", job=job.to_json(), title=title)


def running(request: Request) -> Response:
    """Answer with everything that is under way."""
    jobs = [job.to_json() for job in panel_of(request).jobs.all() if job.running]
    return page(request, "jobs.html", jobs=jobs)


def shown(request: Request) -> Response:
    """Answer with one job, as it is or as it ended."""
    panel = panel_of(request)
    job = panel.jobs.get(request.path_params["id"])
    if job.running:
        return page(request, "jobs.html", jobs=[job.to_json()])
    undo = isinstance(job.result, RestoreResult) and job.result.backup is not None
    warnings = job.result.result.warnings if isinstance(job.result, Taken) else ()
    return page(request, "ended.html", job=job, undo=job.subject.key if undo else "", warnings=warnings)


@takes(_Nothing)
def cancelled(request: Request, form: _Nothing) -> Response:
    """Ask a job to stop; it says itself when it has."""
    panel_of(request).jobs.get(request.path_params["id"]).cancel()
    return Response(status_code=204)


ROUTES: list[BaseRoute] = [
    Route("/parts/jobs", running),
    Route("/parts/jobs/{id}", shown),
    Route("/parts/jobs/{id}/cancel", cancelled, methods=["POST"]),
]
