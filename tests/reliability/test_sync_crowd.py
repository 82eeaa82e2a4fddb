"""Vaults that are synced while others work in them: two who push and a gc at once, and two that re-coded on their own.

By path, over a real SSH server, and in a bucket, where no lock keeps anybody out: each command a process of its own. In
a bucket the collection has no grace period, so that only what pushes and sweeps say of themselves saves anything; it is
killed in its midst as well, and so is who pushes. CASVAULT_SOAK_PUSHES and CASVAULT_SOAK_RECODINGS set the long forms.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from casvault import api
from casvault.gc.bucket import _Collector
from casvault.objects import ObjectName
from casvault.sync.bucket import BucketRemote
from casvault.sync.remote import Commit, Outcome
from tests.support import soak
from tests.support.command import clean_environment
from tests.support.lines import Line, copy_of
from tests.support.recoded import check_no_circles, two_that_recoded
from tests.support.sshd import sshd
from tests.support.stores import Store, fresh

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="on Windows nobody tried")
_WAIT = 60.0
_ROOT = Path(__file__).parents[2]
_SNAPSHOTS = 7
_IMPATIENT = """
import casvault.gc.bucket, casvault.sync.bucket, casvault.vault.sweeps as sweeps
sweeps.LIFE = casvault.sync.bucket.LIFE = 10.0
sweeps._RENEW = 1.0
from casvault.cli.main import run
run()
"""
"""Where a collection was killed, others wait as long as it may live, which is ten minutes else."""


def command(vault: api.Vault, *words: str, program: str | None = None, **environment: str) -> subprocess.Popen[str]:
    start = ["-m", "casvault"] if program is None else ["-c", program]
    return subprocess.Popen(
        [sys.executable, *start, "--vault", str(vault.path), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(**environment),
        cwd=_ROOT,
    )


@contextlib.contextmanager
def reached(root: Path, target: api.Vault, senders: list[api.Vault], by: str) -> Iterator[dict[str, str]]:
    """Let the senders call the target home; yield what has to be in the environment for it."""
    if by == "path":
        for sender in senders:
            sender.add_remote("home", str(target.path))
        yield {}
        return
    (root / "sshd").mkdir()
    with sshd(root / "sshd") as server:
        for sender in senders:
            sender.add_remote("home", server.url(Path(str(target.path))), program=str(server.program))
        yield {"CASVAULT_SSH": server.ssh}


def pushes(root: Path, by: str, rounds: int, seed: int) -> None:
    chosen = random.Random(seed)
    line = Line(root / "line", threads=1)
    line.grow(_SNAPSHOTS)
    with soak.campaign(f"two who push and a gc, by {by}") as figures:
        for number in range(rounds):
            place = root / str(number)
            senders = two_that_recoded(line, place, chosen)
            home = api.init(place / "home" / ".casvault")
            with reached(place, home, senders, by) as environment:
                working = [command(sender, "push", "home", "--json", **environment) for sender in senders]
                while any(process.poll() is None for process in working):
                    collector = command(home, "gc", "--json")
                    _, err = collector.communicate()
                    # Who finds it busy gives up after 30 s, and frees nothing.
                    assert collector.returncode in (0, 11), err
                    figures.count("collections")
            for process in working:
                out, err = process.communicate()
                assert process.returncode == 0, err + out
                figures.cases += 1
            here = api.open(str(home.path), threads=1)
            assert {head.id for head in here.snapshots()} == {h.id for each in senders for h in each.snapshots()}
            line.check(here)
            assert here.verify(read_data=True).ok
            check_no_circles(here)
            here.gc()
            line.check(here)
            figures.count("snapshots", len(here.snapshots()))


class Bucket:
    """A bucket to which two push what each coded anew on its own, and the vault of a third who collects there."""

    def __init__(self, line: Line, place: Path, store: Store, chosen: random.Random) -> None:
        self.line, self.place, self.chosen, self.url = line, place, chosen, fresh(store)
        self.senders = two_that_recoded(line, place, chosen)
        self.third = api.init(place / "third" / ".casvault")
        for vault in (*self.senders, self.third):
            vault.add_remote("home", self.url)
        one = self.senders[0]
        one.push("home")
        # What the first gives up is garbage there, and some of it the second needs.
        self.deleted = set(chosen.sample(sorted(head.id for head in one.snapshots()), 2))
        for id in self.deleted:
            one.delete(id)
        assert set(one.push("home", delete=True).deleted) == self.deleted

    def check(self) -> None:
        """Assert that everything is there and whole, also once no more is collected than may be."""
        wanted = {head.id for each in self.senders for head in each.snapshots()} - self.deleted
        for name in ("now", "collected"):
            fresh_one = api.init(self.place / name / ".casvault")
            result = fresh_one.pull(self.url)
            assert not result.failed
            assert set(result.snapshots) == wanted
            here = api.open(str(fresh_one.path), threads=1)
            self.line.check(here)
            assert here.verify(read_data=True).ok
            check_no_circles(here)
            with self.third.remote("home") as there:
                there.gc(grace=timedelta(0))
                assert {head.id for head in there.snapshots()} == wanted


def bucket_pushes(root: Path, store: Store, name: str, rounds: int, seed: int, *, killing: bool = False) -> None:
    chosen = random.Random(seed)
    line = Line(root / "line", threads=1)
    line.grow(_SNAPSHOTS)
    what = f"two who push to a bucket and a gc, {name}"
    with soak.campaign(what + (", some killed" if killing else "")) as figures:
        for number in range(rounds):
            bucket = Bucket(line, root / str(number), store, chosen)
            # Slow enough that some collections fall in its midst.
            words = ("push", "home", "--limit-rate", "150kB", "--json")
            working = [command(sender, *words, program=_IMPATIENT) for sender in bucket.senders]
            if killing:
                # One is cut off somewhere, and does it again.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    working[1].wait(chosen.uniform(0.3, 3.0))
                working[1].kill()
                working[1].communicate()
                working[1] = command(bucket.senders[1], *words, program=_IMPATIENT)
            while any(process.poll() is None for process in working):
                collector = command(
                    bucket.third, "--remote", "home", "gc", "--grace", "0m", "--json", program=_IMPATIENT
                )
                if killing and chosen.random() < 0.5:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        collector.wait(chosen.uniform(0.5, 3.0))
                    collector.kill()
                out, err = collector.communicate()
                assert collector.returncode in (0, -9), err
                figures.count("collections" if collector.returncode == 0 else "collections killed")
                figures.count("objects collected", json.loads(out)["deleted_objects"] if out else 0)
            for process in working:
                out, err = process.communicate()
                # The dead that one of them still has are refused, and that is told.
                assert process.returncode in (0, 3), err + out
                assert not json.loads(out)["failed"]
                figures.cases += 1
            bucket.check()


def recodings(root: Path, rounds: int, seed: int) -> None:
    chosen = random.Random(seed)
    line = Line(root / "line", threads=1)
    line.grow(_SNAPSHOTS)
    with soak.campaign("two that re-coded on their own") as figures:
        for number in range(rounds):
            one, two = two_that_recoded(line, root / str(number), chosen)
            one.add_remote("other", str(two.path))
            for _ in range(3):
                one.sync("other")
                for vault in (one, two):
                    fresh = api.open(str(vault.path), threads=1)
                    check_no_circles(fresh)
                    line.check(fresh)
                    assert fresh.verify(read_data=True).ok
                    figures.count("restorable", len(fresh.snapshots()))
                # On their own once more: each gives something up, codes anew, and takes it back.
                for vault in (one, two):
                    ids = [head.id for head in vault.snapshots()]
                    api.open(str(vault.path), threads=1).delete(chosen.choice(ids), gc=True)
                figures.cases += 1
            assert {h.id for h in one.snapshots()} | {h.id for h in two.snapshots()} <= line.saves.keys()
            assert copy_of(one, root / str(number) / "copy").verify(read_data=True).ok


def test_once_coded_anew(tmp_path: Path) -> None:
    recodings(tmp_path, 1, soak.seed(1))


@pytest.mark.parametrize(
    ("order", "without", "loses"),
    [
        ("announced before the sweep", None, False),
        ("announced during the sweep", None, False),
        ("announced before the sweep", "announcing", True),
        ("announced during the sweep", "waiting", True),
    ],
)
def test_a_push_in_the_midst_of_a_sweep(
    s3: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, without: str | None, loses: bool
) -> None:
    """Where a push does not announce itself, or does not wait for a sweep, something is lost."""
    line, url = Line(tmp_path / "line", threads=1), fresh(s3)
    first = line.snapshot()
    line.vault.push(url)
    line.vault.delete(first)
    line.vault.push(url, delete=True)
    # What never changes is garbage there now, and is needed by the next.
    line.snapshot()
    monkeypatch.setattr("casvault.gc.bucket._SETTLE", 0.0)
    monkeypatch.setattr("casvault.sync.bucket._POLL", 0.01)
    if without == "announcing":
        monkeypatch.setattr("casvault.sync.bucket.Pending.write", lambda *words: None)
    meeting = Meeting(monkeypatch, order, waits=without != "waiting")
    meeting.run(lambda: line.vault.push(url), lambda: collect(api.init(tmp_path / "third" / ".casvault"), url))
    back = api.init(tmp_path / "back" / ".casvault")
    assert bool(back.pull(url).failed) == loses
    if not loses:
        assert len(back.snapshots()) == 1
        line.check(back)


def collect(vault: api.Vault, url: str) -> None:
    with vault.remote(url) as there:
        assert there.gc(grace=timedelta(0)).forgotten_snapshots


class Meeting:
    """A push and a sweep that meet: the push is over after the sweep looked at what is needed, and before it removes.

    Where the push waits for the sweep, the sweep goes on.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, order: str, *, waits: bool) -> None:
        self._looked, self._go, self._pushing = (threading.Event() for _ in range(3))
        self._first = order == "announced before the sweep"
        commit, wait, remove = BucketRemote.commit, BucketRemote._wait_for_sweeps, _Collector.remove

        def committing(remote: BucketRemote, what: Commit) -> Outcome:
            if self._first:
                self._pushing.set()
                assert self._looked.wait(_WAIT)
            return commit(remote, what)

        def waiting(remote: BucketRemote, announcement: str) -> None:
            if waits:
                if not self._first:
                    self._go.set()
                wait(remote, announcement)

        def removing(collector: _Collector, *words: Any) -> list[ObjectName]:
            self._looked.set()
            assert self._go.wait(_WAIT)
            return remove(collector, *words)

        monkeypatch.setattr(BucketRemote, "commit", committing)
        monkeypatch.setattr(BucketRemote, "_wait_for_sweeps", waiting)
        monkeypatch.setattr(_Collector, "remove", removing)

    def run(self, push: Callable[[], object], sweep: Callable[[], object]) -> None:
        """Let them meet; raises what one of them does."""

        def pushing() -> None:
            if not self._first:
                assert self._looked.wait(_WAIT)
            push()
            self._go.set()

        def sweeping() -> None:
            if self._first:
                assert self._pushing.wait(_WAIT)
            sweep()

        with ThreadPoolExecutor(2) as pool:
            for each in [pool.submit(pushing), pool.submit(sweeping)]:
                each.result()


@pytest.mark.slow
@pytest.mark.parametrize("killing", [False, True])
@pytest.mark.parametrize("name", ["moto", "swift"])
def test_many_pushes_to_a_bucket(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, killing: bool
) -> None:
    store: Store = request.getfixturevalue(name)
    for key, value in store.environment.items():
        monkeypatch.setenv(key, value)
    bucket_pushes(tmp_path, store, name, soak.size("PUSHES", 30), soak.seed(), killing=killing)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["path", "ssh"])
def test_many_pushes(tmp_path: Path, by: str) -> None:
    pushes(tmp_path, by, soak.size("PUSHES", 30), soak.seed())


@pytest.mark.slow
def test_many_that_recoded(tmp_path: Path) -> None:
    recodings(tmp_path, soak.size("RECODINGS", 100), soak.seed())
