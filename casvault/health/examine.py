"""Examining a model for its health: a live one, of which all is read, or a snapshot, of which all is decoded."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casvault.formats.region import Region
from casvault.health.faults import Inspector
from casvault.health.survey import Part, Survey
from casvault.health.verdict import Verdict, judge
from casvault.manifest.manifest import Fault
from casvault.models import kind_named
from casvault.progress import Progress
from casvault.subject import Subject, SubjectFile, open_subject
from casvault.vault.vault import Vault

__all__ = ["Health", "TensorHealth", "health"]


@dataclass(frozen=True)
class TensorHealth:
    """A tensor of floats: how many ``numbers`` it has, how many are NaN or infinite, whether all are 0, or are one and
    the same (``constant``, which those that are 0 are too), and the root of the mean of their squares, None where that
    is not finite.
    """

    path: str
    role: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    numbers: int
    nan: int
    inf: int
    zero: bool
    constant: bool
    rms: float | None

    @property
    def ordinary(self) -> bool:
        """Whether there is nothing to say of it."""
        return not (self.nan or self.inf or self.constant)

    def to_json(self) -> dict[str, Any]:
        """Return the tensor for `--json`."""
        return {
            "path": self.path,
            "role": self.role,
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "numbers": self.numbers,
            "nan": self.nan,
            "inf": self.inf,
            "zero": self.zero,
            "constant": self.constant,
            "rms": self.rms,
        }


@dataclass(frozen=True)
class Health:
    """What was found in a model. ``state`` is ok, suspect or broken, ``findings`` say why, the worst first.

    ``title`` is what was examined, ``snapshot`` its id, None of a live model. ``loss`` is the mean of the last 100
    iterations, ``loss_best`` the lowest one before. ``size`` are the bytes that were read; ``thinned`` the files that
    are not kept any more, which could not be.
    """

    title: str
    snapshot: str | None
    model: str
    folder: str
    iteration: int | None
    state: str
    findings: tuple[str, ...]
    loss: dict[str, float | None] | None
    loss_last: dict[str, float | None] | None
    loss_best: dict[str, float] | None
    incomplete: str | None
    tensors: tuple[TensorHealth, ...]
    size: int
    thinned: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against the model."""
        return self.state == "ok"

    def to_json(self) -> dict[str, Any]:
        """Return the health for `--json`."""
        return {
            "state": self.state,
            "findings": list(self.findings),
            "snapshot": self.snapshot,
            "model": self.model,
            "folder": self.folder,
            "iteration": self.iteration,
            "loss": self.loss,
            "loss_last": self.loss_last,
            "loss_best": self.loss_best,
            "incomplete": self.incomplete,
            "bytes_read": self.size,
            "thinned": list(self.thinned),
            "tensors": [tensor.to_json() for tensor in self.tensors],
        }


def health(vault: Vault, what: str | Path, progress: Progress | None = None) -> Health:
    """Examine the snapshot, or the live model, that ``what`` names.

    Raises NotFound, AmbiguousError, UsageError, MissingObject, DamageError, IncompleteSave where a live file is written
    to meanwhile, StorageError, Locked, Cancelled. What is wrong with the model itself is never raised.
    """
    progress = progress or Progress()
    with open_subject(vault, what, progress) as subject, vault.locks.shared("health"):
        # What was listed before may have been replaced by gc since.
        vault.objects.forget()
        progress.start("examining", subject.size)
        tensors, verdict = _examine(vault, subject, progress)
        progress.finish()
        state = subject.state
        return Health(
            title=subject.title,
            snapshot=subject.head.id if subject.head is not None else None,
            model=subject.name,
            folder=subject.folder,
            iteration=state.iteration,
            state=verdict.state,
            findings=verdict.findings,
            loss=state.loss,
            loss_last=state.loss_last,
            loss_best=state.loss_best,
            incomplete=subject.incomplete,
            tensors=tuple(tensors),
            size=subject.size,
            thinned=tuple(file.path for file in subject.files if file.source is None),
        )


def _examine(vault: Vault, subject: Subject, progress: Progress) -> tuple[list[TensorHealth], Verdict]:
    kind = kind_named(subject.kind)
    inspector = Inspector(vault, kind, subject.parent, subject.state.iteration)
    tensors: list[TensorHealth] = []
    told: list[tuple[str, str, tuple[Fault, ...]]] = []
    unreadable: list[str] = []
    sources = {file.role: file.source for file in subject.files if file.source is not None}
    if subject.head is not None:
        # Of a live model they are among the problems that the capture told.
        unreadable += kind.damage(sources.get, sources.keys())
    for file in subject.files:
        survey = inspector.survey(file.role, file.regions, squares=True)
        if file.source is not None:
            _read(file, survey, vault.threads, progress)
            sentence = None if file.regions else kind.unreadable(file.role, file.source)
            unreadable += [sentence] if sentence is not None else []
        told.append((file.path, file.role, _with_recorded(file, inspector.faults(file.role, survey))))
        tensors += [_tensor(file, region, facts) for region, facts in survey.found()]
    return tensors, judge(kind, subject.type, subject.state, told, unreadable, subject.parent)


def _with_recorded(file: SubjectFile, faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """Add what the manifest tells and cannot be found out any more: that a tensor died, once its parent is gone."""
    recorded = file.entry.faults if file.entry is not None else ()
    known = {fault.name for fault in faults}
    return (*faults, *(fault for fault in recorded if fault.name not in known))


def _read(file: SubjectFile, survey: Survey, threads: int, progress: Progress) -> None:
    """Survey all of a file, a few parts of it at a time."""
    source = file.source
    assert source is not None

    def look(offset: int, size: int) -> list[Part]:
        return survey.look(offset, source.read_at(offset, size))

    if threads == 1:
        for offset, size in _places(file):
            survey.add(look(offset, size))
            progress.advance(size)
        return
    waiting: deque[tuple[int, Future[list[Part]]]] = deque()

    def collect() -> None:
        size, future = waiting.popleft()
        survey.add(future.result())
        progress.advance(size)

    with ThreadPoolExecutor(threads, "examine") as pool:
        try:
            for offset, size in _places(file):
                if len(waiting) > 2 * threads:
                    collect()
                waiting.append((size, pool.submit(look, offset, size)))
            while waiting:
                collect()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _places(file: SubjectFile) -> Iterator[tuple[int, int]]:
    offset = 0
    for part in file.parts:
        yield offset, part.size
        offset += part.size


def _tensor(file: SubjectFile, region: Region, facts: Any) -> TensorHealth:
    mean = facts.squares / facts.numbers if facts.numbers else 0.0
    return TensorHealth(
        path=file.path,
        role=file.role,
        name=region.name,
        dtype=region.dtype,
        shape=region.shape,
        numbers=facts.numbers,
        nan=facts.nan,
        inf=facts.inf,
        zero=facts.zero,
        constant=facts.constant,
        rms=math.sqrt(mean) if math.isfinite(mean) else None,
    )
