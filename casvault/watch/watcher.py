"""The watch: looks at a model again and again, and takes a snapshot of each save that is due.

It holds no lock while it waits, and reads nothing but the names and times of files until something moved. Owns the
invariants that nothing ends it but being stopped, once it has begun, and that no save is passed over for trouble that
will be over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

from casvault.capture import Patience
from casvault.errors import Cancelled, CasvaultError, NotFound, StorageError
from casvault.models import Model, find_again, kind_named
from casvault.progress import Progress
from casvault.prune.rules import RETENTION, Rules
from casvault.snapshot import Annotation
from casvault.vault.head import Head
from casvault.vault.places import models_at, only
from casvault.vault.vault import Vault
from casvault.watch.events import Event, Hook
from casvault.watch.line import Line
from casvault.watch.pusher import Pusher
from casvault.watch.rhythm import Rhythm
from casvault.watch.steps import steps_in
from casvault.watch.taking import Identities, Outcome, Save, Taker, identities_of
from casvault.watch.telling import Teller
from casvault.watch.upkeep import Upkeep

__all__ = ["Watcher"]

_SLICE = 0.2
"""Seconds after which it is looked whether the watch was stopped."""
_RETRY = 30.0
"""Seconds between two attempts where the disk is full or the vault cannot be used: each of them costs something."""
_RESTLESS = 120.0
"""Seconds after which it is told that a model never rests."""


@dataclass
class Watcher:
    """Watches what ``place`` stands for: a model, or a folder whose folders are the saves of one (checkpoint-500/).

    ``name`` is what to call a model whose trainer is not known. ``poll`` are the seconds between two looks; a save is
    waited for as long as ``patience`` says. ``tell`` is called with each event, ``hook`` run for some. ``push`` is the
    remote that all snapshots are sent to, at ``limit_rate`` bytes per second, None for no limit.
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
    push: str | None = None
    limit_rate: int | None = None

    def __post_init__(self) -> None:
        self._stopped = False
        self._progress = Progress()
        self._teller = Teller(self.tell, self.hook)
        self._pusher = Pusher(self.vault, self.push, self.limit_rate, self._teller) if self.push is not None else None
        upkeep = Upkeep(self.vault, self.rules, self._progress)
        self._taker = Taker(self.vault, upkeep, self.patience, self._progress, self._teller)
        self._line = Line(self.vault, Path(self.place).absolute(), self.name, self.rhythm, self._taker)
        self._model: Model | None = None
        self._save: Hashable = None
        self._pending = False
        self._saves = 0
        self._not_before = 0.0
        self._seen: Identities = {}
        self._moving_since = 0.0

    def stop(self) -> None:
        """End the watch, also in the middle of a snapshot, which then was none.

        May be called from any thread, and by the handler of a signal.
        """
        if not self._stopped:
            self._stopped = True
            self._progress.cancel()

    def run(self) -> None:
        """Watch until `stop` is called; raises UsageError and AmbiguousError for a place that cannot be watched, and
        NotFound for a remote that nobody named.
        """
        self.check()
        self._teller.say("started", self._called, f"watching {self.place}")
        try:
            while not self._stopped:
                self.look()
                self._wait()
        finally:
            if self._pusher is not None:
                self._pusher.end(self._called)
            self._teller.end(self._called)
            self._teller.say("stopped", self._called, "stopped as asked")

    def check(self) -> None:
        """Find what is to be watched, if it is there; raises UsageError, AmbiguousError where it cannot be watched, and
        NotFound for a remote that nobody named.
        """
        self.rhythm.checked()
        if self._pusher is not None:
            self._pusher.check()
        try:
            if not self._line.is_one():
                self._model = self._found()
        except (NotFound, StorageError):
            # It may come; what is wrong with it is told when it is looked at.
            return

    def look(self) -> None:
        """Look once, and do what is due; never raises but what ``tell`` raises."""
        try:
            self._teller.tend(self._called)
            if self._knows_no_trainer() and self._line.is_one():
                self._look_at_line()
            else:
                self._look_at_model()
            self._teller.well("look")
        except Cancelled:
            return
        except CasvaultError as error:
            self._trouble("look", "error", str(error))
        except OSError as error:
            self._trouble("look", "error", f"{error.filename or 'the system'}: {error.strerror or error}.")
        except Exception as error:
            # The last wall: a watch of weeks must not end with what one save brings.
            if os.environ.get("CASVAULT_DEBUG"):
                raise
            self._trouble("look", "error", f"this is a bug in casvault ({type(error).__name__}: {error}).")
        finally:
            if self._pusher is not None and not self._stopped:
                self._pusher.tend(self._called)

    @property
    def _called(self) -> str:
        return self._model.name if self._model is not None else str(self.place)

    def _wait(self) -> None:
        # Not by an event, which a signal's handler cannot set safely while it is waited for.
        end = time.monotonic() + self.poll
        while not self._stopped and time.monotonic() < end:
            time.sleep(min(_SLICE, max(0.0, end - time.monotonic())))

    def _knows_no_trainer(self) -> bool:
        return self._model is None or self._model.kind == "generic"

    def _look_at_line(self) -> None:
        if time.monotonic() < self._not_before:
            return
        if not steps_in(self._line.folder):
            self._trouble("model", "waiting", f"there is no step in {self.place} now")
            return
        self._teller.well("model")
        if self._line.look() is Outcome.LATER:
            self._not_before = time.monotonic() + _RETRY

    def _look_at_model(self) -> None:
        model = self._find()
        if model is None:
            return
        save = self._newest(model)
        if save is not None and save != self._save:
            self._save, self._pending = save, True
            self._saves += 1
        if not self._pending or save is None or time.monotonic() < self._not_before:
            return
        home = self.vault.source_of(model.folder)
        outcome, _ = self._taker.take(model, home, Annotation(kind="scheduled"), self._due)
        if outcome is Outcome.LATER:
            self._not_before = time.monotonic() + _RETRY
        if outcome in (Outcome.TAKEN, Outcome.THERE, Outcome.TORN):
            self._pending = False
        if outcome in (Outcome.TAKEN, Outcome.THERE):
            self._saves = 0

    def _due(self, save: Save, last: Head | None) -> bool:
        if self.rhythm.due(self._saves, save.iteration, last):
            return True
        left = self.rhythm.left(last)
        # No file will tell that the time has come.
        self._not_before = time.monotonic() + left
        self._pending = left > 0
        return False

    def _found(self) -> Model:
        model = only(self.place, models_at(self.vault, self.place, self.name))
        self.vault.check_outside_of(model)
        return model

    def _find(self) -> Model | None:
        """Return the model as it is now, None while it is not there."""
        try:
            found = self._found() if self._model is None else find_again(self._model)
        except NotFound:
            found = None
        if found is None or not any(identities_of(found).values()):
            self._trouble("model", "waiting", f"there is no model at {self.place} now")
            return None
        self._teller.well("model")
        self._model = found
        return found

    def _newest(self, model: Model) -> Hashable:
        """Return what tells the newest save from all others, None while that cannot be told: one is under way."""
        last = kind_named(model.kind).last_role
        now = identities_of(model)
        if last is not None:
            return next((now[file.path] for file in model.files if file.role == last), None)
        # Nothing says that a save is over but that nothing moves any more.
        if now == self._seen:
            self._teller.well("rest")
            self._moving_since = 0.0
            return tuple(sorted(now.items()))
        self._seen, self._moving_since = now, self._moving_since or time.monotonic()
        if time.monotonic() - self._moving_since > _RESTLESS:
            self._trouble("rest", "waiting", f"{model.name} changes all the time, so no save of it is whole")
        return None

    def _trouble(self, topic: str, kind: str, text: str) -> None:
        self._teller.once(topic, kind, self._called, text)
