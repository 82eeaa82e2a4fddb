"""Three vaults that are trained into, changed and synced in any order, and what must be true of them at any time."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from casvault import api
from casvault.demo.model import SampleModel
from casvault.errors import Cancelled, NotFound, UsageError
from casvault.objects import ObjectGraph
from casvault.progress import Progress
from casvault.sync import SyncOptions, SyncResult, pull, push
from casvault.sync.local import LocalRemote
from casvault.vault.head import Head
from tests.support.ends import end
from tests.support.history import snapshot_of
from tests.support.lines import Line
from tests.support.trainer import contents, make_model

__all__ = ["Three"]

_ROUNDS = 8


class _Cut(Progress):
    """Cancels once so many bytes moved."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    def advance(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            self.cancel()
        super().advance(amount)


class Three:
    """The vaults; ``saves`` are the files of each snapshot by its id, ``alive`` the ids that each vault must have.

    All three train the same two models from the same numbers, so that they have chunks in common and code them in
    different ways: a line of which each snapshot leans on the one before, and one with an optimizer to be thinned of.
    """

    def __init__(self, root: Path, counts: Counter[str]) -> None:
        self.lines = [Line(root / name, seed=1, threads=1) for name in "abc"]
        self.vaults = [line.vault for line in self.lines]
        self.models = [make_model(line.root / "workspace" / "model", size=60_000) for line in self.lines]
        self.saves: dict[str, dict[str, bytes]] = {}
        self.alive: list[set[str]] = [set(), set(), set()]
        self.counts = counts

    # What is done to them

    def train(self, number: int, line: bool) -> None:
        """Take a snapshot in one vault."""
        vault, model = self.vaults[number], self.models[number]
        if line:
            id = self.lines[number].snapshot()
            self.saves[id] = self.lines[number].saves[id]
        else:
            self._save(model)
            id = snapshot_of(vault, model.folder)
            self.saves[id] = contents(model.folder)
        self.alive[number].add(id)
        self.counts["snapshots"] += 1

    def _save(self, model: SampleModel) -> None:
        model.train(3)
        model.save()

    def change(self, number: int, what: str, choice: int) -> None:
        """Delete, undelete, thin, unthin, edit or pin some snapshot of one vault, or collect what it gave up."""
        vault = self.vaults[number]
        if what in ("gc", "sweep"):
            vault.gc(recode=what == "gc")
        elif what == "undelete":
            head = self._some([head for head in vault.heads(deleted=True) if head.label.deleted], choice)
            if head is not None:
                with suppress(NotFound):
                    vault.undelete(head.id)
                    self.alive[number].add(head.id)
        else:
            head = self._some(vault.snapshots(), choice)
            if head is not None:
                with suppress(UsageError, NotFound):
                    self._change_one(number, vault, what, head.id)
        self.counts[what] += 1

    def _change_one(self, number: int, vault: api.Vault, what: str, id: str) -> None:
        if what == "delete":
            vault.delete(id)
            self.alive[number].discard(id)
        elif what == "thin":
            vault.thin(id)
        elif what == "unthin":
            vault.unthin(id)
        elif what in ("pin", "unpin"):
            vault.edit(id, pinned=what == "pin")
        else:
            vault.edit(id, name=f"edited {self.counts['edit']}", tag=[f"t{number}"])

    @staticmethod
    def _some(heads: list[Head], choice: int) -> Head | None:
        return heads[choice % len(heads)] if heads else None

    def send(self, source: int, target: int, *, options: SyncOptions, way: str, kind: str, cut: int | None) -> None:
        """Let snapshots travel, by push or pull, perhaps cut off; nothing else may change on either side."""
        before = [set(each) for each in self.alive]
        progress = _Cut(cut) if cut is not None else Progress()
        result = None
        near, far = (source, target) if way == "push" else (target, source)
        with LocalRemote(self._opened(near)) as here, end(self.vaults[far], kind) as there, suppress(Cancelled):
            result = (push if way == "push" else pull)(here, there, options, progress)
        now = {head.id for head in self._opened(target).snapshots()}
        if result is None:
            self.counts["cut off"] += 1
            gone = {id for id in before[target] - now if options.delete}
            assert now - before[target] <= before[source], "something came from nowhere"
        else:
            assert result.conflicts == {}
            assert result.failed == {}
            gone = set(result.deleted)
            assert now == (before[target] - gone) | set(result.snapshots)
            self.counts["transfers"] += 1
        assert before[target] - now == gone & before[target], "something was lost"
        assert not (now & self._dead(target)), "the dead came back"
        self.alive[target] = now
        assert {head.id for head in self._opened(source).snapshots()} == before[source]

    def _dead(self, number: int) -> set[str]:
        """Return what was deleted in a vault and is so still, as the labels there say."""
        state = LocalRemote(self._opened(number)).state()
        return {*state.tombstones, *(id for id, known in state.snapshots.items() if known.head.label.deleted)}

    def _opened(self, number: int) -> api.Vault:
        return api.open(str(self.vaults[number].path), threads=1)

    # What must be true

    def check(self, number: int) -> None:
        """Assert that a vault has what it must have, each snapshot byte for byte, and no chain too long or round."""
        vault = self._opened(number)
        heads = {head.id: head for head in vault.snapshots()}
        assert heads.keys() == self.alive[number]
        for id, head in heads.items():
            for file in vault.manifest(id).files:
                if file.path not in head.label.thinned:
                    plain = b"".join(bytes(vault.objects.read(chunk.digest, chunk.size)) for chunk in file.chunks)
                    assert plain == self.saves[id][file.path], (id, file.path)
        graph = ObjectGraph(vault.objects.every())
        assert all(graph.depth(digest) <= vault.config.max_depth for digest in graph.chosen)
        assert vault.verify().ok
        self.counts["checked"] += len(heads)

    def converge(self, *, delete: bool) -> None:
        """Sync each with each until nothing moves any more; then they differ only in what is told."""
        pairs = [(a, b) for a in range(3) for b in range(3) if a != b]
        for _ in range(_ROUNDS):
            results = [self._settled(a, b, delete) for a, b in pairs]
            if not any(one.snapshots or one.labels or one.deleted or one.objects for one in results):
                break
        else:
            raise AssertionError("they do not converge")
        for (source, target), result in zip(pairs, results, strict=True):
            self._differ_only_in(source, target, result)
            assert self._opened(source).compare_remote(str(self.vaults[target].path)).conflicts == {}

    def _settled(self, source: int, target: int, delete: bool) -> SyncResult:
        before, dead = set(self.alive[target]), self._dead(target)
        with LocalRemote(self._opened(source)) as here, end(self.vaults[target]) as there:
            result = push(here, there, SyncOptions(delete=delete))
        assert (result.conflicts, result.failed) == ({}, {})
        now = {head.id for head in self._opened(target).snapshots()}
        assert now == (before - set(result.deleted)) | set(result.snapshots)
        assert not now & dead
        self.alive[target] = now
        return result

    def _differ_only_in(self, source: int, target: int, result: SyncResult) -> None:
        ours, theirs = ({head.id: head for head in self._opened(each).snapshots()} for each in (source, target))
        assert ours.keys() - theirs.keys() <= self._dead(target), "something did not arrive"
        assert ours.keys() - theirs.keys() <= result.refused.keys(), "something stayed and was not told"
        back: dict[str, Any] = self._settled(target, source, False).refused
        for id in ours.keys() & theirs.keys():
            if ours[id].label != theirs[id].label:
                assert id in result.refused or id in back, "a label stayed and was not told"
