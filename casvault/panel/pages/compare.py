"""Comparing two saves: their pictures beside each other, losses, options, and the tensors that moved most.

The comparison itself reads both saves, so it is a job. What it found of two snapshots holds for ever, and is shown
again without another one as long as the panel remembers it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from casvault.api import Diff, Head
from casvault.errors import CasvaultError, NotFound
from casvault.figures import age, iteration, size
from casvault.panel.given import Given, takes
from casvault.panel.jobs import Job
from casvault.panel.operations import checking
from casvault.panel.pages.card import Mark, card_of, losses_of, title_of
from casvault.panel.pages.differences import differences_of
from casvault.panel.pages.subjects import Subject, is_live, live_subjects, stored_subjects, subject_of
from casvault.panel.panel import Panel, panel_of
from casvault.panel.render import page
from casvault.panel.words import exact, moment_of

__all__ = ["ROUTES"]

_NOW = "As it is now"


class _Pair(Given):
    a: str
    b: str


@dataclass(frozen=True)
class Side:
    """One of the two in words; ``find`` is the id of the snapshot that a link leads to, empty of a live model."""

    key: str
    title: str
    model: str
    iteration: str
    losses: tuple[tuple[str, str], ...]
    moment: str
    exact: str
    age: str
    size: str
    picture: str
    marks: tuple[Mark, ...]
    notes: str
    find: str
    live: bool


def compare(request: Request) -> Response:
    """Answer with both sides, and with what differs where that is known already."""
    panel = panel_of(request)
    heads = panel.vault.snapshots() if panel.desk.has_vault else []
    live = live_subjects(panel)
    groups = [("Live models", live)] if live else []
    for name in dict.fromkeys(head.model_name for head in reversed(heads)):
        groups.append((name, stored_subjects([head for head in heads if head.model_name == name])))
    a, b, trouble = _chosen(panel, request, heads, live)
    sides = [side_of(panel, one) for one in (a, b)] if a is not None and b is not None else []
    job = _known(panel, a.key, b.key) if a is not None and b is not None else None
    found = differences_of(job.result) if job is not None and job.state == "done" else None
    return page(
        request,
        "compare.html",
        groups=groups,
        a=a.key if a is not None else "",
        b=b.key if b is not None else "",
        sides=sides,
        few=len(heads) + len(live) < 2,
        alone=len(heads) == 1,
        trouble=trouble,
        found=found,
        command=job.subject.command if job is not None else "",
        history=_history(a, b),
    )


@takes(_Pair)
def begin(request: Request, form: _Pair) -> Response:
    """Begin to compare; answer with how far that is."""
    panel = panel_of(request)
    job = _known(panel, form.a, form.b) or checking.diff(panel, form.a, form.b)
    return _shown(request, job)


def result(request: Request) -> Response:
    """Answer with what a comparison found, or how far it is."""
    job = panel_of(request).jobs.get(request.path_params["id"])
    if job.subject.kind != "diff":
        raise NotFound("that is no comparison.")
    return _shown(request, job)


def side_of(panel: Panel, subject: Subject) -> Side:
    """Return a snapshot or a live model in words."""
    if subject.head is None:
        return _live_side(panel, subject)
    card = card_of(subject.head)
    return Side(
        card.id, card.title, card.model, card.iteration, card.losses, card.moment, card.exact, card.age, card.size,
        card.picture, card.marks, card.notes, card.id, False,
    )  # fmt: skip


def _live_side(panel: Panel, subject: Subject) -> Side:
    try:
        status = panel.desk.status(subject.key)
    except CasvaultError as error:
        return Side(subject.key, _NOW, subject.model, "", (), "", "", "", "", "", (), str(error), "", True)
    moment = moment_of(status.saved_at) if status.saved_at is not None else None
    like = status.equals
    return Side(
        key=subject.key,
        title=_NOW,
        model=subject.model,
        iteration=iteration(status.iteration) if status.iteration is not None else "",
        losses=losses_of(status.loss),
        moment=moment.isoformat() if moment else "",
        exact=exact(moment) if moment else "",
        age=age(moment) if moment else "",
        size=size(status.size),
        picture=card_of(like).picture if like is not None else "",
        marks=(),
        notes=f"Equals {title_of(like)}" if like is not None else "",
        find=like.id if like is not None else "",
        live=True,
    )


def _chosen(
    panel: Panel, request: Request, heads: Sequence[Head], live: Sequence[Subject]
) -> tuple[Subject | None, Subject | None, str]:
    """Return what an address names, else what somebody most likely wants: the newest snapshot and the one before."""
    names = [request.query_params.get(name, "") for name in ("a", "b")]
    found: list[Subject | None] = []
    trouble = ""
    for name in names:
        try:
            found.append(subject_of(panel, name) if name else None)
        except CasvaultError as error:
            found.append(None)
            trouble = str(error)
    a, b = found
    if a is None and b is None and not trouble:
        newest = heads[-1] if heads else None
        b = subject_of(panel, newest.id) if newest is not None else None
    if a is None and b is not None:
        a = _partner(b, heads, live, before=True)
    if b is None and a is not None:
        b = _partner(a, heads, live, before=False)
    if a is not None and b is not None and not any(names) and a.head is None:
        a, b = b, a
    return a, b, trouble


def _partner(one: Subject, heads: Sequence[Head], live: Sequence[Subject], *, before: bool) -> Subject | None:
    """Return what to compare with: the next snapshot of the same model, else the live model, else anything."""
    mine = [subject for subject in stored_subjects(heads) if subject.model == one.model]
    keys = [subject.key for subject in mine]
    at = keys.index(one.key) if one.key in keys else -1
    order = mine[at + 1 :] if before else list(reversed(mine[: max(at, 0)]))
    order += [subject for subject in live if subject.model == one.model]
    order += [*mine, *stored_subjects(heads), *live]
    return next((subject for subject in order if subject.key != one.key), None)


def _history(a: Subject | None, b: Subject | None) -> str:
    """Return whose history leads through both, most likely: the live model's, else that of what is further on."""
    if a is None or b is None or a.model != b.model:
        return ""
    live = next((one.key for one in (b, a) if one.head is None), None)
    if live is not None:
        return live
    assert a.head is not None
    assert b.head is not None
    return a.key if (a.head.iteration or 0) > (b.head.iteration or 0) else b.key


def _known(panel: Panel, a: str, b: str) -> Job | None:
    """Return the job that compared these two, or does: of live models only one that is under way."""
    if is_live(a) or is_live(b):
        return None
    return next(
        (
            job
            for job in panel.jobs.all()
            if job.subject.kind == "diff" and job.state in ("running", "done") and _pair(job) == (a, b)
        ),
        None,
    )


def _pair(job: Job) -> tuple[str, str] | None:
    words = (job.subject.command or "").split()
    return (words[-2], words[-1]) if len(words) > 1 else None


def _shown(request: Request, job: Job) -> Response:
    if job.running or job.error is not None:
        return page(request, "comparing.html", job=job.to_json())
    assert isinstance(job.result, Diff)
    return page(request, "differences.html", found=differences_of(job.result), command=job.subject.command)


ROUTES: list[BaseRoute] = [
    Route("/compare", compare),
    Route("/compare/differences", begin, methods=["POST"]),
    Route("/compare/differences/{id}", result),
]
