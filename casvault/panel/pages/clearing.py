"""The dialogs of the storage page: freeing space, pruning, thinning, verifying; each shows first what it would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from casvault.api import Head, PrunePlan, Rules, ThinResult
from casvault.errors import CasvaultError, UsageError
from casvault.figures import size
from casvault.panel.given import Given, parse_query, takes
from casvault.panel.operations import checking, keeping
from casvault.panel.pages.card import Card, card_of, title_of
from casvault.panel.pages.work import job_page
from casvault.panel.panel import Panel, panel_of
from casvault.panel.render import page
from casvault.panel.words import plural

__all__ = ["ROUTES"]

_SHARES = {"sample": 0.05, "fifth": 0.2}
_MOST = 300
"""Verdicts that a preview lists; those that go come first."""
_WHY = {
    "pinned": "pinned",
    "manual": "taken by people",
    "newest": "the newest that is whole",
    "recent backup": "a recent backup",
    "damaged label": "its label cannot be read",
    "undo": "undo goes back to it",
    "fits": "there is room",
    "last": "among the newest",
    "every": "one for so many iterations",
    "hourly": "of its hour",
    "daily": "of its day",
    "weekly": "of its week",
    "best": "among the best",
    "log": "early ones thin out",
    "within": "recent enough",
}


class _Gc(Given):
    recode: bool = False


class _Verify(Given):
    how: str = "quick"


class _Rules(Given):
    model: str = ""
    last: int | None = None
    every: int | None = None
    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None
    best: int | None = None
    log: bool = False
    days: int | None = None
    gigabytes: float | None = None
    manual: bool = False
    given: str = ""


class _Thin(Given):
    ids: list[str] = []  # noqa: RUF012
    days: int | None = None
    keep: int | None = None


class _Ids(Given):
    ids: list[str]


@dataclass(frozen=True)
class Verdict:
    """What becomes of one snapshot, and why, in words."""

    card: Card
    stays: bool
    why: str


def gc(request: Request) -> Response:
    """Answer with what freeing space would free, and what it takes away for good."""
    panel = panel_of(request)
    plan = panel.vault.gc(dry_run=True)
    forgotten = set(plan.forgotten_snapshots)
    gone = [card_of(head) for head in panel.vault.snapshots(deleted=True) if head.id in forgotten]
    return page(
        request,
        "dialogs/gc.html",
        plan=plan,
        gone=gone,
        unnamed=len(forgotten) - len(gone),
        nothing=not (plan.deleted_objects or plan.freed_bytes or forgotten or plan.base_bytes),
    )


@takes(_Gc)
def collected(request: Request, form: _Gc) -> Response:
    """Begin to free space; answer with how far that is."""
    return job_page(request, keeping.gc(panel_of(request)), "Freeing space")


def verify(request: Request) -> Response:
    """Answer with the ways to check the vault."""
    panel = panel_of(request)
    return page(request, "dialogs/verify.html", stored=panel.desk.usage().vault.stored_bytes, shares=_SHARES)


@takes(_Verify)
def verified(request: Request, form: _Verify) -> Response:
    """Begin to check; answer with how far that is."""
    if form.how not in ("quick", "all", *_SHARES):
        raise UsageError("there is no such way to check.")
    job = checking.verify(panel_of(request), read_data=form.how == "all", sample=_SHARES.get(form.how))
    return job_page(request, job, "Verifying")


def prune(request: Request) -> Response:
    """Answer with the rules of retention; the preview comes by itself."""
    panel = panel_of(request)
    names = sorted({head.model_name for head in panel.vault.snapshots()})
    manual = sum(head.kind == "manual" for head in panel.vault.snapshots())
    return page(request, "dialogs/prune.html", models=names, manual=manual)


@takes(_Rules)
def prune_plan(request: Request, form: _Rules) -> Response:
    """Answer with what pruning by these rules would do."""
    try:
        plan = _plan(panel_of(request), form)
    except UsageError as error:
        return page(request, "dialogs/prune_plan.html", plan=None, why=str(error))
    verdicts = _verdicts(plan)
    return page(
        request,
        "dialogs/prune_plan.html",
        plan=plan,
        why="",
        verdicts=verdicts[:_MOST],
        left_out=len(verdicts) - len(verdicts[:_MOST]),
        goes=len(plan.goes),
        count=plural(len(plan.verdicts)),
        manual=sum("manual" in verdict.reasons for verdict in plan.verdicts),
        ids=" ".join(plan.goes),
    )


@takes(_Rules)
def pruned(request: Request, form: _Rules) -> Response:
    """Prune, if that is still what was shown; answer that it is done, with the way back."""
    panel = panel_of(request)
    rules = _rules(form)
    goes = _plan(panel, form).goes
    if " ".join(goes) != form.given:
        raise UsageError("the snapshots changed since this was shown; look at what goes now, and prune again.")
    plan = keeping.prune(panel, rules, model=form.model or None, include_manual=form.manual)
    told = f"Deleted {plural(len(plan.goes))}. gc frees {size(plan.frees_bytes)} for it."
    return page(request, "dialogs/done.html", told=told, undo="undelete", ids=list(plan.goes))


def thin(request: Request) -> Response:
    """Answer with what thinning these snapshots, or all that are old enough, would do."""
    panel = panel_of(request)
    ids = request.query_params.getlist("id")
    given = {name: value for name, value in request.query_params.items() if name != "id" and value}
    wanted = parse_query(given, _Thin)
    days = 30 if wanted.days is None else wanted.days
    keep = 3 if wanted.keep is None else wanted.keep
    by_age = not ids
    if by_age:
        ids = _old(panel, days, keep)
    plan, wrong, refused = _thinning(panel, ids)
    heads = list(plan.heads) if plan is not None else []
    return page(
        request,
        "dialogs/thin.html",
        by_age=by_age,
        days=days,
        keep=keep,
        cards=[card_of(head) for head in heads],
        frees=size(plan.frees_bytes) if plan is not None else "",
        leaned=size(plan.leaned_bytes) if plan is not None and plan.leaned_bytes else "",
        wrong=wrong,
        refused=refused,
    )


@takes(_Ids)
def thinned(request: Request, form: _Ids) -> Response:
    """Thin snapshots; answer that it is done, with the way back."""
    if not form.ids:
        raise UsageError("say which snapshots are to be thinned.")
    result = keeping.thin(panel_of(request), form.ids)
    told = f"Thinned {_called(result.heads)}. gc frees {size(result.frees_bytes)} for it."
    return page(request, "dialogs/thinned.html", told=told, ids=[head.id for head in result.heads])


@takes(_Ids)
def unthinned(request: Request, form: _Ids) -> Response:
    """Give snapshots their optimizers back; answer that it is done."""
    heads = [keeping.unthin(panel_of(request), id) for id in form.ids]
    return page(request, "dialogs/done.html", told=f"{_called(heads)} whole again.", undo="", ids=[])


def _old(panel: Panel, days: int, keep: int) -> list[str]:
    if days < 0 or days > 36500:
        raise UsageError("say a number of days from 0 on.")
    return panel.vault.old_snapshots(timedelta(days=days), keep)


def _thinning(panel: Panel, ids: Sequence[str]) -> tuple[ThinResult | None, str, list[tuple[str, str]]]:
    """Return the plan for those of ``ids`` that can be thinned, and the others with the reason of each."""
    if not ids:
        return None, "", []
    try:
        return panel.vault.plan_thin(*ids), "", []
    except UsageError:
        fine, refused = [], []
        for id in ids:
            try:
                panel.vault.plan_thin(id)
            except UsageError as error:
                refused.append((id, str(error)))
            else:
                fine.append(id)
        return (panel.vault.plan_thin(*fine) if fine else None), "", refused
    except CasvaultError as error:
        return None, str(error), []


def _rules(form: _Rules) -> Rules:
    counts = [form.last, form.every, form.hourly, form.daily, form.weekly, form.best, form.days]
    if any(number is not None and not 0 <= number < 10**9 for number in counts):
        raise UsageError("a rule keeps 0 or more.")
    # NaN is in no order with anything.
    if form.gigabytes is not None and not 0 < form.gigabytes < 1e9:
        raise UsageError("a ceiling is some gigabytes above 0.")
    ceiling = None if form.gigabytes is None else max(1, int(form.gigabytes * 1e9))
    return keeping.rules_of(
        last=form.last or 0,
        every_iterations=form.every or 0,
        hourly=form.hourly or 0,
        daily=form.daily or 0,
        weekly=form.weekly or 0,
        best=form.best or 0,
        log=form.log,
        within_hours=form.days * 24 if form.days else None,
        max_bytes=ceiling,
    )


def _plan(panel: Panel, form: _Rules) -> PrunePlan:
    counts = (form.last, form.every, form.hourly, form.daily, form.weekly, form.best, form.days, form.gigabytes)
    if not any(counts) and not form.log:
        raise UsageError("say above what is to be kept: without any rule all snapshots would go.")
    return panel.vault.plan_prune(_rules(form), model=form.model or None, include_manual=form.manual)


def _verdicts(plan: PrunePlan) -> list[Verdict]:
    """Return what goes, then what stays, each the newest first."""
    told = [
        Verdict(
            card_of(one.head),
            one.stays,
            "over the ceiling"
            if one.over
            else ", ".join(_WHY.get(reason, reason) for reason in one.reasons) or "no rule keeps it",
        )
        for one in reversed(plan.verdicts)
    ]
    return sorted(told, key=lambda verdict: verdict.stays)


def _called(heads: Sequence[Head]) -> str:
    return title_of(heads[0]) if len(heads) == 1 else plural(len(heads))


ROUTES: list[BaseRoute] = [
    Route("/dialogs/gc", gc),
    Route("/dialogs/gc", collected, methods=["POST"]),
    Route("/dialogs/verify", verify),
    Route("/dialogs/verify", verified, methods=["POST"]),
    Route("/dialogs/prune", prune),
    Route("/dialogs/prune", pruned, methods=["POST"]),
    Route("/dialogs/prune/plan", prune_plan, methods=["POST"]),
    Route("/dialogs/thin", thin),
    Route("/dialogs/thin", thinned, methods=["POST"]),
    Route("/storage/unthin", unthinned, methods=["POST"]),
]
