"""Three vaults, each with a history of its own, synced in any order and direction: they converge, and nothing is lost.

CASVAULT_SOAK_HISTORIES and CASVAULT_SOAK_STEPS set the long form; hypothesis prints the steps of what it finds, and
CASVAULT_TEST_SEED=N chooses its seed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from casvault.sync import SyncOptions, transfer
from casvault.sync.local import LocalRemote
from casvault.sync.plan import Plan
from tests.support import soak
from tests.support.ends import KINDS
from tests.support.three_vaults import Three

ONE = st.integers(0, 2)
CHANGES = st.sampled_from(
    ["delete", "delete", "undelete", "thin", "unthin", "edit", "pin", "unpin", "gc", "gc", "sweep"]
)


class COUNTS:
    """What all machines of a campaign did together."""

    of: ClassVar[Counter[str]] = Counter()


class ThreeVaults(RuleBasedStateMachine):
    """Three vaults and what they must be."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="casvault-three-"))
        self.three = Three(self.root, COUNTS.of)
        self.three.train(0, True)
        self._send(0, 1)
        self.three.train(1, False)
        COUNTS.of["histories"] += 1

    @rule(number=ONE, line=st.booleans())
    def train(self, number: int, line: bool) -> None:
        self.three.train(number, line)

    @rule(number=ONE, what=CHANGES, choice=st.integers(0, 1000))
    def change(self, number: int, what: str, choice: int) -> None:
        self.three.change(number, what, choice)

    @rule(
        source=ONE,
        step=st.integers(1, 2),
        delete=st.booleans(),
        way=st.sampled_from(["push", "pull"]),
        kind=st.sampled_from(KINDS),
        cut=st.one_of(st.none(), st.none(), st.integers(0, 300_000)),
    )
    def send(self, source: int, step: int, delete: bool, way: str, kind: str, cut: int | None) -> None:
        self.three.train(source, True)
        self._send(source, (source + step) % 3, delete=delete, way=way, kind=kind, cut=cut)

    @rule(number=ONE, step=st.integers(1, 2), delete=st.booleans())
    def exchange(self, number: int, step: int, delete: bool) -> None:
        other = (number + step) % 3
        self._send(number, other, delete=delete)
        self._send(other, number, delete=delete, way="pull", kind="wire")

    def _send(
        self,
        source: int,
        target: int,
        *,
        delete: bool = False,
        way: str = "push",
        kind: str = "path",
        cut: int | None = None,
    ) -> None:
        self.three.send(source, target, options=SyncOptions(delete=delete), way=way, kind=kind, cut=cut)

    @rule(number=ONE)
    def check(self, number: int) -> None:
        self.three.check(number)

    def teardown(self) -> None:
        if not hasattr(self, "three"):
            return
        try:
            for delete in (False, True):
                self.three.converge(delete=delete)
                for number in range(3):
                    self.three.check(number)
            for number in range(3):
                self.three.change(number, "gc", 0)
                self.three.check(number)
            self.three.converge(delete=True)
        finally:
            shutil.rmtree(self.root, ignore_errors=True)


def run(histories: int, steps: int, seed: int) -> None:
    with soak.campaign("three vaults") as figures:
        COUNTS.of = Counter()
        chosen = settings(
            max_examples=histories,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        )
        try:
            seeded(seed)(run_state_machine_as_test)(ThreeVaults, settings=chosen)
        finally:
            figures.cases = COUNTS.of["transfers"] + COUNTS.of["cut off"]
            figures.more |= dict(sorted(COUNTS.of.items()))


def dead_in_b(root: Path) -> Three:
    """Return three vaults of which b has deleted, and collected, the snapshot that a has."""
    three = Three(root, Counter())
    three.train(0, True)
    three.send(0, 1, options=SyncOptions(), way="push", kind="path", cut=None)
    three.change(1, "delete", 0)
    three.change(1, "gc", 0)
    return three


def test_it_notices_when_the_dead_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three = dead_in_b(tmp_path / "with")
    three.send(0, 1, options=SyncOptions(), way="push", kind="path", cut=None)
    three = dead_in_b(tmp_path / "without")
    monkeypatch.setattr(LocalRemote, "_is_deleted", lambda *_: False)
    monkeypatch.setattr(LocalRemote, "_refusal", lambda *_: None)
    with pytest.raises(AssertionError):
        three.send(0, 1, options=SyncOptions(), way="push", kind="path", cut=None)


def test_it_notices_when_something_stays_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three = Three(tmp_path, Counter())
    three.train(0, True)
    monkeypatch.setattr(transfer, "plan_snapshots", lambda *_, **__: Plan())
    with pytest.raises(AssertionError, match="did not arrive"):
        three.converge(delete=False)


def test_a_few_histories() -> None:
    run(2, 10, soak.seed(5))


@pytest.mark.slow
def test_many_histories() -> None:
    run(soak.size("HISTORIES", 200), soak.size("STEPS", 40), soak.seed())
