"""A store that means harm: whatever it answers is refused with one sentence, soon, and nothing wrong is taken in.

Each trick is played to a pull; in the long form also to a list with usage, a dry collection and pushes.
CASVAULT_SOAK_TRICKS says how many answers by lot the long form has besides, each of which may be anything.
"""

from __future__ import annotations

import gzip
import itertools
import random
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from casvault import api
from casvault.backends.bucket import MOST_ENTRIES
from casvault.errors import CasvaultError
from casvault.gc.bucket import collect_in_bucket
from casvault.sync import RemoteEntry, SyncOptions, connect, pull, push
from casvault.sync.bucket import BucketRemote
from casvault.sync.local import LocalRemote
from tests.support import soak
from tests.support.command import spawn
from tests.support.hostile_store import Answer, Asked, HostileStore, Trick, hostile_store, page
from tests.support.lines import Line
from tests.support.vaults import sealed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux does")

_MOST_BYTES = 256 << 20
_PREFIX = "place"
_BOMB = gzip.compress(bytes(400 << 20), 1)


class Scene:
    """An honest vault that lies in a store which turns hostile."""

    def __init__(self, root: Path, hostile: HostileStore) -> None:
        self.root, self.hostile = root, hostile
        self.line = Line(root / "line", threads=1)
        self.line.grow(2)
        self.entry = RemoteEntry("far", hostile.store.url(_PREFIX))
        with self.reached(self.line.vault) as there, LocalRemote(self.line.vault) as here:
            assert len(push(here, there, SyncOptions()).snapshots) == 2
        self.honest = dict(hostile.blobs)

    @contextmanager
    def reached(self, near: api.Vault) -> Iterator[BucketRemote]:
        with connect(self.entry, 2, near, make=True) as there:
            assert isinstance(there, BucketRemote)
            yield there

    def play(self, trick: Trick, *works: str) -> dict[str, str | None]:
        """Do what casvault does with a bucket; return what each ended with, None where nothing was wrong."""
        told: dict[str, str | None] = {}
        for name, work in self._works().items():
            if works and name not in works:
                continue
            self.hostile.blobs = {} if name == "first push" else dict(self.honest)
            self.hostile.asked.clear()
            self.hostile.trick = trick
            shutil.rmtree(self.root / "near", ignore_errors=True)
            near = api.init(self.root / "near" / ".casvault")
            before = self._around()
            try:
                told[name] = work(near)
            except CasvaultError as error:
                told[name] = sentence(str(error))
            finally:
                self.hostile.trick = lambda asked, honest: None
            assert self._around() == before
            fresh = api.open(self.root / "near" / ".casvault", threads=1)
            assert {head.id for head in fresh.snapshots()} <= self.line.saves.keys()
            self.line.check(fresh)
            assert not any(fresh.objects.every()) or fresh.verify(read_data=True).ok
        return told

    def _works(self) -> dict[str, Callable[[api.Vault], str | None]]:
        def pulled(near: api.Vault) -> str | None:
            with self.reached(near) as there, LocalRemote(near) as here:
                result = pull(here, there, SyncOptions(retries=0))
            told = [*result.refused.values(), *result.conflicts.values(), *result.failed.values()]
            return sentence(told[0]) if told else None

        def listed(near: api.Vault) -> None:
            with self.reached(near) as there:
                there.usage([], [known.head for known in there.state().snapshots.values()])

        def collected(near: api.Vault) -> None:
            with self.reached(near) as there:
                collect_in_bucket(there.vault, grace=timedelta(0), dry_run=True)

        def pushed(near: api.Vault) -> str | None:
            with self.reached(self.line.vault) as there, LocalRemote(self.line.vault) as here:
                return next(iter(push(here, there, SyncOptions(retries=0)).failed.values()), None)

        return {"pull": pulled, "list": listed, "gc": collected, "push": pushed, "first push": pushed}

    def _around(self) -> set[str]:
        """Return what there is outside of the vault that is filled."""
        return {str(path) for path in self.root.rglob("*") if "near/.casvault" not in str(path)} - {
            str(path) for path in (self.root / "line").rglob("*") if ".casvault" in str(path)
        }


