"""The watch: looks at a model again and again, and takes a snapshot of each save that is due.

It holds no lock while it waits, and reads nothing but the names and times of files until something moved. Owns the
invariants that no event ends it but being stopped, and that a save is not taken twice, also after it was started anew:
what there is of the model is asked of the vault.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from casvault.capture import Patience
from casvault.errors import AmbiguousError, Cancelled, CasvaultError, IncompleteSave, Locked, NotFound, UsageError
from casvault.files.identity import FileIdentity
from casvault.models import Model, find_again, generic_model, kind_named
from casvault.progress import Progress
from casvault.prune import Rules
from casvault.snapshot import Annotation, SnapshotResult, take
from casvault.snapshot.status import status
from casvault.vault.head import Head
from casvault.vault.places import models_at, only
from casvault.vault.vault import Vault
from casvault.watch.events import Event, Hook
from casvault.watch.rhythm import Rhythm
from casvault.watch.steps import Step, steps_in
from casvault.watch.upkeep import RETENTION, Upkeep

__all__ = ["Watcher"]

Identities = dict[str, FileIdentity | None]


@dataclass
class Watcher:
    """Watches what ``place`` stands for: a model, or a folder whose folders are the saves of one (checkpoint-500/).

    ``name`` is what to call a model whose trainer is not known. ``poll`` are the seconds between two looks; a save is
    waited for as long as ``patience`` says. ``tell`` is called with each event, ``hook`` run for some.
    """

    vault: Vault
    place: str | Path
    name: str | None = None
    rhythm: Rhythm = field(default_factory=Rhythm)
    rules: Rules | None = RETENTION
    poll: float = 5.0
    patience: Patience = field(default_factory=Patience)
    tell: Callable[[Event], None] = lambda event: None
    hook: Hook | None = None

    def __post_init__(self) -> None:
        self._upkeep = Upkeep(self.vault, self.rules)
        self._stop = threading.Event()
        self._progress = Progress()
        self._model: Model | None = None
        self._handled: Identities = {}
        self._seen: Identities = {}
        self._saves = 0
        self._not_before = 0.0
        self._said = ""
        self._known_steps: set[Path] = set()

    def stop(self) -> None:
        """End the watch, also in the middle of a snapshot, which then was none; may be called from any thread."""
        self._stop.set()
        self._progress.cancel()

    def run(self) -> None:
        """Watch until `stop` is called; raises UsageError and AmbiguousError for a place that cannot be watched."""
        self.rhythm.checked()
        self._say("started", f"watching {self.place}")
        try:
            while not self._stop.is_set():
                self.look()
                self._stop.wait(self.poll)
        finally:
            wrong = self.hook.end() if self.hook is not None else None
            self._say("stopped", wrong or "stopped as asked")

    def look(self) -> None:
        """Look once, and do what is due."""
        try:
            steps = self._steps()
            if steps:
                self._look_at_steps(steps)
            else:
                self._look_at_model()
        except Cancelled:
            return
        except (UsageError, AmbiguousError):
            raise
        except CasvaultError as error:
            self._once("error", str(error))

    def _steps(self) -> list[Step]:
        folder = Path(self.place).absolute()
        generic = self._model is None or self._model.kind == "generic"
        return steps_in(folder) if generic and folder.is_dir() else []

    # One model in its place

    def _look_at_model(self) -> None:
        model = self._find()
        if model is None:
            return
        now = _identities(model)
        if now == self._handled or time.monotonic() < self._not_before or not self._is_over(model, now):
            return
        self._saves += 1
        try:
            stands = status(self.vault, model)
        except NotFound:
            return
        if stands.equals is not None:
            self._handled, self._saves = now, 0
            return
        mine = self._heads(model.name, self.vault.source_of(model.folder))
        last = max((head for head in mine if head.kind == "scheduled"), key=lambda head: head.id, default=None)
        if not self.rhythm.due(self._saves, stands.iteration, last):
            left = self.rhythm.left(last)
            if left:
                # No file will tell that the time has come.
                self._not_before = time.monotonic() + left
                self._saves -= 1
            else:
                self._handled = now
            return
        self._snapshot(model, mine, stands.size, now)

    def _find(self) -> Model | None:
        """Return the model as it is now, None while it is not there."""
        try:
            if self._model is None:
                found = only(self.place, models_at(self.vault, self.place, self.name))
            else:
                found = find_again(self._model)
        except NotFound:
            found = None
        if found is None or not found.files:
            self._once("waiting", f"there is no model at {self.place} now")
            return None
        self._model = found
        return found

    def _is_over(self, model: Model, now: Identities) -> bool:
        """Tell whether something was saved since, as far as names and times tell."""
        last = kind_named(model.kind).last_role
        if last is None:
            # Nothing says that a save is over but that nothing moves any more.
            still, self._seen = now == self._seen, now
            return still
        path = next((file.path for file in model.files if file.role == last), None)
        return path is not None and (not self._handled or now.get(path) != self._handled.get(path))

    def _snapshot(self, model: Model, mine: list[Head], size: int, now: Identities) -> None:
        self._handled = now
        why = self._upkeep.make_room([head for head in mine if head.kind == "scheduled"], size)
        if why is not None:
            self._once("skip", f"no snapshot of {model.name}: {why}")
            self._handled = {}
            return
        try:
            result = take(
                self.vault, lambda: find_again(model), Annotation(kind="scheduled"), self.patience, self._progress
            )
        except IncompleteSave as error:
            self._once("skip", str(error))
            return
        except Locked as error:
            self._once("skip", str(error))
            self._handled = {}
            return
        self._saves = 0
        self._taken(result, model.name)
        self._tidy(model.name, self.vault.source_of(model.folder))

    # Steps

    def _look_at_steps(self, steps: list[Step]) -> None:
        folder = Path(self.place).absolute()
        name, home = self.name or folder.name, self.vault.source_of(folder)
        self._seen = {path: identity for path, identity in self._seen.items() if (folder / path).exists()}
        for step in steps:
            if step.folder in self._known_steps or self._stop.is_set():
                continue
            model = generic_model(step.folder, name)
            mine = self._heads(name, home)
            if not model.files or not self._rests(model):
                continue
            source = self.vault.source_of(step.folder)
            there = any(head.source == source and head.iteration == step.number for head in mine)
            if there or self._step(step, model, mine, home):
                self._known_steps.add(step.folder)

    def _rests(self, model: Model) -> bool:
        """Tell whether no file of a step moved since the last look."""
        now = {f"{model.folder.name}/{path}": identity for path, identity in _identities(model).items()}
        before = {path: found for path, found in self._seen.items() if path.startswith(f"{model.folder.name}/")}
        self._seen.update(now)
        return before == now

    def _step(self, step: Step, model: Model, mine: list[Head], home: str) -> bool:
        """Take a snapshot of one step, if it is due; tell whether that is settled."""
        last = max((head for head in mine if head.kind == "scheduled"), key=lambda head: head.id, default=None)
        if not self.rhythm.due(self.rhythm.saves, step.number, last):
            return not self.rhythm.minutes
        size = sum((model.folder / file.path).stat().st_size for file in model.files)
        why = self._upkeep.make_room([head for head in mine if head.kind == "scheduled"], size)
        if why is not None:
            self._once("skip", f"no snapshot of {step.folder.name}: {why}")
            return False
        told = Annotation(kind="scheduled", iteration=step.number, meta={"steps_of": home})
        try:
            result = take(self.vault, lambda: find_again(model), told, self.patience, self._progress)
        except (IncompleteSave, NotFound, Locked) as error:
            self._once("skip", str(error))
            return False
        self._taken(result, model.name)
        self._tidy(model.name, home)
        return True

    # Both

    def _heads(self, name: str, place: str) -> list[Head]:
        return [head for head in self.vault.heads() if (head.model_name, head.place) == (name, place)]

    def _taken(self, result: SnapshotResult, name: str) -> None:
        head = result.head
        where = f"iteration {head.iteration:,}, " if head.iteration is not None else ""
        stored, size = result.stored_bytes_added / 1e6, head.size / 1e6
        text = f"{where}{stored:,.1f} of {size:,.1f} MB stored in {result.seconds:.1f} s"
        self._say("snapshot", text, name, head.id)
        if not head.healthy:
            self._say("unhealthy", " ".join(head.findings), name, head.id)
        elif result.warnings:
            self._say("note", " ".join(result.warnings), name, head.id)

    def _tidy(self, name: str, place: str) -> None:
        done = self._upkeep.tidy(self._heads(name, place))
        if done is not None:
            count = len(done.goes)
            kept = sum(verdict.head.kind == "scheduled" for verdict in done.verdicts if verdict.stays)
            text = f"{count} snapshot{'s' if count > 1 else ''} deleted by rule, {kept} kept"
            self._say("pruned", text, name)

    def _once(self, kind: str, text: str) -> None:
        """Say something unless it was the last thing that was said."""
        if text != self._said:
            self._say(kind, text)

    def _say(self, kind: str, text: str, model: str | None = None, snapshot: str | None = None) -> None:
        event = Event(kind, model or (self._model.name if self._model is not None else str(self.place)), text, snapshot)
        self._said = text
        self.tell(event)
        wrong = self.hook.run(event) if self.hook is not None else None
        if wrong is not None:
            self.tell(Event("error", event.model, wrong))


def _identities(model: Model) -> Identities:
    names = [file.path for file in model.files] + list(model.leftovers)
    return {name: FileIdentity.at(model.folder / name) for name in names}
