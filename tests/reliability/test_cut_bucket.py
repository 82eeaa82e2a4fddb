"""The way to a bucket, cut and harmed: a snapshot is there as a whole or not at all, and little goes twice.

Before a server that answers as S3 does (moto) and before a real object store (OpenStack Swift) stands a proxy. It
breaks every connection after so many bytes and lets nobody in for a moment, or does harm to single requests. What is in
the receiver meanwhile, looked at past the proxy, has to be whole. The same command goes on by itself, or fails with one
sentence and is run again, or was killed and is run again. At the end everything is there byte for byte.

CASVAULT_SOAK_CHECKPOINTS names a folder of real saves, each a folder: the long form takes them in place of small ones.
CASVAULT_SOAK_CUTS says at how many parts of the whole it cuts.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from casvault import api
from casvault.errors import BrokenLink, CasvaultError
from casvault.manifest.manifest import Manifest
from casvault.manifest.stamp import Stamp
from casvault.sync import RemoteEntry, SyncOptions, connect, pull, push
from casvault.sync.bucket import BucketRemote
from casvault.sync.local import LocalRemote
from casvault.sync.remote import Wanted
from tests.reliability.test_cut_link import Check, drifting, saved
from tests.support.command import clean_environment
from tests.support.lines import Line
from tests.support.proxy import Proxy, proxy
from tests.support.soak import campaign, size
from tests.support.stores import Store, fresh

_MOST_TWICE = 5.0
_ON_THE_WAY = 3 << 20
"""What is on its way at once is lost where the link breaks; of a small transfer that is more than a twentieth."""

_HOWS = ("brief", "long", "brief", "again", "brief", "long", "brief", "again", "brief", "kill")
_HARMS: tuple[str | int, ...] = ("drop", "reset", "truncate", "garble", "delay", 500, 503, 429)
_RETRY = {
    "max_retries": 6,
    "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=1), "base": 2},
    "retry_timeout": timedelta(seconds=20),
}
_KINDS = ("snapshots", "labels", "objects")
_WAIT = 120.0


class Course:
    """One way between a full vault and a place in a bucket that is reached over a proxy."""

    def __init__(self, store: Store, way: Proxy, full: api.Vault, root: Path, direction: str, check: Check) -> None:
        self.store, self.way, self.full, self.check = store, way, full, check
        self.ids = {head.id for head in full.snapshots()}
        self._root = root
        self._pushing = direction == "push"
        self._url = fresh(store)
        if not self._pushing:
            with self.bucket() as there, LocalRemote(full) as here:
                push(here, there, SyncOptions())

    @contextlib.contextmanager
    def bucket(self, near: api.Vault | None = None, *, harmed: bool = False) -> Iterator[BucketRemote]:
        """Yield the bucket, past the proxy or over it."""
        endpoint = self.way.endpoint if harmed else self.store.endpoint
        entry = RemoteEntry("far", self._url, options={"endpoint": endpoint, "allow_http": "true"})
        with connect(entry, 2, near, make=True) as there:
            assert isinstance(there, BucketRemote)
            yield there

    def begin(self) -> None:
        """Empty what is to be filled."""
        self.way.heal()
        shutil.rmtree(self._near, ignore_errors=True)
        if self._pushing:
            with self.bucket() as there:
                backend = there.backend
                backend.delete_all([one.name for one in backend.walk()])
        else:
            api.init(self._near)

    def run(self, options: SyncOptions | None = None) -> None:
        """Go the way once; raises what that raises."""
        near = self.full if self._pushing else api.open(self._near)
        with LocalRemote(near) as here, self.bucket(near, harmed=True) as there:
            (push if self._pushing else pull)(here, there, options or SyncOptions())

    def start(self) -> subprocess.Popen[bytes]:
        """Go the way in a process of its own."""
        near = self.full.path if self._pushing else self._near
        return subprocess.Popen(
            [sys.executable, "-m", "casvault", "--vault", str(near), "push" if self._pushing else "pull", self._url],
            env=clean_environment(**self.store.reached_at(self.way.endpoint).environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
        )

    def look(self) -> int:
        """Assert that every snapshot that is seen in the receiver now is whole, and return how many those are."""
        if not self._pushing:
            there = api.open(self._near)
            self.check(there)
            return len(there.snapshots())
        with self.bucket() as bucket:
            known = bucket.state().snapshots if bucket.is_there else {}
            digests = {chunk.digest for id in known for chunk in Manifest.parse(bucket.manifest(id), id).chunks()}
            names = bucket.closure(digests) if digests else []
            assert {name.digest for name in names} >= digests
            assert self.tags().items() <= contents(self._full).items()
            return len(known)

    def end(self, *, pulled: bool = True, leftover: bool = False) -> None:
        """Assert that everything is there, byte for byte; ``leftover`` is what a command that failed had announced."""
        if not self._pushing:
            assert contents(self._near) == contents(self._full)
            self.check(api.open(self._near))
            return
        with self.bucket() as there:
            assert self.tags() == contents(self._full)
            assert leftover or not list(there.backend.walk("pending"))
        if pulled:
            vault = api.init(self._near)
            with LocalRemote(vault) as here, self.bucket() as there:
                assert set(pull(here, there, SyncOptions()).snapshots) == self.ids
            self.check(api.open(self._near))

    def tags(self) -> dict[str, str]:
        """Return what `contents` returns, of the bucket and as the store says it."""
        import obstore

        prefix = self._url.rpartition("/")[2] + "/"
        every = {
            each["path"].removeprefix(prefix): each for page in obstore.list(self.store.raw(), prefix) for each in page
        }
        return {name: one["e_tag"].strip('"') for name, one in every.items() if name.partition("/")[0] in _KINDS}

    @property
    def _near(self) -> Path:
        return self._root / "near" / ".casvault"

    @property
    def _full(self) -> Path:
        assert self.full.path is not None
        return self.full.path


def contents(vault: Path) -> dict[str, str]:
    """Return the MD5 of everything in a vault that snapshots are made of, by name."""
    files = [path for kind in _KINDS for path in (vault / kind).rglob("*") if path.is_file() and path.suffix != ".tmp"]
    return {path.relative_to(vault).as_posix(): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


@contextlib.contextmanager
def healing(way: Proxy, look: Callable[[], object], after: float) -> Iterator[list[int]]:
    """Wait for a link to break, look at what there is, and heal it; yields the bytes that went by then."""
    ended = threading.Event()
    before: list[int] = []
    failures: list[BaseException] = []

    def run() -> None:
        while not way.broken:
            if ended.wait(0.002):
                return
        try:
            look()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)
        ended.wait(after)
        before.append(way.moved)
        way.heal()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield before
    finally:
        ended.set()
        thread.join()
    if failures:
        raise failures[0]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.backends.stores._RETRY", _RETRY)
    monkeypatch.setattr("casvault.sync.backoff._FIRST", 0.2)


@pytest.fixture(params=["moto", "swift"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    return reach(request.param, request, monkeypatch)


def reach(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    made = request.getfixturevalue(name)
    assert isinstance(made, Store)
    for key, value in made.environment.items():
        monkeypatch.setenv(key, value)
    return made


def cut(course: Course, points: list[tuple[str, float]], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut one way at these parts of the whole, each time in another manner."""
    way = course.way
    course.begin()
    course.run()
    total = way.moved
    course.end()
    with campaign(name) as figures:
        figures.more["bytes"] = total
        for number, (how, part) in enumerate(points):
            course.begin()
            way.cut_after = int(total * part)
            # What is short enough is not even noticed: obstore asks again by itself.
            with monkeypatch.context() as patched, healing(way, course.look, 0.3 if how == "brief" else 0.6) as before:
                if how == "long":
                    patched.setattr("casvault.backends.stores._RETRY", {"max_retries": 0})
                if how == "kill":
                    killed(course, way)
                elif how == "again":
                    patched.setattr("casvault.backends.stores._RETRY", {"max_retries": 0})
                    with contextlib.suppress(BrokenLink):
                        course.run(SyncOptions(retries=0))
                    wait_until(lambda: bool(before))
                course.run()
            figures.count("broke", len(before))
            assert before, (how, part)
            course.end(pulled=number % 10 == 0, leftover=how in ("again", "kill"))
            figures.cases += 1
            if how != "kill":
                more = before[0] + way.moved - total
                twice = round(100 * more / total, 2)
                figures.more["most bytes twice, %"] = max(float(figures.more.get("most bytes twice, %", 0)), twice)
                assert twice < _MOST_TWICE or more < _ON_THE_WAY, (how, part, total, more)


