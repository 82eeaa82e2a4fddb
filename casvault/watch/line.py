"""A line of steps: the folders of one watched folder, such as ``checkpoint-500``, as the saves of one model.

Owns the invariants that a folder that had steps is never taken for a model itself, also while it has none, and that a
step that is still written to is let rest.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from casvault.errors import CasvaultError, NotFound
from casvault.models import find_models, generic_model
from casvault.snapshot import Annotation
from casvault.vault.head import Head
from casvault.vault.vault import Vault
from casvault.watch.rhythm import Rhythm
from casvault.watch.steps import Step, steps_in
from casvault.watch.taking import Identities, Outcome, Save, Taker, identities_of

__all__ = ["Line"]

_REST = 10.0
"""Seconds for which no file of a step must have changed: trainers write one file after another, and pause between."""


@dataclass
class Line:
    """The steps in ``folder``; ``name`` is what to call their model, None for what it was called or the folder's."""

    vault: Vault
    folder: Path
    name: str | None
    rhythm: Rhythm
    taker: Taker
    _seen: dict[Path, tuple[Identities, float]] = field(default_factory=dict)
    _counted: dict[Path, Identities] = field(default_factory=dict)
    _done: dict[Path, Identities] = field(default_factory=dict)
    _saves: int = 0
    _has_steps: bool | None = None

    @property
    def home(self) -> str:
        """The folder as manifests write it."""
        return self.vault.source_of(self.folder)

    @cached_property
    def model_name(self) -> str:
        """What the steps' model is called."""
        known = [head.model_name for head in self._heads()] if self.name is None else []
        return self.name or (known[-1] if known else self.folder.name)

    def is_one(self) -> bool:
        """Tell whether the folder has steps, or had, and is no model of a known trainer; raises StorageError."""
        if self._has_steps is None:
            self._has_steps = bool(self._heads())
        if not self._has_steps and self.folder.is_dir() and steps_in(self.folder):
            self._has_steps = not find_models(self.folder)
        return self._has_steps

    def look(self) -> Outcome | None:
        """Take a snapshot of each step that is due; return what came of the last one, None where there was none.

        Raises StorageError, Cancelled.
        """
        steps, name = steps_in(self.folder), self.model_name
        there = {step.folder for step in steps}
        for known in (self._seen, self._counted, self._done):
            for gone in known.keys() - there:
                del known[gone]
        outcome = None
        for step in steps:
            self.taker.progress.check()
            outcome = self._look_at(step, name) or outcome
            if outcome is Outcome.LATER:
                break
        return outcome

    def _heads(self) -> list[Head]:
        return [head for head in self.vault.heads() if head.place == self.home != head.source]

    def _look_at(self, step: Step, name: str) -> Outcome | None:
        topic = f"step {step.folder.name}"
        try:
            model = generic_model(step.folder, name)
            self.vault.check_outside_of(model)
            now = identities_of(model)
        except NotFound:
            return None
        except CasvaultError as error:
            self.taker.teller.once(topic, "error", name, str(error))
            return None
        self.taker.teller.well(topic)
        if not now or now == self._done.get(step.folder) or not self._rests(step.folder, now):
            return None
        if self._counted.get(step.folder) != now:
            self._counted[step.folder] = now
            self._saves += 1
        told = Annotation(kind="scheduled", iteration=step.number, meta={"steps_of": self.home})
        outcome, _ = self.taker.take(model, self.home, told, partial(self._due, step))
        if outcome in (Outcome.TAKEN, Outcome.THERE, Outcome.NOT_DUE):
            self._done[step.folder] = now
        if outcome in (Outcome.TAKEN, Outcome.THERE):
            self._saves = 0
        return outcome

    def _due(self, step: Step, save: Save, last: Head | None) -> bool:
        # All are there to be judged by their own times, whenever they are looked at.
        if last is not None and not self.rhythm.takes_all and save.moment <= last.moment:
            self._saves -= 1
            return False
        return self.rhythm.due(self._saves, step.number, last, save.moment)

    def _rests(self, folder: Path, now: Identities) -> bool:
        """Tell whether no file of a step was written to for a while, by the clock or by what was seen."""
        before, since = self._seen.get(folder, (None, 0.0))
        if before != now:
            since = time.monotonic()
            self._seen[folder] = now, since
        times = [max(one.mtime_ns, one.ctime_ns) for one in now.values() if one is not None]
        old = len(times) == len(now) and time.time_ns() - max(times) > _REST * 1e9
        return old or time.monotonic() - since > _REST
