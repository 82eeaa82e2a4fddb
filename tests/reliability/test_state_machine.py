"""Any sequence of operations on the public interface, with faults in between, does what plain dictionaries say.

CASVAULT_SOAK_RUNS and CASVAULT_SOAK_STEPS set the long form; hypothesis prints the steps of what it finds, and
CASVAULT_TEST_SEED=N chooses its seed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from casvault import RestoreOptions, Rules, api
from casvault.capture import Patience
from casvault.demo.model import SampleModel
from casvault.digest import digest_of
from casvault.errors import IncompleteSave, NotFound, UsageError
from casvault.vault.head import Head
from tests.support import soak
from tests.support.faults import trial
from tests.support.loading import start
from tests.support.trainer import NAME, contents

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")

OPTIMIZER = f"{NAME}_src_dst_opt.npy"
FAULTS = st.sampled_from(["", "", "", "", "kill", "kill", "crash", "ENOSPC", "EIO", "EACCES"])
POINTS = st.integers(1, 90)
ANY = st.integers(0, 1000)


@dataclass(frozen=True)
class Known:
    """What is known of a snapshot: path -> digest of its files, and its label."""

    files: dict[str, str]
    name: str | None = None
    notes: str | None = None
    tags: tuple[str, ...] = ()
    pinned: bool = False
    thinned: bool = False
    deleted: bool = False


def seen(head: Head) -> tuple[Any, ...]:
    """Return what the vault says of a snapshot that `Known` tells as well."""
    label = head.label
    return label.name, label.notes, label.tags, label.pinned, bool(label.thinned), label.deleted


class COUNTS:
    """What all machines of a campaign did together."""

    steps: ClassVar[dict[str, int]] = {}
    faults: ClassVar[dict[str, int]] = {}


def count(counts: dict[str, int], what: str) -> None:
    counts[what] = counts.get(what, 0) + 1


class VaultMachine(RuleBasedStateMachine):
    """One vault, one model, and what they must be."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="casvault machine ", dir=soak.in_memory()))
        self.model = SampleModel(self.root / "workspace" / "model", NAME, 6_000)
        self.model._previews = []
        self.model.save()
        self.place = self.model.folder / NAME
        api.init(self.root / ".casvault")
        self.vault = api.open(self.root / ".casvault", threads=1)
        self.known: dict[str, Known] = {}
        self.backup: str | None = None
        self.live = self._live()
        self.snapshot("a", "", 0)
        self.train(1)

    def teardown(self) -> None:
        if hasattr(self, "root"):
            self._check_everything()
            shutil.rmtree(self.root)

    def _live(self) -> dict[str, str]:
        return {path: digest_of(data) for path, data in contents(self.model.folder, NAME).items()}

    def _pick(self, number: int, *, deleted: bool = False) -> str | None:
        ids = sorted(id for id, one in self.known.items() if one.deleted == deleted)
        return ids[number % len(ids)] if ids else None

    def _do(self, what: str, work: Callable[[], object], fault: str, point: int) -> bool:
        """Do it, perhaps in a child that gets a fault; return whether what it did is not known."""
        count(COUNTS.steps, what)
        if not fault:
            work()
            return False
        ended = trial(point, fault, work)
        count(COUNTS.faults, fault if ended.killed or ended.raised else "too late")
        errors = ("NoSpace", "StorageError", "UsageError", "NotFound", "IncompleteSave", "PartialResult", "Locked")
        assert ended.killed or ended.raised in ("", "Crash", "KeyboardInterrupt", *errors), ended
        self.vault = api.open(self.root / ".casvault", threads=1)
        self.vault.finish_interrupted()
        return True

    # The model

    @rule(iterations=st.integers(1, 3))
    def save(self, iterations: int) -> None:
        self.train(iterations)

    def train(self, iterations: int) -> None:
        self.model.train(iterations)
        self.model.save()
        self.live = self._live()

    @rule(name=st.sampled_from([None, "a", "b", "c"]), fault=FAULTS, point=POINTS)
    def take(self, name: str | None, fault: str, point: int) -> None:
        self.snapshot(name, fault, point)

    def snapshot(self, name: str | None, fault: str, point: int) -> None:
        def take() -> str:
            return self.vault.snapshot(self.place, name=name, patience=Patience(0.0)).id

        try:
            if self._do("snapshot", take, fault, point):
                self._adopt({None, name})
            else:
                self._adopt({name}, exactly=1)
        except IncompleteSave:
            assert OPTIMIZER not in self.live

    def _adopt(self, names: set[str | None] | None, exactly: int | None = None) -> None:
        """Take into the dictionaries what is new; it must hold what is, or was, live, or be nothing at all."""
        heads = {head.id: head for head in self.vault.heads()}
        new = [head for id, head in heads.items() if id not in self.known]
        assert len(new) <= 1
        assert exactly is None or len(new) == exactly
        for head in new:
            files = {file.path: file.digest for file in self.vault.manifest(head.id).files}
            assert files == self.live, "a snapshot of something that never was"
            assert names is None or head.label.name in names
            self.known[head.id] = Known(files, head.label.name)

    @precondition(lambda self: any(not one.deleted for one in self.known.values()))
    @rule(number=ANY, fault=FAULTS, point=POINTS)
    def restore(self, number: int, fault: str, point: int) -> None:
        id = self._pick(number)
        assert id is not None
        self._restore(id, lambda: self.vault.restore(id, RestoreOptions(allow_incomplete=True)), fault, point)

    def _restore(self, id: str, work: Callable[[], Any], fault: str, point: int) -> None:
        old, kept = self.live, {}

        def do() -> None:
            kept["result"] = work()

        unknown = self._do("restore", do, fault, point)
        before = set(self.known)
        self._adopt(None)
        new = dict(self.known[id].files)
        if self.known[id].thinned:
            new.pop(OPTIMIZER, None)
        self.live = self._live()
        # Where the restore is done, its live record tells what undo goes to.
        record = self.vault.live(self.vault.live_key(self.vault.models(self.place)[0]))
        if unknown:
            assert self.live in (old, new)
            self.backup = record.backup if record is not None else None
        else:
            assert self.live == new
            result = kept["result"]
            if result.backup is not None:
                assert self.known[result.backup.id].files == old, "the backup is not what was there"
                assert record is not None
                assert record.backup == result.backup.id
                self.backup = result.backup.id
        assert self.live == old or any(one.files == old and not one.deleted for one in self.known.values())
        assert len(set(self.known) - before) <= 1

    @rule(fault=FAULTS, point=POINTS)
    def undo(self, fault: str, point: int) -> None:
        id = self.backup
        if id is None or id not in self.known or self.known[id].deleted:
            with pytest.raises(NotFound):
                self.vault.undo(self.place)
            return
        self._restore(id, lambda: self.vault.undo(self.place), fault, point)

    # Labels

    def _change(self, id: str, work: Callable[[], object], then: Known, fault: str, point: int, what: str) -> None:
        """Do what changes one label: afterwards it is the new one, or with a fault perhaps the old one."""
        if self._do(what, work, fault, point):
            (head,) = [head for head in self.vault.heads(deleted=True) if head.id == id]
            now = seen(head)
            for one in (then, self.known[id]):
                if now == self._told(one):
                    self.known[id] = one
                    return
            raise AssertionError(f"neither the old label nor the new one: {now}")
        self.known[id] = then

    @staticmethod
    def _told(one: Known) -> tuple[Any, ...]:
        return one.name, one.notes, one.tags, one.pinned, one.thinned, one.deleted

    @rule(
        number=ANY,
        name=st.sampled_from([None, "", "x", "y"]),
        notes=st.sampled_from([None, "", "n\nm"]),
        pinned=st.sampled_from([None, True, False, False]),
        fault=FAULTS,
        point=st.integers(1, 15),
    )
    def edit(
        self, number: int, name: str | None, notes: str | None, pinned: bool | None, fault: str, point: int
    ) -> None:
        id = self._pick(number)
        if id is None or (name, notes, pinned) == (None, None, None):
            return
        old = self.known[id]
        then = replace(
            old,
            name=old.name if name is None else name or None,
            notes=old.notes if notes is None else notes or None,
            pinned=old.pinned if pinned is None else pinned,
        )
        work = lambda: self.vault.edit(id, name=name, notes=notes, pinned=pinned)  # noqa: E731
        self._change(id, work, then, fault, point, "edit")

    @rule(number=ANY, fault=FAULTS, point=st.integers(1, 15))
    def delete(self, number: int, fault: str, point: int) -> None:
        id = self._pick(number)
        if id is None:
            return
        if self.known[id].pinned:
            with pytest.raises(UsageError, match="pinned"):
                self.vault.delete(id)
            return
        then = replace(self.known[id], deleted=True)
        self._change(id, lambda: self.vault.delete(id), then, fault, point, "delete")

    @rule(number=ANY, fault=FAULTS, point=st.integers(1, 15))
    def undelete(self, number: int, fault: str, point: int) -> None:
        id = self._pick(number, deleted=True)
        if id is not None:
            then = replace(self.known[id], deleted=False)
            self._change(id, lambda: self.vault.undelete(id), then, fault, point, "undelete")

    @rule(number=ANY, fault=FAULTS, point=st.integers(1, 15))
    def thin(self, number: int, fault: str, point: int) -> None:
        id = self._pick(number)
        if id is None:
            return
        one = self.known[id]
        if one.pinned or one.thinned or OPTIMIZER not in one.files:
            with pytest.raises(UsageError):
                self.vault.thin(id)
            return
        self._change(id, lambda: self.vault.thin(id), replace(one, thinned=True), fault, point, "thin")

    @rule(number=ANY, fault=FAULTS, point=st.integers(1, 15))
    def unthin(self, number: int, fault: str, point: int) -> None:
        id = self._pick(number)
        if id is None or not self.known[id].thinned:
            return
        wanted = self.known[id].files[OPTIMIZER]
        sure = any(
            OPTIMIZER in one.files and one.files[OPTIMIZER] == wanted and not one.deleted and not one.thinned
            for one in self.known.values()
        )
        try:
            then = replace(self.known[id], thinned=False)
            self._change(id, lambda: self.vault.unthin(id), then, fault, point, "unthin")
        except NotFound:
            assert not sure

    # The vault

    @rule(fault=FAULTS, point=POINTS, recode=st.booleans())
    def gc(self, fault: str, point: int, recode: bool) -> None:
        unknown = self._do("gc", lambda: self.vault.gc(recode=recode), fault, point)
        there = {head.id for head in self.vault.heads(deleted=True)}
        for id in [id for id, one in self.known.items() if one.deleted]:
            if id not in there:
                del self.known[id]
            else:
                assert unknown, "gc left a deleted snapshot"
        if not unknown:
            assert self.vault.usage().vault.reclaimable_bytes == 0

    @rule(last=st.integers(1, 3), manual=st.booleans(), fault=FAULTS, point=POINTS)
    def prune(self, last: int, manual: bool, fault: str, point: int) -> None:
        rules = Rules(last=last)
        plan = self.vault.plan_prune(rules, include_manual=manual)
        goes = {verdict.head.id for verdict in plan.verdicts if not verdict.stays}
        assert not any(self.known[id].pinned for id in goes)
        unknown = self._do("prune", lambda: self.vault.prune(rules, include_manual=manual), fault, point)
        now = {head.id: head.label.deleted for head in self.vault.heads(deleted=True)}
        for id, one in self.known.items():
            if now[id] != one.deleted:
                assert id in goes
                self.known[id] = replace(one, deleted=True)
            elif id in goes:
                assert unknown

    @rule()
    def usage(self) -> None:
        told = self.vault.usage()
        objects = [path for path in (self.root / ".casvault/objects").rglob("*") if path.is_file()]
        assert told.vault.stored_bytes == sum(path.stat().st_size for path in objects)
        assert sum(one.unique_bytes for one in told.snapshots) <= told.vault.stored_bytes
        assert len(told.snapshots) == sum(not one.deleted for one in self.known.values())

    @rule()
    def reopen(self) -> None:
        self.vault = api.open(self.root / ".casvault", threads=1)

    @rule()
    def forget_what_is_derived(self) -> None:
        shutil.rmtree(self.root / ".casvault/cache", ignore_errors=True)
        self.reopen()

    # What always holds

    @invariant()
    def the_vault_says_what_is_known(self) -> None:
        count(COUNTS.steps, "all")
        heads = {head.id: seen(head) for head in self.vault.heads(deleted=True)}
        assert heads == {id: self._told(one) for id, one in self.known.items()}

    @invariant()
    def the_model_is_as_it_was_left(self) -> None:
        assert self._live() == self.live
        assert start(self.model.folder, NAME).afresh == ()

    @rule()
    def verify(self) -> None:
        count(COUNTS.steps, "verify")
        found = self.vault.verify(read_data=True)
        assert found.ok, found.damaged
        for id, one in self.known.items():
            if one.deleted:
                continue
            for file in self.vault.manifest(id).files:
                assert one.files[file.path] == file.digest
                if not (one.thinned and file.path == OPTIMIZER):
                    plain = b"".join(bytes(self.vault.objects.read(part.digest, part.size)) for part in file.chunks)
                    assert digest_of(plain) == file.digest

    def _check_everything(self) -> None:
        self.verify()
        self.vault.gc()
        self.verify()


def run(name: str, runs: int, steps: int, seed: int) -> None:
    with soak.campaign(name) as figures:
        COUNTS.steps.clear()
        COUNTS.faults.clear()
        chosen = settings(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        )
        try:
            seeded(seed)(run_state_machine_as_test)(VaultMachine, settings=chosen)
        finally:
            figures.cases = COUNTS.steps.pop("all", 0)
            figures.more |= {"runs": runs, "faults": sum(COUNTS.faults.values()), **COUNTS.steps}


@pytest.mark.parametrize("seed", [1, 2])
def test_some_sequences(seed: int) -> None:
    run("state machine", 50, 30, soak.seed(seed))


@pytest.mark.slow
def test_many_sequences() -> None:
    run("state machine", soak.size("RUNS", 100), soak.size("STEPS", 30), soak.seed())
