"""Live models: how what is in place stands to its snapshots, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from casvault.api import Head, Model, Status, Vault
from casvault.errors import CasvaultError
from casvault.figures import age, size
from casvault.panel.pages.card import Mark, losses_of, title_of
from casvault.panel.pages.first import Found, found
from casvault.panel.panel import Panel
from casvault.panel.words import exact, moment_of

__all__ = ["Finding", "Live", "Standing", "live_models", "standing_of", "strangers"]


@dataclass(frozen=True)
class Standing:
    """How a model stands to its snapshots: a sentence, which may end with the ``title`` of the snapshot ``id``."""

    text: str
    sign: str
    look: str = ""
    title: str = ""
    id: str = ""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a model, or may be."""

    text: str
    look: str
    sign: str


@dataclass(frozen=True)
class Live:
    """A live model in words. ``broken`` says why nothing can be told of it; ``undo`` what undo would bring back."""

    key: str
    name: str
    type: str
    folder: str
    marks: tuple[Mark, ...]
    training: bool
    state: str
    trainer: str
    iteration: str
    losses: tuple[tuple[str, str], ...]
    moment: str
    exact: str
    age: str
    size: str
    standing: Standing
    findings: tuple[Finding, ...]
    picture: str
    watched: bool
    undo: str
    broken: str = ""


def live_models(panel: Panel, models: Mapping[str, Model], heads: Sequence[Head]) -> list[Live]:
    """Return those of ``models``, by their keys, that have snapshots among ``heads``; where none has, all."""
    places = {(head.model_name, head.source) for head in heads}
    titles = {head.id: title_of(head) for head in heads}
    known = {key: model for key, model in models.items() if _place(panel.vault, model) in places}
    return [_live(panel, key, model, titles) for key, model in (known or models).items()]


def strangers(models: Mapping[str, Model], lives: Sequence[Live]) -> list[Found]:
    """Return those of ``models`` that are not among the live ones: they lie near by and have no snapshot yet."""
    shown = {live.key for live in lives}
    return [found(key, model) for key, model in models.items() if key not in shown]


def _place(vault: Vault, model: Model) -> tuple[str, str]:
    return model.name, vault.source_of(model.folder)


def _live(panel: Panel, key: str, model: Model, titles: Mapping[str, str]) -> Live:
    try:
        status = panel.desk.status(key)
    except CasvaultError as error:
        return _unreadable(panel, key, model, str(error))
    moment = moment_of(status.saved_at) if status.saved_at is not None else None
    state, trainer = _training(status)
    return Live(
        key=key,
        name=model.name,
        type=model.type or "",
        folder=str(model.folder),
        marks=_marks(status),
        training=bool(status.trainers),
        state=state,
        trainer=trainer,
        iteration=f"{status.iteration:,}" if status.iteration is not None else "unknown",
        losses=losses_of(status.loss),
        moment=moment.isoformat() if moment else "",
        exact=exact(moment) if moment else "",
        age=age(moment) if moment else "",
        size=size(status.size),
        standing=standing_of(status),
        findings=_findings(status),
        picture=_picture(status.equals or status.newest),
        watched=panel.watches.is_on(key),
        undo=_undo(panel.vault, model, status, titles),
    )


def _unreadable(panel: Panel, key: str, model: Model, why: str) -> Live:
    standing = Standing("It can still be restored from its snapshots", "info")
    return Live(
        key, model.name, model.type or "", str(model.folder), (), False, "", "", "", (), "", "", "", "", standing, (),
        "", panel.watches.is_on(key), "", why,
    )  # fmt: skip


def _training(status: Status) -> tuple[str, str]:
    if status.trainers is None:
        return "Whether it trains is not known", ""
    if not status.trainers:
        return "Not training", ""
    paused = all(trainer.paused for trainer in status.trainers)
    return ("Training is paused" if paused else "Training"), "\n".join(map(str, status.trainers))


def _marks(status: Status) -> tuple[Mark, ...]:
    if status.incomplete:
        return (Mark("Not a whole save", "badge-warn", "warn", status.incomplete),)
    if status.problems:
        return (Mark("Broken", "badge-bad", "bad", " ".join(status.problems)),)
    if status.doubts:
        return (Mark("Suspect", "badge-warn", "warn", " ".join(status.doubts)),)
    return (Mark("Healthy", "badge-good", "good", "Nothing in its losses or files speaks against it"),)


def _findings(status: Status) -> tuple[Finding, ...]:
    found = []
    if status.incomplete:
        found.append(Finding(f"The files are not one whole save: {status.incomplete}.", "notice-warn", "warn"))
    found += [Finding(text, "notice-bad", "bad") for text in status.problems]
    found += [Finding(text, "notice-warn", "warn") for text in status.doubts]
    return tuple(found)


def standing_of(status: Status) -> Standing:
    """Return how a model stands to its snapshots."""
    if status.equals is not None:
        return Standing("Equals", "good", "good", title_of(status.equals), status.equals.id)
    if status.newest is None:
        return Standing("No snapshot yet", "warn", "warn")
    title, id = title_of(status.newest), status.newest.id
    if status.ahead is not None and status.ahead > 0:
        text = f"{status.ahead:,} iteration{'s' if status.ahead > 1 else ''} not snapshotted since"
        return Standing(text, "warn", "warn", title, id)
    return Standing("Differs from its newest snapshot", "warn", "warn", title, id)


def _picture(head: Head | None) -> str:
    return f"/pictures/{head.id}" if head is not None and head.document.get("preview") else ""


def _undo(vault: Vault, model: Model, status: Status, titles: Mapping[str, str]) -> str:
    """Say what undo would bring back, empty where there is nothing to go back to."""
    record = vault.live(vault.live_key(model))
    if record is None or not record.restored or record.backup == record.snapshot:
        return ""
    title = titles.get(record.backup or "")
    if title is None:
        return ""
    as_restored = status.equals is not None and status.equals.id == record.snapshot
    return f"{'Restored' if as_restored else 'Trained on since a restore'}. What was there before is kept as “{title}”."
