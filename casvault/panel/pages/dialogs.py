"""The dialogs: creating, restoring, undoing, editing, deleting. Each is a fragment, and what its form sends comes here.

A form that is refused is answered with an error, and the page shows that above the form, which stays as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from casvault.api import Head, RestorePlan
from casvault.errors import CasvaultError, TrainerRunning, UsageError
from casvault.figures import age, size
from casvault.panel.given import Given, takes
from casvault.panel.operations import keeping, restoring, taking
from casvault.panel.pages.card import card_of, title_of
from casvault.panel.pages.work import job_page
from casvault.panel.panel import Panel, panel_of
from casvault.panel.render import page
from casvault.panel.words import moment_of, plural

__all__ = ["ROUTES"]


class _Create(Given):
    model: str
    name: str = ""
    notes: str = ""
    when: str = "now"
    incomplete: bool = False


class _Restore(Given):
    incomplete: bool = False
    unkept: bool = False


class _Model(Given):
    model: str


class _Edit(Given):
    name: str = ""
    notes: str = ""
    tags: str = ""
    pinned: bool = False


class _Ids(Given):
    ids: list[str]


class _Pin(Given):
    pinned: bool


@dataclass(frozen=True)
class Plan:
    """What a restore would do, in words. ``refusal`` says why it cannot be done now, ``kept`` where what is there is
    kept.
    """

    head: Head
    place: str
    changes: tuple[tuple[str, str, str], ...]
    summary: str
    kept: str
    refusal: str
    nothing_to_do: bool


def create(request: Request) -> Response:
    """Answer with the dialog that creates a snapshot."""
    panel = panel_of(request)
    key = request.query_params.get("model", "")
    model = panel.desk.model(key)
    told: dict[str, Any] = {"saved": "", "incomplete": "", "training": False, "equals": None}
    if panel.desk.has_vault:
        status = panel.desk.status(key)
        told["saved"] = f"saved {age(moment_of(status.saved_at))}" if status.saved_at else ""
        if status.iteration is not None:
            told["saved"] = ", ".join(filter(None, [f"iteration {status.iteration:,}", told["saved"]]))
        told.update(incomplete=status.incomplete or "", training=bool(status.trainers), equals=status.equals)
        told["equals"] = title_of(status.equals) if status.equals is not None else ""
    return page(request, "dialogs/create.html", key=key, model=model, **told)


@takes(_Create)
def created(request: Request, form: _Create) -> Response:
    """Begin to create a snapshot, in a new vault if there is none; answer with how far that is."""
    panel = panel_of(request)
    if form.when not in ("now", "next"):
        raise UsageError("a snapshot is created now or at the next save.")
    panel.desk.model(form.model)
    if not panel.desk.has_vault:
        taking.make_vault(panel)
    job = taking.snapshot(
        panel,
        form.model,
        name=form.name.strip() or None,
        notes=form.notes.strip() or None,
        next_save=form.when == "next",
        allow_incomplete=form.incomplete,
    )
    return job_page(request, job, "Creating a snapshot")


def restore(request: Request) -> Response:
    """Answer with the dialog that restores a snapshot."""
    panel = panel_of(request)
    head = panel.vault.find(request.path_params["id"])
    incomplete = request.query_params.get("incomplete") == "true"
    if head.incomplete and not incomplete:
        return page(request, "dialogs/incomplete.html", card=card_of(head))
    plan = _told(panel, restoring.plan_restore(panel, head.id, allow_incomplete=incomplete))
    return page(
        request,
        "dialogs/restore.html",
        card=card_of(head),
        plan=plan,
        incomplete=incomplete,
        send=f"/dialogs/restore/{head.id}",
        title="Restore this snapshot?",
        verb="Restore",
        again=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
    )


@takes(_Restore)
def restored(request: Request, form: _Restore) -> Response:
    """Begin to restore; answer with how far that is."""
    panel = panel_of(request)
    job = restoring.restore(panel, request.path_params["id"], backup=not form.unkept, allow_incomplete=form.incomplete)
    return job_page(request, job, "Restoring")


def undo(request: Request) -> Response:
    """Answer with the dialog that undoes the last restore of a model."""
    panel = panel_of(request)
    key = request.query_params.get("model", "")
    plan = restoring.plan_undo(panel, key)
    return page(
        request,
        "dialogs/restore.html",
        card=card_of(plan.head),
        plan=_told(panel, plan),
        incomplete=False,
        send="/dialogs/undo",
        model=key,
        title="Undo the last restore?",
        verb="Undo restore",
        again=request.url.path + f"?{request.url.query}",
    )


@takes(_Model)
def undone(request: Request, form: _Model) -> Response:
    """Begin to undo; answer with how far that is."""
    return job_page(request, restoring.undo(panel_of(request), form.model), "Undoing the restore")


def edit(request: Request) -> Response:
    """Answer with the dialog that edits what is written about a snapshot."""
    head = panel_of(request).vault.find(request.path_params["id"])
    return page(request, "dialogs/edit.html", card=card_of(head), label=head.label)


@takes(_Edit)
def edited(request: Request, form: _Edit) -> Response:
    """Write a new label; answer that it is done."""
    panel = panel_of(request)
    head = panel.vault.find(request.path_params["id"])
    tags = dict.fromkeys(tag.strip().lstrip("#") for tag in form.tags.replace(",", " ").split())
    keeping.edit(
        panel,
        head.id,
        name=form.name.strip(),
        notes=form.notes.replace("\r\n", "\n").strip(),
        pinned=form.pinned,
        tag=[tag for tag in tags if tag not in head.label.tags],
        untag=[tag for tag in head.label.tags if tag not in tags],
    )
    return page(request, "dialogs/done.html", told="Saved.", undo="", ids=[])


@takes(_Pin)
def pinned(request: Request, form: _Pin) -> Response:
    """Pin a snapshot, or let go of it."""
    head = keeping.edit(panel_of(request), request.path_params["id"], pinned=form.pinned)
    state = "is pinned: nothing cleans it up." if form.pinned else "is not pinned any more."
    return page(request, "dialogs/done.html", told=f"{title_of(head)} {state}", undo="", ids=[])


def delete(request: Request) -> Response:
    """Answer with the dialog that deletes snapshots, and what that frees."""
    panel = panel_of(request)
    ids = request.query_params.getlist("id")
    if not ids:
        raise UsageError("say which snapshots to delete.")
    heads = [panel.vault.find(id) for id in ids]
    kept = [head for head in heads if head.label.pinned]
    going = [head for head in heads if not head.label.pinned]
    plan = panel.vault.plan_delete(*(head.id for head in going)) if going else None
    return page(
        request,
        "dialogs/delete.html",
        cards=[card_of(head) for head in going],
        kept=[card_of(head) for head in kept],
        frees=_frees(plan.frees_bytes if plan is not None else 0),
        leaned=size(plan.leaned_bytes) if plan is not None and plan.leaned_bytes else "",
        what=title_of(going[0]) if len(going) == 1 else plural(len(going)),
    )


@takes(_Ids)
def deleted(request: Request, form: _Ids) -> Response:
    """Delete snapshots; answer that it is done, with the way back."""
    result = keeping.delete(panel_of(request), form.ids)
    what = title_of(result.heads[0]) if len(result.heads) == 1 else plural(len(form.ids))
    told = f"Deleted {what}. gc frees {_frees(result.frees_bytes)} for it."
    return page(request, "dialogs/done.html", told=told, undo="undelete", ids=form.ids)


@takes(_Ids)
def undeleted(request: Request, form: _Ids) -> Response:
    """Bring deleted snapshots back; answer that it is done."""
    heads = [keeping.undelete(panel_of(request), id) for id in form.ids]
    what = title_of(heads[0]) if len(heads) == 1 else plural(len(heads))
    return page(request, "dialogs/done.html", told=f"Brought {what} back.", undo="", ids=[])


def _frees(number: int | None) -> str:
    return "what cannot be told while a manifest is damaged" if number is None else size(number)


def _told(panel: Panel, plan: RestorePlan) -> Plan:
    verbs = {"add": "add", "replace": "replace", "remove": "remove", "keep": "keep"}
    changes = tuple((verbs[one.action], one.path, size(one.size)) for one in plan.changes)
    counts = {action: sum(one.action == action for one in plan.changes) for action in verbs}
    parts = [f"{plural(count, 'file')} {done}" for action, done in _DONE if (count := counts[action])]
    return Plan(
        head=plan.head,
        place=str(Path(plan.folder) / plan.live.name),
        changes=changes,
        summary=f"{', '.join(parts)}; {size(plan.staged_bytes)} to write",
        kept=_kept(panel, plan),
        refusal=_refusal(plan),
        nothing_to_do=plan.nothing_to_do,
    )


_DONE = (("replace", "replaced"), ("add", "added"), ("remove", "removed"), ("keep", "right already"))


def _kept(panel: Panel, plan: RestorePlan) -> str:
    """Say where what is in place now is kept."""
    if not plan.live.files:
        return "Nothing is in its place now, so there is nothing to back up."
    try:
        equals = panel.vault.status(plan.live).equals
    except CasvaultError:
        equals = None
    if equals is not None:
        return f"What is there now is kept already, as “{title_of(equals)}”: no backup has to be stored."
    return "What is there now is backed up first, as a snapshot of its own. Undo brings it back."


def _refusal(plan: RestorePlan) -> str:
    try:
        plan.check_not_trained()
    except TrainerRunning:
        return "; ".join(map(str, plan.trainers))
    return ""


def _routes(path: str, show: Any, done: Any) -> list[BaseRoute]:
    return [Route(path, show), Route(path, done, methods=["POST"])]


ROUTES: list[BaseRoute] = [
    *_routes("/dialogs/create", create, created),
    *_routes("/dialogs/restore/{id}", restore, restored),
    *_routes("/dialogs/undo", undo, undone),
    *_routes("/dialogs/edit/{id}", edit, edited),
    *_routes("/dialogs/delete", delete, deleted),
    Route("/snapshots/{id}/pin", pinned, methods=["POST"]),
    Route("/snapshots/undelete", undeleted, methods=["POST"]),
]