def sentence(text: str) -> str:
    assert "\n" not in text, text
    assert len(text) < 1200, text
    return text


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with pytest.MonkeyPatch.context() as patched, hostile_store() as hostile:
        for key, value in hostile.store.environment.items():
            patched.setenv(key, value)
        patched.setattr("casvault.backends.bucket._PAGE_LIMIT", 0.25)
        patched.setattr("casvault.backends.bucket._PAUSE", 0.0)
        patched.setattr("casvault.sync.transfer._PAUSE", 0.0)
        patched.setattr("casvault.backends.bucket.MOST_ENTRIES", 10_000)
        patched.setattr("casvault.backends.stores._RETRY", {"max_retries": 0})
        yield Scene(tmp_path_factory.mktemp("hostile"), hostile)


def listing(change: Callable[[Asked, int], bytes | None]) -> Trick:
    """Return what answers to listings of what is in folders; ``change`` gets how many there were."""
    count = itertools.count()

    def trick(asked: Asked, honest: Answer) -> Answer | None:
        body = change(asked, next(count)) if asked.listing else None
        return None if body is None else Answer(body=body)

    return trick


def reading(part: str, change: Callable[[bytes], Answer | bytes]) -> Trick:
    """Return what answers to reading what has ``part`` in its name."""

    def trick(asked: Asked, honest: Answer) -> Answer | None:
        if asked.method != "GET" or part not in asked.name or honest.status != 200:
            return None
        changed = change(honest.body)
        return changed if isinstance(changed, Answer) else honest._replace(body=changed)

    return trick


def named(name: str, size: object = 10) -> Trick:
    """Return what lists one more name, and has it."""

    def trick(asked: Asked, honest: Answer) -> Answer | None:
        if asked.listing:
            found = [row for row in rows(honest.body) if row[0] != name]
            return Answer(body=page([*found, (name.replace("PREFIX/", asked.prefix), size)]))
        return None

    return trick


def rows(body: bytes) -> list[tuple[str, object]]:
    return [(key.decode(), int(size)) for key, size in re.findall(rb"<Key>(.*?)</Key>.*?<Size>(\d+)</Size>", body)]


def resized(size: object) -> Trick:
    """Return what gives all sizes wrong."""
    return lambda asked, honest: (
        Answer(body=page([(name, size) for name, _ in rows(honest.body)])) if asked.listing else None
    )


def document(part: str, change: Callable[[str], str]) -> Trick:
    """Return what changes a document, and gives it a checksum that is right."""

    def changed(data: bytes) -> bytes:
        text = data.decode()
        body, _, _ = text.rpartition(',"checksum"')
        return sealed((change(body) + "}").encode()) if body else change(text).encode()

    return reading(part, changed)


