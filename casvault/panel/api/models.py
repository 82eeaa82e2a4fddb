"""Models over HTTP: which there are, how each stands, taking snapshots, watching, going back."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from casvault import __version__
from casvault.api import Model
from casvault.errors import NotFound
from casvault.panel.api import documents
from casvault.panel.api.endpoint import Call, Endpoint
from casvault.panel.given import Given
from casvault.panel.operations import checking, restoring, taking
from casvault.panel.panel import Panel

__all__ = ["ENDPOINTS", "Points", "losses_of", "model_key"]

_KEY = re.compile(r"[0-9a-f]{16}")

Name = Annotated[str, msgspec.Meta(max_length=200, description="One line without control characters.")]
Notes = Annotated[str, msgspec.Meta(max_length=100_000, description="Plain text without control characters.")]


class Points(Given):
    """Between which iterations a curve is to be told, in how many points at most, and over how many a mean is taken."""

    first: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] | None = None
    last: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] | None = None
    points: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000
    window: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


class TakeSnapshot(Given):
    """A snapshot to take: of the save that is there, or of the next one."""

    name: Name | None = None
    notes: Notes | None = None
    next_save: bool = False
    allow_incomplete: bool = False


class SwitchWatch(Given):
    """Whether automatic snapshots are to be on."""

    on: bool


def model_key(call: Call) -> str:
    """Return the key in the path of a request; raises NotFound."""
    key = call.parts["key"]
    if _KEY.fullmatch(key) is None:
        raise NotFound("there is no such model.")
    return key


def model_document(panel: Panel, key: str, model: Model) -> dict[str, Any]:
    """Return a model that the panel knows as a document."""
    return {
        "key": key,
        "name": model.name,
        "type": model.type,
        "folder": str(model.folder),
        "watch": panel.watches.state(key),
    }


def _panel(call: Call) -> dict[str, Any]:
    desk = call.panel.desk
    return {"version": __version__, "vault": str(desk.path) if desk.has_vault else None, "place": str(desk.path)}


def _link(call: Call) -> dict[str, Any]:
    return {"path": f"/?token={call.panel.door.token()}"}


def _models(call: Call) -> dict[str, Any]:
    found = call.panel.desk.models()
    return {"models": [model_document(call.panel, key, model) for key, model in found.items()]}


def _live(call: Call) -> dict[str, Any]:
    key = model_key(call)
    return {"key": key, **call.panel.desk.status(key).to_json(), "watch": call.panel.watches.state(key)}


def _losses(call: Call) -> dict[str, Any]:
    return losses_of(call, call.panel.desk.model(model_key(call)))


def losses_of(call: Call, what: str | Model) -> dict[str, Any]:
    """Return the losses of a snapshot, by its id, or of a live model, as `Points` say."""
    wanted = call.query
    found = call.panel.vault.losses(
        what, first=wanted.first, last=wanted.last, points=wanted.points, window=wanted.window
    )
    return found.to_json()


def _take(call: Call) -> Any:
    return taking.snapshot(
        call.panel,
        model_key(call),
        name=call.body.name,
        notes=call.body.notes,
        next_save=call.body.next_save,
        allow_incomplete=call.body.allow_incomplete,
    )


def _plan_undo(call: Call) -> dict[str, Any]:
    plan = restoring.plan_undo(call.panel, model_key(call))
    return {**plan.to_json(), "nothing_to_do": plan.nothing_to_do, "staged_bytes": plan.staged_bytes}


ENDPOINTS = (
    Endpoint("GET", "/panel", "panel", "What is served here.", _panel, documents.PanelDocument),
    Endpoint(
        "POST",
        "/link",
        "link",
        "Make an address for another browser; it opens once.",
        _link,
        documents.Link,
        status=201,
    ),
    Endpoint(
        "POST",
        "/vault",
        "make_vault",
        "Make the vault, or take the one that is there.",
        lambda call: taking.make_vault(call.panel),
        documents.Made,
    ),
    Endpoint("GET", "/models", "models", "Which models the panel knows.", _models, documents.ModelsDocument),
    Endpoint(
        "GET", "/models/{key}", "live_model", "How a live model stands to its snapshots.", _live, documents.LiveModel
    ),
    Endpoint(
        "GET",
        "/models/{key}/losses",
        "losses_of_model",
        "The losses of a live model.",
        _losses,
        documents.Losses,
        query=Points,
    ),
    Endpoint(
        "POST",
        "/models/{key}/snapshot",
        "take_snapshot",
        "Take a snapshot of a model.",
        _take,
        documents.JobDocument,
        body=TakeSnapshot,
        status=202,
    ),
    Endpoint(
        "PUT",
        "/models/{key}/watch",
        "switch_watch",
        "Switch automatic snapshots of a model on or off.",
        lambda call: taking.switch_watch(call.panel, model_key(call), call.body.on),
        documents.WatchDocument,
        body=SwitchWatch,
    ),
    Endpoint(
        "GET",
        "/models/{key}/undo",
        "plan_undo",
        "What going back to before the last restore would do.",
        _plan_undo,
        documents.RestorePlanDocument,
    ),
    Endpoint(
        "POST",
        "/models/{key}/undo",
        "undo",
        "Go back to before the last restore.",
        lambda call: restoring.undo(call.panel, model_key(call)),
        documents.JobDocument,
        status=202,
    ),
    Endpoint(
        "POST",
        "/models/{key}/health",
        "examine_model",
        "Examine the health of a live model.",
        lambda call: checking.examine(call.panel, model_key(call)),
        documents.JobDocument,
        status=202,
    ),
)
