"""Taking: one save of a watched model becomes a snapshot, unless there is one, no room, or somebody is in the way.

Owns the invariants that a save is not taken twice, also after the watch was started anew, and that what was restored is
no save: under the model's lock, which a restore holds until it is done, the vault is asked what is in place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from enum import Enum, auto

from casvault.capture import Patience, capture
from casvault.errors import Cancelled, CasvaultError, IncompleteSave, Locked, NotFound
from casvault.files.identity import FileIdentity
from casvault.health.examine import health
from casvault.models import Model, find_again
from casvault.progress import Progress
from casvault.snapshot import Annotation, SnapshotResult, take_held
from casvault.snapshot.status import equal_to
from casvault.vault.head import Head
from casvault.vault.vault import Vault
from casvault.watch.telling import Teller
from casvault.watch.upkeep import Upkeep

__all__ = ["Identities", "Outcome", "Save", "Taker", "identities_of"]

Identities = dict[str, FileIdentity | None]
"""Path -> what stat says of it, None where nothing is there."""

_BRIEF = 2.0
"""Seconds to wait for the lock of a model, and under it for a whole save; after that there is the next look."""


class Outcome(Enum):
    """What came of a save: it was taken, it was there already, it is not due, it is not whole, somebody is in the way,
    or it has to wait for trouble to be over.
    """

    TAKEN = auto()
    THERE = auto()
    NOT_DUE = auto()
    TORN = auto()
    BUSY = auto()
    LATER = auto()


@dataclass(frozen=True)
class Save:
    """One whole save: its iteration, None where that is not known, its bytes, and when it was written, in UTC."""

    iteration: int | None
    size: int
    moment: datetime


@dataclass
class Taker:
    """Takes snapshots of the models of one watch."""

    vault: Vault
    upkeep: Upkeep
    patience: Patience
    progress: Progress
    teller: Teller

    def take(
        self, model: Model, home: str, told: Annotation, due: Callable[[Save, Head | None], bool]
    ) -> tuple[Outcome, str | None]:
        """Take a snapshot of ``model``, which is at ``home``, if ``due`` says so of it and the newest scheduled one.

        Return also the id where one was taken. Raises Cancelled; all other trouble is told, once.
        """
        try:
            if self._is_there(model):
                return Outcome.THERE, None
            save, mine = self._whole(model), self.heads(model.name, home)
            if not due(save, max((h for h in mine if h.kind == "scheduled"), key=lambda h: h.id, default=None)):
                return Outcome.NOT_DUE, None
            if not self._has_room(model, mine, save.size):
                return Outcome.LATER, None
            result = self._under_lock(model, told)
        except Cancelled:
            raise
        except IncompleteSave as error:
            self.teller.once("take", "skip", model.name, str(error))
            return Outcome.TORN, None
        except NotFound:
            # A trainer that cleans up; where the model itself is gone, the next look tells.
            return Outcome.BUSY, None
        except Locked as error:
            self.teller.once("take", "skip", model.name, str(error))
            return Outcome.BUSY, None
        except CasvaultError as error:
            self.teller.once("take", "error", model.name, str(error))
            return Outcome.LATER, None
        self.teller.well("take")
        if result is None:
            return Outcome.THERE, None
        self._tell(result, model.name)
        self._tidy(model.name, home)
        return Outcome.TAKEN, result.id

    def heads(self, name: str, home: str) -> list[Head]:
        """Return the heads of the model called ``name`` that is at ``home``, oldest first."""
        return [head for head in self.vault.heads() if (head.model_name, head.place) == (name, home)]

    def _is_there(self, model: Model) -> bool:
        """Tell whether what is in place was captured or restored, whatever became of that snapshot since."""
        found = identities_of(replace(model, leftovers=()))
        record = self.vault.live(self.vault.live_key(model))
        if record is not None and found and found == record.files:
            return True
        source = self.vault.source_of(model.folder)
        mine = [head for head in self.vault.heads() if (head.model_name, head.source) == (model.name, source)]
        times = {path: (one.size, one.mtime_ns) for path, one in found.items() if one is not None}
        return len(times) == len(found) and equal_to(self.vault, model, mine, times) is not None

    def _whole(self, model: Model) -> Save:
        """Wait for a whole save without any lock; raises IncompleteSave, NotFound, StorageError."""
        with capture(lambda: find_again(model), self.patience, progress=self.progress) as taken:
            saved = datetime.fromtimestamp((taken.saved_ns or 0) / 1e9, timezone.utc)
            return Save(taken.state.iteration, sum(item.identity.size for item in taken.files), saved)

    def _has_room(self, model: Model, mine: list[Head], size: int) -> bool:
        place = model.folder if model.kind == "generic" and not model.single else model.folder / model.files[0].path
        room = self.upkeep.make_room(mine, size, lambda: health(self.vault, place, self.progress).ok)
        if room.deleted:
            self._say_deleted(model.name, room.deleted, "to make room")
        if room.missing is None:
            self.teller.well("room")
            return True
        self.teller.once("room", "skip", model.name, f"no snapshot of {model.name}: {room.missing}")
        return False

    def _under_lock(self, model: Model, told: Annotation) -> SnapshotResult | None:
        """Take the snapshot; None where what is in place was captured or restored since it was looked at."""
        with self.vault.locks.model(self.vault.live_key(model), "watch", _BRIEF):
            if self._is_there(find_again(model)):
                return None
            brief = replace(self.patience, seconds=min(self.patience.seconds, _BRIEF), next_save=False)
            with self.vault.locks.shared("watch"):
                return take_held(self.vault, lambda: find_again(model), told, brief, self.progress)

    def _tell(self, result: SnapshotResult, name: str) -> None:
        head = result.head
        where = f"iteration {head.iteration:,}, " if head.iteration is not None else ""
        stored, size = result.stored_bytes_added / 1e6, head.size / 1e6
        self.teller.say(
            "snapshot", name, f"{where}{stored:,.1f} MB stored for {size:,.1f} MB, in {result.seconds:.1f} s", head.id
        )
        if not head.healthy:
            self.teller.say("unhealthy", name, f"{head.health}: {' '.join(head.findings)}", head.id)
        elif result.warnings:
            self.teller.say("note", name, " ".join(result.warnings), head.id)

    def _tidy(self, name: str, home: str) -> None:
        try:
            done = self.upkeep.tidy(self.heads(name, home))
        except Cancelled:
            raise
        except CasvaultError as error:
            self.teller.once("tidy", "error", name, f"older snapshots were not cleared: {error}")
            return
        self.teller.well("tidy")
        if done is not None:
            kept = sum(verdict.head.kind == "scheduled" for verdict in done.verdicts if verdict.stays)
            self._say_deleted(name, len(done.goes), f"by rule, {kept} kept")

    def _say_deleted(self, name: str, count: int, why: str) -> None:
        self.teller.say("pruned", name, f"{count} snapshot{'s' if count > 1 else ''} deleted {why}")


def identities_of(model: Model) -> Identities:
    """Return the identities of a model's files and leftovers; raises OSError."""
    names = [file.path for file in model.files] + list(model.leftovers)
    return {name: FileIdentity.at(model.folder / name) for name in names}
