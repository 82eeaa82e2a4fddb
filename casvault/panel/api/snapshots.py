"""Snapshots over HTTP: lists, details, pictures; restoring, editing, deleting, comparing."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from casvault.api import Head
from casvault.errors import NotFound
from casvault.panel.api import documents
from casvault.panel.api.endpoint import Call, Endpoint
from casvault.panel.api.models import Name, Notes, Points, losses_of
from casvault.panel.given import Given
from casvault.panel.operations import checking, keeping, restoring

__all__ = ["ENDPOINTS", "picture", "snapshot_id"]

ID_PATTERN = r"^[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[0-9a-f]{6}$"
_ID = re.compile(ID_PATTERN[1:-1])
_FOREVER = "private, max-age=31536000, immutable"

Id = Annotated[str, msgspec.Meta(pattern=ID_PATTERN)]
Key = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=50)]


class Which(Given):
    """Which snapshots: of one model, by its key; those that were deleted and can come back."""

    model: Key | None = None
    deleted: bool = False


class Several(Given):
    """Snapshots, by their ids; with ``dry_run`` nothing is changed."""

    ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=10_000)]
    dry_run: bool = False


class Edit(Given):
    """What to write about a snapshot; what is not there, or null, stays as it is; an empty text takes it away."""

    name: Name | None = None
    notes: Notes | None = None
    pinned: bool | None = None
    tag: Annotated[tuple[Tag, ...], msgspec.Meta(max_length=50)] = ()
    untag: Annotated[tuple[Tag, ...], msgspec.Meta(max_length=50)] = ()


class HowPlanned(Given):
    """Whether a snapshot that holds an incomplete save is restored all the same."""

    allow_incomplete: bool = False


class HowRestored(HowPlanned):
    """How to restore: without ``backup`` what is there now is lost."""

    backup: bool = True


class Pair(Given):
    """What to compare: ids of snapshots, or keys of live models."""

    a: Annotated[str, msgspec.Meta(max_length=27)]
    b: Annotated[str, msgspec.Meta(max_length=27)]


def snapshot_id(call: Call) -> str:
    """Return the id in the path of a request; raises NotFound."""
    id = call.parts["id"]
    if _ID.fullmatch(id) is None:
        raise NotFound("there is no such snapshot.")
    return id


def head_document(call: Call, head: Head) -> dict[str, Any]:
    """Return a head as a document."""
    return {**head.to_json(), "model_key": call.panel.desk.key_of_head(head)}


def _list(call: Call) -> dict[str, Any]:
    desk = call.panel.desk
    heads = desk.vault.snapshots(deleted=call.query.deleted)
    chosen = [head for head in heads if call.query.model in (None, desk.key_of_head(head))]
    return {"snapshots": [head_document(call, head) for head in reversed(chosen)]}


def _show(call: Call) -> dict[str, Any]:
    vault = call.panel.vault
    head = vault.find(snapshot_id(call))
    manifest = vault.show(head.id)
    files = [{"path": f.path, "role": f.role, "size": f.size, "digest": f.digest} for f in manifest.files]
    return {**head_document(call, head), "files": files, "stored_bytes": vault.stored_size(manifest)}


def picture(call: Call) -> Response:
    """Answer with the picture of a snapshot, which never changes."""
    vault, id = call.panel.vault, snapshot_id(call)
    tag = f'"{id}"'
    manifest = vault.show(id)
    if manifest.preview is None:
        raise NotFound("this snapshot has no picture.")
    headers = {"ETag": tag, "Cache-Control": _FOREVER}
    if call.request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(vault.preview(id) or b"", media_type=manifest.preview.media_type, headers=headers)


def _plan_restore(call: Call) -> dict[str, Any]:
    plan = restoring.plan_restore(call.panel, snapshot_id(call), allow_incomplete=call.query.allow_incomplete)
    return {**plan.to_json(), "nothing_to_do": plan.nothing_to_do, "staged_bytes": plan.staged_bytes}


def _restore(call: Call) -> Any:
    body = call.body
    return restoring.restore(call.panel, snapshot_id(call), backup=body.backup, allow_incomplete=body.allow_incomplete)


def _edit(call: Call) -> dict[str, Any]:
    body = call.body
    head = keeping.edit(
        call.panel,
        snapshot_id(call),
        name=body.name,
        notes=body.notes,
        pinned=body.pinned,
        tag=body.tag,
        untag=body.untag,
    )
    return head_document(call, head)


def _delete(call: Call) -> dict[str, Any]:
    ids, dry = call.body.ids, call.body.dry_run
    result = call.panel.vault.plan_delete(*ids) if dry else keeping.delete(call.panel, ids)
    return {**result.to_json(), "dry_run": dry}


def _thin(call: Call) -> dict[str, Any]:
    ids, dry = call.body.ids, call.body.dry_run
    result = call.panel.vault.plan_thin(*ids) if dry else keeping.thin(call.panel, ids)
    return {**result.to_json(), "dry_run": dry}


ENDPOINTS = (
    Endpoint("GET", "/snapshots", "snapshots", "All snapshots.", _list, documents.SnapshotsDocument, query=Which),
    Endpoint("GET", "/snapshots/{id}", "snapshot", "One snapshot with its files.", _show, documents.WholeSnapshot),
    Endpoint(
        "PATCH",
        "/snapshots/{id}",
        "edit_snapshot",
        "Change a snapshot's name, notes, tags or pin.",
        _edit,
        documents.SnapshotDocument,
        body=Edit,
    ),
    Endpoint(
        "GET",
        "/snapshots/{id}/picture",
        "picture",
        "The picture of a snapshot.",
        picture,
        None,
        media=("image/jpeg", "image/png"),
    ),
    Endpoint(
        "GET",
        "/snapshots/{id}/losses",
        "losses_of_snapshot",
        "The losses that a snapshot holds.",
        lambda call: losses_of(call, snapshot_id(call)),
        documents.Losses,
        query=Points,
    ),
    Endpoint(
        "GET",
        "/snapshots/{id}/restore",
        "plan_restore",
        "What restoring a snapshot would do.",
        _plan_restore,
        documents.RestorePlanDocument,
        query=HowPlanned,
    ),
    Endpoint(
        "POST",
        "/snapshots/{id}/restore",
        "restore",
        "Bring a snapshot back to where its model was.",
        _restore,
        documents.JobDocument,
        body=HowRestored,
        status=202,
    ),
    Endpoint(
        "POST",
        "/snapshots/{id}/health",
        "examine_snapshot",
        "Examine the health of a snapshot.",
        lambda call: checking.examine(call.panel, snapshot_id(call)),
        documents.JobDocument,
        status=202,
    ),
    Endpoint(
        "POST",
        "/snapshots/{id}/undelete",
        "undelete",
        "Bring a deleted snapshot back.",
        lambda call: head_document(call, keeping.undelete(call.panel, snapshot_id(call))),
        documents.SnapshotDocument,
    ),
    Endpoint(
        "POST",
        "/snapshots/{id}/unthin",
        "unthin",
        "Let a snapshot have its optimizers back.",
        lambda call: head_document(call, keeping.unthin(call.panel, snapshot_id(call))),
        documents.SnapshotDocument,
    ),
    Endpoint(
        "POST",
        "/delete",
        "delete",
        "Delete snapshots; until gc they can be brought back.",
        _delete,
        documents.Deleted,
        body=Several,
    ),
    Endpoint(
        "POST", "/thin", "thin", "Let snapshots give up their optimizers.", _thin, documents.Thinned, body=Several
    ),
    Endpoint(
        "POST",
        "/diff",
        "diff",
        "Compare two snapshots, or a snapshot with a live model.",
        lambda call: checking.diff(call.panel, call.body.a, call.body.b),
        documents.JobDocument,
        body=Pair,
        status=202,
    ),
)
