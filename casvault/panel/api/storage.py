"""Storage over HTTP: usage, gc, pruning, verifying."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any

import msgspec

from casvault.panel.api import documents
from casvault.panel.api.endpoint import Call, Endpoint
from casvault.panel.api.snapshots import Key
from casvault.panel.given import Given
from casvault.panel.operations import checking, keeping

__all__ = ["ENDPOINTS"]

Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class Prune(Given):
    """Rules of retention, as those of `casvault prune`, for all models or one; with ``dry_run`` nothing is changed."""

    last: Count = 0
    every_iterations: Count = 0
    hourly: Count = 0
    daily: Count = 0
    weekly: Count = 0
    best: Count = 0
    log: bool = False
    within_hours: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None
    max_bytes: Annotated[int, msgspec.Meta(ge=0, le=10**15)] | None = None
    model: Key | None = None
    include_manual: bool = False
    dry_run: bool = True


class Verify(Given):
    """Whether all stored bytes are read, or a share of them, above 0 and at most 1; else none are."""

    read_data: bool = False
    sample: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None


def _prune(call: Call) -> dict[str, Any]:
    body, panel = call.body, call.panel
    rules = keeping.rules_of(
        last=body.last,
        every_iterations=body.every_iterations,
        hourly=body.hourly,
        daily=body.daily,
        weekly=body.weekly,
        best=body.best,
        log=body.log,
        within_hours=body.within_hours,
        max_bytes=body.max_bytes,
    )
    model = None if body.model is None else panel.desk.model(body.model).name
    if body.dry_run:
        plan = panel.vault.plan_prune(rules, model=model, include_manual=body.include_manual)
    else:
        plan = keeping.prune(panel, rules, model=model, include_manual=body.include_manual)
    return {**plan.to_json(), "dry_run": body.dry_run}


def _checked(call: Call) -> dict[str, Any]:
    found = call.panel.vault.last_checked()
    oldest = None if found.oldest is None else datetime.fromtimestamp(found.oldest, timezone.utc)
    return {
        "objects": found.objects,
        "never": found.never,
        "oldest": None if oldest is None else oldest.isoformat().replace("+00:00", "Z"),
    }


ENDPOINTS = (
    Endpoint(
        "GET",
        "/usage",
        "usage",
        "What snapshots take, and what deleting each would free.",
        lambda call: call.panel.desk.usage().to_json(),
        documents.UsageDocument,
    ),
    Endpoint(
        "GET",
        "/gc",
        "plan_gc",
        "What gc would free.",
        lambda call: call.panel.vault.gc(dry_run=True).to_json(),
        documents.Freed,
    ),
    Endpoint(
        "POST",
        "/gc",
        "gc",
        "Free what no snapshot needs.",
        lambda call: keeping.gc(call.panel),
        documents.JobDocument,
        status=202,
    ),
    Endpoint(
        "POST",
        "/prune",
        "prune",
        "Delete what rules do not keep, or tell what that would be.",
        _prune,
        documents.Pruned,
        body=Prune,
    ),
    Endpoint("GET", "/verify", "last_checked", "When stored bytes were last checked.", _checked, documents.Checked),
    Endpoint(
        "POST",
        "/verify",
        "verify",
        "Check that every snapshot can be restored.",
        lambda call: checking.verify(call.panel, read_data=call.body.read_data, sample=call.body.sample),
        documents.JobDocument,
        body=Verify,
        status=202,
    ),
)
