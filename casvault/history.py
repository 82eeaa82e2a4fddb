"""The loss history of a model: of a live one, or of a snapshot, with the snapshots of that model along it.

Owns the invariants that only the trainer's own record is read of a model, however large that is, and that a snapshot is
said to be on the curve only where the history has the very losses that the snapshot has: what was trained on from an
earlier save, or in an earlier run, is beside it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casvault.errors import StorageError, UsageError
from casvault.files.shared_open import open_shared
from casvault.files.source import ByteSource, FileSource
from casvault.models import History, Model, find_again, kind_named
from casvault.models.curves import Curve, curves, mean_at
from casvault.models.losses import LOSS_WINDOW
from casvault.subject import snapshot_meant, stored_sources
from casvault.vault.head import Head
from casvault.vault.places import models_at, only
from casvault.vault.vault import Vault

__all__ = ["LossHistory", "Mark", "losses"]

MOST_POINTS = 10_000
"""Points that a curve may have at most."""

WIDEST = 10_000
"""Iterations that a mean may be taken over at most."""

_TRIES, _PAUSE = 20, 0.05
"""How often, and after how many seconds, a record is looked for that the trainer is just replacing."""


@dataclass(frozen=True)
class Mark:
    """A snapshot of the model; ``on_curve`` says whether the history leads through it, False also where that cannot be
    told.
    """

    head: Head
    on_curve: bool

    def to_json(self) -> dict[str, Any]:
        """Return the mark for `--json`."""
        head = self.head
        return {
            "id": head.id,
            "name": head.name,
            "kind": head.kind,
            "created": head.created,
            "iteration": head.iteration,
            "run": head.document["run"],
            "loss": head.loss,
            "health": head.health,
            "on_curve": self.on_curve,
        }


@dataclass(frozen=True)
class LossHistory:
    """Losses over iterations. ``snapshot`` is the id of what the history is of, None of a live model.

    The whole history goes from the iteration ``first`` to ``last``; ``iterations`` are those that the points of the
    ``curves`` end with. ``window`` is how many iterations a mean is taken over, where a point does not stand for more.
    ``marks`` are the model's snapshots, oldest first. Where there is no history ``reason`` says why.
    """

    title: str
    snapshot: str | None
    model: str
    first: int | None
    last: int | None
    iterations: tuple[int, ...]
    curves: tuple[Curve, ...]
    window: int
    marks: tuple[Mark, ...]
    reason: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the history as JSON holds it; losses have six digits, which is more than a picture shows."""
        return {
            "title": self.title,
            "snapshot": self.snapshot,
            "model": self.model,
            "first": self.first,
            "last": self.last,
            "window": self.window,
            "reason": self.reason,
            "iterations": list(self.iterations),
            "curves": [
                {"name": curve.name, "low": _short(curve.low), "high": _short(curve.high), "mean": _short(curve.mean)}
                for curve in self.curves
            ],
            "marks": [mark.to_json() for mark in self.marks],
        }


def losses(
    vault: Vault,
    what: str | Path | Model,
    first: int | None = None,
    last: int | None = None,
    points: int = 1000,
    window: int = LOSS_WINDOW,
) -> LossHistory:
    """Return the losses of the snapshot, or the live model, that ``what`` names, between two iterations.

    Raises NotFound, AmbiguousError, UsageError, DamageError, StorageError; a model without a history is no error.
    """
    if not (0 < points <= MOST_POINTS and 0 < window <= WIDEST):
        raise UsageError(f"a curve has 1 to {MOST_POINTS:,} points, and a mean is over 1 to {WIDEST:,} iterations.")
    head = None if isinstance(what, Model) else snapshot_meant(vault, what)
    if head is not None:
        title, name, history = f"snapshot '{head.title}'", head.model_name, _stored(vault, head)
    else:
        model = what if isinstance(what, Model) else only(what, models_at(vault, what))
        title, name, history = f"the model in {model.folder}", model.name, _live(model)
    marks = [one for one in vault.heads() if one.model_name == name]
    id = head.id if head is not None else None
    rows = history.rows
    if rows is None:
        told = tuple(Mark(one, False) for one in marks)
        return LossHistory(title, id, name, None, None, (), (), window, told, history.reason)
    # A history that is longer than the training would begin before its first iteration.
    begin = max(1, (history.iteration or 0) - len(rows) + 1)
    start = min(max(0, (first or begin) - begin), len(rows))
    stop = len(rows) if last is None else min(max(start, last - begin + 1), len(rows))
    ends, made = curves(rows, start, stop, points, window)
    return LossHistory(
        title,
        id,
        name,
        begin,
        begin + len(rows) - 1,
        tuple(begin + row for row in ends),
        made,
        window,
        tuple(_marks(marks, history, begin)),
        None,
    )


def _stored(vault: Vault, head: Head) -> History:
    manifest = vault.manifest(head.id)
    sources = {entry.role: source for entry, source in stored_sources(vault, manifest, head.label.thinned)}
    return kind_named(manifest.model_kind).history(sources.get, manifest.model_type)


def _live(model: Model) -> History:
    """Read the record of a live model, which is away for a moment whenever the trainer replaces it."""
    kind = kind_named(model.kind)
    for attempt in range(_TRIES):
        found = find_again(model)
        paths = {file.role: model.folder / file.path for file in found.files}
        try:
            with _opened({role: path for role, path in paths.items() if role == kind.last_role}) as sources:
                if sources or attempt == _TRIES - 1 or kind.last_role is None:
                    return kind.history(sources.get, model.type)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StorageError(f"cannot read {model.name}: {error.strerror or error}.") from error
        time.sleep(_PAUSE)
    return kind.history(dict[str, ByteSource]().get, model.type)


@contextmanager
def _opened(paths: dict[str, Path]) -> Iterator[dict[str, ByteSource]]:
    opened: list[int] = []
    try:
        sources: dict[str, ByteSource] = {}
        for role, path in paths.items():
            opened.append(open_shared(path))
            sources[role] = FileSource(opened[-1], os.fstat(opened[-1]).st_size)
        yield sources
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _marks(heads: Iterable[Head], history: History, begin: int) -> Iterator[Mark]:
    for head in heads:
        yield Mark(head, _leads_through(head, history, begin))


def _leads_through(head: Head, history: History, begin: int) -> bool:
    rows = history.rows
    if rows is None or head.iteration is None or not head.loss:
        return False
    end = head.iteration - begin + 1
    if not 0 < end <= len(rows):
        return False
    here = mean_at(rows, end, LOSS_WINDOW)
    return here.keys() == head.loss.keys() and all(_equal(here[name], head.loss[name]) for name in here)


def _equal(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    # A manifest keeps every bit of a number; what was imported may have gone through fewer.
    return math.isclose(one, other, rel_tol=1e-9)


def _short(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None else float(f"{value:.6g}") for value in values]
