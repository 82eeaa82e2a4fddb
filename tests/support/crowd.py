"""One of many who work in a vault at once, each with a model of its own: run as a program, and it tells what it did.

``python -m tests.support.crowd ROOT NUMBER SEED OPERATIONS`` prints a JSON document: the operations by name, and what
must be in the vault now. Nothing that it was told is done may ever be undone by somebody else, but for what it deleted.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections import Counter
from pathlib import Path

from casvault import RestoreOptions, Rules, api
from casvault.errors import Locked, NotFound
from tests.support.lines import Line
from tests.support.trainer import contents

__all__ = ["Member"]

_WEIGHTS = {
    "snapshot": 20,
    "check": 20,
    "edit": 15,
    "delete": 12,
    "undelete": 8,
    "restore": 10,
    "go back": 4,
    "prune": 3,
    "usage": 3,
    "examine": 4,
    "verify": 2,
    "gc": 6,
}


class Member:
    """Works on its own model, and on the vault of all."""

    def __init__(self, root: Path, number: int, seed: int) -> None:
        self._random = random.Random(f"{seed}/{number}")
        self._number = number
        self.line = Line(root / f"member {number}", seed=1 + seed % 1000 + number, threads=1)
        self.line.vault = self.vault = api.open(root / ".casvault", threads=1)
        self.deleted: set[str] = set()
        self.notes: dict[str, str] = {}
        self.done: Counter[str] = Counter()

    @property
    def kept(self) -> list[str]:
        """The ids of the snapshots that must be there."""
        return [id for id in self.line.saves if id not in self.deleted]

    def step(self) -> None:
        """Do one operation, chosen by lot, and check what it did."""
        what = self._random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if len(self.kept) < 2:
            what = "snapshot"
        elif len(self.kept) > 12:
            what = "delete"
        try:
            getattr(self, "_" + what.replace(" ", "_"))()
        except Locked as error:
            # Only who wants the vault for itself may be told to come again.
            if what != "gc":
                raise AssertionError(f"{what}: {error}") from error
            what = "gc gave up"
        self.done[what] += 1

    def _one(self) -> str:
        return self._random.choice(self.kept)

    def _snapshot(self) -> None:
        self.line.snapshot(f"{self._number} {self.done['snapshot']}")

    def _check(self) -> None:
        self.line.check(self.vault, [self._one()])

    def _edit(self) -> None:
        id, notes = self._one(), f"notes {self._random.random()}"
        self.vault.edit(id, notes=notes)
        self.notes[id] = notes
        assert self.vault.find(id).label.notes == notes

    def _delete(self) -> None:
        id = self._one()
        self.vault.delete(id)
        self.deleted.add(id)

    def _undelete(self) -> None:
        for id in sorted(self.deleted, reverse=True)[:1]:
            try:
                self.vault.undelete(id)
            except NotFound:
                # gc was there first: then it is gone for good.
                del self.line.saves[id]
            self.deleted.discard(id)

    def _restore(self) -> None:
        id, place = self._one(), self.line.root / "back"
        shutil.rmtree(place, ignore_errors=True)
        self.vault.restore(id, RestoreOptions(to=place))
        assert contents(place) == self.line.saves[id], f"{id} came back wrong"

    def _go_back(self) -> None:
        """Restore over the model: what was there is a snapshot, or becomes a backup of this member's."""
        id, before = self._one(), contents(self.line.folder)
        result = self.vault.restore(id)
        assert contents(self.line.folder) == self.line.saves[id]
        if result.backup is not None:
            self.line.saves[result.backup.id] = before
            self.deleted.discard(result.backup.id)

    def _prune(self) -> None:
        plan = self.vault.prune(Rules(last=6), model=str(self.line.folder), include_manual=True)
        assert set(plan.goes) <= set(self.kept)
        self.deleted |= set(plan.goes)

    def _usage(self) -> None:
        assert {one.head.id for one in self.vault.usage().snapshots} >= set(self.kept)

    def _examine(self) -> None:
        assert self.vault.health(self._one()).state == "ok"
        self.vault.diff(self._one(), self._one())

    def _verify(self) -> None:
        found = self.vault.verify(read_data=True)
        mine = set(found.affected) & set(self.kept)
        assert not mine, found.damaged[:3]

    def _gc(self) -> None:
        self.vault.gc()


def main(root: str, number: str, seed: str, operations: str) -> None:
    """Work, and tell."""
    member = Member(Path(root), int(number), int(seed))
    for _ in range(int(operations)):
        member.step()
    member.line.check(member.vault, member.kept)
    notes = {id: notes for id, notes in member.notes.items() if id in member.kept}
    print(json.dumps({"done": member.done, "kept": member.kept, "notes": notes}))


if __name__ == "__main__":
    main(*sys.argv[1:5])