def killed(course: Course, way: Proxy) -> None:
    """Kill the command when the link breaks, and return when that is healed."""
    process = course.start()
    wait_until(lambda: way.broken or process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not way.broken)


def wait_until(done: Callable[[], bool]) -> None:
    ticking = threading.Event()
    for _ in range(int(_WAIT / 0.01)):
        if done():
            return
        ticking.wait(0.01)
    raise AssertionError("that does not happen")


def harm(
    course: Course, harms: list[tuple[str | int, Callable[[int], bool]]], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Do harm to some requests, and see that all comes to its end, at once or at the second try."""
    way = course.way
    quick = {"init_backoff": timedelta(milliseconds=5), "max_backoff": timedelta(milliseconds=50), "base": 2}
    monkeypatch.setattr("casvault.backends.stores._RETRY", {**_RETRY, "backoff": quick})
    monkeypatch.setattr("casvault.backends.bucket._PAUSE", 0.02)
    with campaign(name) as figures:
        for what, hits in harms:
            course.begin()
            done = 0

            def decide(method: str, path: str, number: int) -> str | int | None:
                nonlocal done
                done += hits(number)  # noqa: B023
                return what if hits(number) else None  # noqa: B023

            way.decide = decide
            told: str | None = None
            try:
                course.run()
            except CasvaultError as error:
                told = str(error)
            way.decide = lambda method, path, number: None
            # What is garbled is not taken for a link that may mend.
            assert told is None or (what == "garble" and "\n" not in told and told.endswith(".")), (what, told)
            figures.count("told", told is not None)
            course.look()
            course.run()
            course.end(pulled=False, leftover=True)
            figures.cases += 1
            figures.count("requests harmed", done)


@pytest.fixture
def link(store: Store) -> Iterator[Proxy]:
    with proxy(int(store.endpoint.rpartition(":")[2])) as running:
        yield running


def nth(number: int) -> Callable[[int], bool]:
    """Return what tells every request of so many."""
    return lambda at: at % number == number - 1


def at(number: int) -> Callable[[int], bool]:
    """Return what tells one request."""
    return lambda found: found == number


@pytest.mark.parametrize("direction", ["push", "pull"])
@pytest.mark.parametrize("store", ["moto"], indirect=True)
def test_a_cut_anywhere(
    store: Store, link: Proxy, tmp_path: Path, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, check = saved(tmp_path / "full", drifting(tmp_path / "saves", 2, 1 << 18))
    course = Course(store, link, vault, tmp_path, direction, check)
    cut(course, [("brief" if direction == "push" else "long", 0.6)], f"buckets cut, {direction}", monkeypatch)
    some = ("truncate", "garble") if direction == "pull" else ("reset", 503)
    harm(course, [(what, nth(5)) for what in some], f"requests harmed, {direction}", monkeypatch)


@pytest.mark.parametrize("direction", ["push", "pull"])
@pytest.mark.parametrize("store", ["moto"], indirect=True)
def test_what_arrived_goes_once(
    store: Store, link: Proxy, tmp_path: Path, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casvault.backends.stores._RETRY", {"max_retries": 0})
    monkeypatch.setattr("casvault.backends.bucket._TRIES", 1)
    monkeypatch.setattr("casvault.sync.backoff._FIRST", 0.05)
    line = Line(tmp_path / "full", threads=1)
    line.grow(3)
    course = Course(store, link, line.vault, tmp_path, direction, line.check)
    course.begin()
    verb, seen, count = {"push": "PUT", "pull": "GET"}[direction], list[str](), itertools.count()

    def decide(method: str, path: str, number: int) -> str | int | None:
        if method != verb or "/objects/" not in path:
            return None
        seen.append(path)
        return "reset" if next(count) == 1 else None

    link.decide = decide
    course.run()
    # What leans on the one that was hit counts for nothing without it.
    assert 1 <= len(seen) - len(set(seen)) <= 3
    course.end()


@pytest.mark.parametrize("store", ["moto"], indirect=True)
def test_nothing_is_begun_after_the_end(
    store: Store, link: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casvault.backends.bucket._THREADS", 1)
    line = Line(tmp_path / "full", threads=2)
    line.grow(2)
    course = Course(store, link, line.vault, tmp_path, "push", line.check)
    begun, ended = list[str](), threading.Event()

    def decide(method: str, path: str, number: int) -> None:
        if method == "PUT" and "/objects/" in path:
            begun.append(path)
            ended.wait(_WAIT)

    link.decide = decide
    with LocalRemote(line.vault) as here, course.bucket(harmed=True) as there:
        names = [name for name in line.vault.objects.every() if name.base is None]
        there.announce(Stamp.new(), {name.digest for name in names})
        (portion,) = here.read([[Wanted(name) for name in names]])
        there.put(portion)
        wait_until(lambda: bool(begun))
        give_up = there.backend.give_up

        def giving_up() -> None:
            give_up()
            ended.set()

        monkeypatch.setattr(there.backend, "give_up", giving_up)
    assert len(names) > 1
    assert len(begun) == 1


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["push", "pull"])
def test_a_cut_at_every_part(
    request: pytest.FixtureRequest, store: Store, link: Proxy, tmp_path: Path, direction: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    step, name = size("CUTS", 100), request.node.callspec.params["store"]
    points = [(_HOWS[number % len(_HOWS)], number / step) for number in range(1, step)]
    checkpoints = os.environ.get("CASVAULT_SOAK_CHECKPOINTS")
    saves = sorted(path for path in Path(checkpoints).iterdir() if path.is_dir()) if checkpoints else []
    vault, check = saved(tmp_path / "full", saves or drifting(tmp_path / "saves", 3, 1 << 20))
    cut(
        Course(store, link, vault, tmp_path, direction, check), points, f"buckets cut, {direction}, {name}", monkeypatch
    )


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["push", "pull"])
def test_each_request_harmed(
    request: pytest.FixtureRequest, store: Store, link: Proxy, tmp_path: Path, direction: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    name = request.node.callspec.params["store"]
    vault, check = saved(tmp_path / "full", drifting(tmp_path / "saves", 2, 1 << 18))
    course = Course(store, link, vault, tmp_path, direction, check)
    course.begin()
    course.run()
    single = [(what, at(number)) for what in _HARMS for number in range(len(link.requests))]
    some = [(what, nth(number)) for what in _HARMS for number in (2, 3, 5, 8)]
    harm(course, single + some, f"requests harmed, {direction}, {name}", monkeypatch)