_ID = "20261125T090000.000Z-abcdef"
TRICKS: dict[str, Trick] = {
    "names without an end": listing(
        lambda asked, number: page([(f"{asked.prefix}{number:09}{one:04}", 5) for one in range(1000)], f"t{number}")
    ),
    "documents without an end": listing(
        lambda asked, number: page(
            [(f"{asked.prefix}20261125T090000.000Z-{number:03x}{one:03x}.json", 5) for one in range(1000)], f"t{number}"
        )
    ),
    "empty pages without an end": listing(lambda asked, number: page([], f"t{number}")),
    "one page again and again": listing(
        lambda asked, number: page([(f"{asked.prefix}{_ID}.json", 5)], "again")
    ),
    "more is said to come, and no token": listing(lambda asked, number: page([], None, more=True)),
    "a name that leaves": named("PREFIX/../../../escaped"),
    "a name that was not asked for": named("elsewhere/thing"),
    "an absolute name": named("/etc/passwd"),
    "control characters": named("PREFIX/a&#27;[2J"),
    "a name of bytes": named("PREFIX/\udce4\udcff"),
    "a name too long": named("PREFIX/" + "x" * 5000),
    "negative sizes": resized(-5),
    "sizes beyond all": resized(1 << 62),
    "sizes beyond words": resized(1 << 70),
    "sizes of nothing": resized(0),
    "sizes that are none": resized("many"),
    "no XML": listing(lambda asked, number: b"\x00\xff<<<>" * 1000),
    "XML that explodes": listing(
        lambda asked, number: b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "' + b"x" * 10_000
        + b'">]><ListBucketResult>' + b"&b;" * 10_000 + b"</ListBucketResult>"
    ),
    "XML that goes deep": listing(lambda asked, number: b"<a>" * 200_000),
    "an error under 200": lambda asked, honest: Answer(
        body=b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>\x1b[2Jno</Message></Error>",
        headers=honest.headers,
    ),
    "an empty answer under 200": lambda asked, honest: Answer(headers=honest.headers),
    "teapots": lambda asked, honest: Answer(418, b"x" * 100_000),
    "nothing is there": lambda asked, honest: Answer(404),
    "nobody may": lambda asked, honest: Answer(403, b"<Error><Code>AccessDenied</Code></Error>"),
    "objects: the bytes of another": reading("objects/", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "objects: shorter": reading("objects/", lambda data: data[: len(data) // 2]),
    "objects: longer": reading("objects/", lambda data: data + bytes(1000)),
    "objects: more is promised": reading("objects/", lambda data: Answer(200, data, _headers(), len(data) + 10)),
    "objects: less is promised": reading("objects/", lambda data: Answer(200, data, _headers(), len(data) - 10)),
    "objects: a size beyond all": reading("objects/", lambda data: Answer(200, data, _headers(), 1 << 61)),
    "objects: bytes without a length": reading("objects/", lambda data: Answer(200, data, _headers(), None, many())),
    "objects: empty": reading("objects/", lambda data: b""),
    "objects: that explode": reading(
        "objects/", lambda data: Answer(200, _BOMB, {**_headers(), "Content-Encoding": "gzip"})
    ),
    "vault.json: none": reading("vault.json", lambda data: b"{}"),
    "vault.json: huge": reading("vault.json", lambda data: b"[" * 60_000_000),
    "vault.json: another format": document("vault.json", lambda text: text.replace('"format": 1', '"format": 99')),
    "vault.json: a hostile id": document("vault.json", lambda text: text.replace('"uuid": "', '"uuid": "../../')),
    "vault.json: deep": reading("vault.json", lambda data: b"[" * 100_000 + b"]" * 100_000),
    "vault.json: explodes": reading(
        "vault.json", lambda data: Answer(200, _BOMB, {**_headers(), "Content-Encoding": "gzip"})
    ),
    "manifests: wrong bytes": reading("snapshots/", lambda data: data.replace(b"line", b"lime")),
    "manifests: paths that leave": document("snapshots/", lambda text: text.replace("layer0.npy", "../../escaped")),
    "manifests: other chunks": document("snapshots/", lambda text: text.replace('"digest":"', '"digest":"f')),
    "manifests: another's": document("snapshots/", lambda text: text.replace('"id":"2026', '"id":"2025')),
    "puts: another tag, and other bytes": lambda asked, honest: (
        Answer(headers={"ETag": '"x"'}) if asked.method == "PUT" else None
        if asked.listing or honest.status != 200 else honest._replace(body=honest.body[:-1] + b"?")
    ),
    "puts: done, they say": lambda asked, honest: (
        Answer(headers={"ETag": '"x"'}) if asked.method == "PUT" else Answer(404) if asked.name else None
    ),
    "labels: deep": reading("labels/", lambda data: b"[" * 100_000),
}  # fmt: skip


def _headers() -> dict[str, str]:
    return {"ETag": '"x"', "Last-Modified": "Wed, 25 Nov 2026 09:00:00 GMT"}


def many() -> Iterator[bytes]:
    for _ in range(500):
        yield bytes(1 << 14)


def play(scene: Scene, name: str, trick: Trick, figures: soak.Figures, *works: str) -> None:
    before, begun = most_memory(), time.monotonic()
    try:
        told = scene.play(trick, *works)
    except BaseException as error:
        error.add_note(f"the trick was: {name}")
        raise
    figures.cases += len(told)
    figures.count("refused", sum(one is not None for one in told.values()))
    seconds = round(time.monotonic() - begun, 1)
    print(f"{name}: {seconds} s, {told}")
    figures.more["longest, s"] = max(float(figures.more.get("longest, s", 0)), seconds)
    figures.more["most memory, MB"] = max(int(figures.more.get("most memory, MB", 0)), (most_memory() - before) >> 20)
    assert most_memory() - before < _MOST_BYTES, name


def most_memory() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def test_tricks(scene: Scene) -> None:
    with soak.campaign("hostile store") as figures:
        for name, trick in TRICKS.items():
            play(scene, name, trick, figures, "pull")
        for name in ("puts: another tag, and other bytes", "puts: done, they say"):
            assert scene.play(TRICKS[name], "first push")["first push"], name


def test_who_asks_is_not_told_to_others(scene: Scene) -> None:
    with hostile_store() as other:
        other.blobs = dict(scene.honest)
        scene.play(
            lambda asked, honest: Answer(
                307, headers={"Location": f"http://localhost:{other.port}/bucket/{asked.name}?prefix={asked.prefix}"}
            ),
            "pull",
            "first push",
        )
    assert other.asked
    assert not any("authorization" in asked.headers for asked in other.asked)


def test_an_endless_listing_ends_the_command(scene: Scene) -> None:
    """What still goes on in a thread when the process ends must not turn that into an abort."""
    scene.hostile.blobs = dict(scene.honest)
    scene.hostile.trick = TRICKS["empty pages without an end"]
    program = "import casvault.backends.bucket as b; b._PAGE_LIMIT = 0.3; from casvault.cli.main import run; run()"
    near = api.init(scene.root / "near command" / ".casvault")
    try:
        done = spawn(scene.root, "--vault", str(near.path), "pull", scene.entry.url, program=program)
        assert (done.code, done.out) == (1, ""), (done.code, done.err)
        assert sentence(done.err.strip()).endswith("lists without an end; nothing it lists is believed.")
    finally:
        scene.hostile.trick = lambda asked, honest: None


@pytest.mark.slow
def test_every_trick(scene: Scene) -> None:
    with soak.campaign("hostile store, everything") as figures:
        for name, trick in TRICKS.items():
            play(scene, name, trick, figures)


@pytest.mark.slow
def test_the_longest_listings(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.backends.bucket.MOST_ENTRIES", MOST_ENTRIES)
    with soak.campaign("hostile store, listings as long as they may be") as figures:
        for name in ("names without an end", "documents without an end"):
            play(scene, name, TRICKS[name], figures, "pull", "push", "first push")


@pytest.mark.slow
def test_answers_by_lot(scene: Scene) -> None:
    chance = random.Random(soak.seed())
    with soak.campaign("hostile store, answers by lot") as figures:
        for number in range(soak.size("TRICKS", 1000)):
            play(
                scene,
                f"by lot {number}",
                by_lot(chance.random()),
                figures,
                chance.choice(["pull", "list", "gc", "push"]),
            )


def by_lot(seed: float) -> Trick:
    """Return what scars some answers, or gives those of others."""
    chance, earlier = random.Random(seed), list[Answer]()

    def trick(asked: Asked, honest: Answer) -> Answer | None:
        earlier.append(honest)
        if chance.random() < 0.7:
            return None
        body, headers = honest.body, dict(honest.headers)
        how = chance.randrange(6)
        if how == 0:
            return chance.choice(earlier)
        if how == 1:
            return Answer(
                chance.choice([200, 204, 206, 301, 304, 400, 403, 404, 409, 412, 416, 429, 500]), body, headers
            )
        if how == 2:
            headers["Last-Modified"] = chance.choice(["", "x", "Wed, 25 Nov 0001 09:00:00 GMT", "2026"])
            headers["ETag"] = chance.choice(["", '"x"', "x" * 5000])
            return Answer(honest.status, body, headers)
        if how == 3:
            return Answer(
                honest.status, body, headers, chance.choice([0, 1, len(body) + 1, max(0, len(body) - 1), 1 << 40])
            )
        at = chance.randrange(len(body) + 1)
        if how == 4:
            return Answer(honest.status, body[:at] + chance.randbytes(chance.randrange(20)) + body[at + 5 :], headers)
        return Answer(honest.status, body[:at] * chance.choice([1, 2]), headers)

    return trick
