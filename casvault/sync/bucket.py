"""A vault in a bucket of an object store as one end of a transfer.

There is nobody at the other end: this process is the receiver, and checks what arrives as any receiver does. There is
no lock either. Why that is safe beside other senders and a collection is in docs/decisions/0013: objects are only
added; what is needed is announced under a name that nobody else writes; while a sweep goes on that began before that,
nothing is looked at; and after the commit everything is looked at once more.

Owns the invariants that a name which means something is written once, but for vault.json, and that nothing is relied
on that was looked at before it was announced.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice

from casvault.backends.bucket import BucketBackend
from casvault.digest import digest_of, is_digest
from casvault.errors import BadManifest, BrokenLink, CasvaultError, DamageError, MissingObject, NotFound, NoVault
from casvault.manifest.label import Label
from casvault.manifest.manifest import Manifest
from casvault.manifest.stamp import Stamp
from casvault.objects import Frame, ObjectName
from casvault.objects.store import MAX_STORED
from casvault.progress import Progress
from casvault.sync.listing import BucketObjects
from casvault.sync.local import LocalRemote
from casvault.sync.remote import Arrival, Commit, Documents, Outcome, Remote, Standing, State, Wanted
from casvault.usage.usage import Usage, usage
from casvault.vault.config import CONFIG, MAX_CONFIG, VaultConfig
from casvault.vault.head import Head
from casvault.vault.heads import LABELS, SNAPSHOTS, HeadIndex
from casvault.vault.pending import LIFETIME, PENDING, Pending
from casvault.vault.sweeps import LIFE, clocks, seconds_since, sweeps_in
from casvault.vault.vault import README, README_NAME, Vault

__all__ = ["BucketRemote", "bucket_vault"]

_AHEAD = 2
_TRIES = 3
_POLL = 1.0
_OUTDATED = LIFETIME.total_seconds() / 4
"""Seconds after which an announcement is made again before anything is committed."""


def bucket_vault(backend: BucketBackend, near: Vault | None, *, make: bool, threads: int | None) -> tuple[Vault, bool]:
    """Return the vault in a bucket, and whether it is there yet; with ``make`` an empty prefix will do.

    ``near`` is the vault here: it keeps what is remembered of the other, and gives chunks that both have. Raises
    NoVault, UnsupportedVault, RemoteError.
    """
    there = True
    try:
        config = VaultConfig.parse(backend.read(CONFIG, MAX_CONFIG), backend.title)
    except NotFound:
        _check_empty(backend, make)
        config, there = VaultConfig(), False
    vault = Vault(backend, config, None, threads)
    vault.objects = BucketObjects(backend, near.objects if near is not None else None)
    if near is not None:
        # Its place too: one bucket that says it is the vault of another must not speak for that.
        place = digest_of(f"{backend.title}\n{config.uuid}".encode())[:16]
        vault.index = HeadIndex(backend, near.backend, f"cache/remote-{place}")
    else:
        from casvault.backends import MemoryBackend

        vault.index = HeadIndex(backend, MemoryBackend())
    return vault, there


class BucketRemote(Remote):
    """The vault in the bucket that ``backend`` reaches; with ``make`` the first that is sent makes it."""

    def __init__(
        self, backend: BucketBackend, near: Vault | None = None, *, make: bool = False, threads: int | None = None
    ) -> None:
        self.title = backend.title
        self.backend = backend
        self.vault, self._there = bucket_vault(backend, near, make=make, threads=threads)
        self.uuid = self.vault.config.uuid
        self.max_depth = self.vault.config.max_depth
        self._local = LocalRemote(self.vault, self.title)
        self._announced: dict[str, tuple[str, tuple[float, float], frozenset[str]]] = {}
        self._changed = self._look_anew = True
        self._safe: set[str] = set()
        self._progress = Progress()
        self._kept: dict[ObjectName, Future[Arrival]] = {}

    @property
    def wire_bytes(self) -> int:
        """Bytes of objects and documents that went there and came from there; what HTTP adds is not counted."""
        return self.backend.moved

    @property
    def is_there(self) -> bool:
        """Whether there is a vault yet."""
        return self._there

    def state(self) -> State:
        """Return which snapshots and labels there are."""
        if not self._there:
            return State({})
        for _ in range(_TRIES):
            # What came wrong may come right the next time.
            state = self._local.state()
            if not self.vault.index.damaged:
                break
        for error in self.vault.index.damaged.values():
            # What only cannot be read now is neither damaged nor gone.
            if not isinstance(error, DamageError):
                raise error
        return state

    def manifest(self, id: str) -> bytes:
        """Return the document of a snapshot as it is stored."""
        return _checked(lambda: self._local.manifest(id), lambda data: Manifest.parse(data, id))

    def label(self, id: str, stamp: str) -> bytes:
        """Return the document of a label as it is stored."""
        return _checked(lambda: self._local.label(id, stamp), lambda data: Label.parse(data, f"{id}.{stamp}"))

    def documents(self, wanted: Sequence[tuple[str, str | None]]) -> list[Documents | CasvaultError]:
        """Return manifests and labels, asked for many at once."""
        names = [f"{SNAPSHOTS}/{id}.json" for id, _ in wanted]
        names += [f"{LABELS}/{id}.{stamp}.json" for id, stamp in wanted if stamp is not None]
        self.backend.ahead(names)
        return super().documents(wanted)

    def closure(self, digests: Collection[str]) -> list[ObjectName]:
        """Return the objects that give these chunks and all their bases, bases first."""
        found = {name.digest for name in self._local.closure(digests)} if not self._changed else set[str]()
        if not found >= set(digests):
            self._objects.look(digests)
            self._changed = False
        return self._local.closure(digests)

    def read(self, portions: Iterable[Sequence[Wanted]]) -> Generator[list[Arrival], None, None]:
        """Yield each portion of objects; the next ones are on their way meanwhile. To be closed by who stops early."""
        waiting = iter(portions)
        under_way = deque[list[tuple[Wanted, Future[Arrival]]]]()
        try:
            while True:
                for portion in islice(waiting, _AHEAD - len(under_way)):
                    under_way.append([(wanted, self._ask_for(wanted)) for wanted in portion])
                if not under_way:
                    return
                first, came = under_way.popleft(), list[Arrival]()
                try:
                    for _, asked in first:
                        came.append(asked.result())
                except BrokenLink:
                    under_way.appendleft(first[len(came) :])
                    yield came
                    raise
                yield came
        except BrokenLink:
            # What comes whole after the one that broke off need not come again: the next run asks for it.
            rest = [one for portion in under_way for one in portion]
            self._kept = {wanted.name: asked for wanted, asked in rest if not (wanted.alone or asked.cancel())}
            raise
        finally:
            for _, asked in (one for portion in under_way for one in portion):
                asked.cancel()

    def announce(self, id: str, digests: Collection[str]) -> None:
        """Say which chunks snapshot ``id`` will need, then wait for a sweep that began before that was said."""
        self._make()
        if any(not is_digest(digest) for digest in digests) or not Stamp.valid(id):
            raise BadManifest(f"snapshot {id[:40]!r} is announced with what is no chunk.")
        before = self._announced.get(id)
        if any(seconds_since(said) > _OUTDATED for _, said, _ in self._announced.values()):
            self._safe.clear()
        name, said = Stamp.new(before[0] if before is not None else None), clocks()
        Pending.write(self.backend, name, tuple(sorted(digests)))
        self._announced[id] = name, said, frozenset(digests)
        if before is not None:
            Pending.withdraw(self.backend, before[0])
        self._wait_for_sweeps(name)

    def withdraw(self, id: str) -> None:
        """Take back what was announced for ``id``."""
        before = self._announced.pop(id, None)
        self._safe &= self._all_announced()
        if before is not None:
            Pending.withdraw(self.backend, before[0])

    def standing(self, digests: Collection[str]) -> Standing:
        """Tell which of these chunks can be had: by a look after they were announced, and since the last commit.

        What was there then, and has been announced ever since, is there still; what was not is sent, even if somebody
        else did that meanwhile.
        """
        known = set() if self._look_anew else self._local.standing(digests).depths.keys()
        if self._look_anew or not known <= self._safe:
            announced = self._all_announced()
            self._objects.look(announced.union(digests))
            self._safe = set(self._local.standing(announced).depths)
            self._look_anew = False
        return self._local.standing(digests)

    def put(self, portion: Sequence[Arrival]) -> None:
        """Take in objects, bases first."""
        self._local.put(portion)

    def settle(self) -> None:
        """Return when all that was put is in the store."""
        self._local.settle()

    def commit(self, commit: Commit) -> Outcome:
        """Write the label, then the manifest, where all chunks can be had: what was announced has stayed since."""
        self._make()
        before = self._announced.get(commit.id)
        if before is None:
            self._objects.look({chunk.digest for chunk in Manifest.parse(commit.manifest, commit.id).chunks()})
        elif seconds_since(before[1]) > _OUTDATED:
            # What was looked at since the last time may be gone.
            self.announce(commit.id, before[2])
            self._objects.look(before[2])
        self._look_anew = True
        return self._local.commit(commit)

    def bury(self, id: str, stamp: str, label: bytes) -> Outcome:
        """Write the label that says that a snapshot was deleted."""
        self._make()
        return self._local.bury(id, stamp, label)

    def usage(self, ids: Sequence[str], heads: Sequence[Head]) -> Usage:
        """Return what the vault takes, by a listing of all that there is."""
        self._objects.look_at_all()
        return usage(self.vault, ids)

    def attend(self, progress: Progress) -> None:
        """Tell of waiting for a sweep."""
        self._progress = progress

    def reconnect(self) -> None:
        """Look anew the next time: of what was put when the link broke nobody knows what arrived."""
        self._look_anew = True

    def close(self) -> None:
        """End the workers; what is still on its way, after a failure, is not waited for longer than one request."""
        self.backend.give_up()
        self._local.close()
        self.backend.close()

    @property
    def _objects(self) -> BucketObjects:
        objects = self.vault.objects
        assert isinstance(objects, BucketObjects)
        return objects

    def _all_announced(self) -> set[str]:
        return set().union(*(digests for _, _, digests in self._announced.values()))

    def _ask_for(self, wanted: Wanted) -> Future[Arrival]:
        if wanted.alone:
            # Its bases are read by several requests of their own: a worker that waited for workers could wait for ever.
            done: Future[Arrival] = Future()
            done.set_result(next(iter(next(self._local.read([[wanted]])))))
            return done
        kept = self._kept.pop(wanted.name, None)
        if kept is not None and not (kept.done() and kept.exception()):
            return kept
        return self.backend.submit(lambda: self._get(wanted.name))

    def _get(self, name: ObjectName) -> Arrival:
        """Return an object as it is, if it is whole; what came wrong may come right the next time."""
        failure: DamageError | None = None
        for _ in range(_TRIES):
            try:
                data = self.backend.fetch(name.blob, name.size, MAX_STORED)
                if Frame.parse(data, name.blob).base == name.base:
                    # Another sender may have put its own coding of the same chunk in the place of the one listed.
                    return Arrival(ObjectName(name.digest, name.base, len(data)), data)
                failure = DamageError(f"object {name.digest[:12]} is not the one that its name says.")
            except NotFound as error:
                self._changed = True
                raise MissingObject(f"object {name.digest[:12]} vanished from {self.title}.") from error
            except DamageError as error:
                failure = error
        raise DamageError(f"{self.title}: {failure}")

    def _make(self) -> None:
        """Make the vault, if it is not there yet. Of two that do so at once one wins, and both go on with that."""
        if self._there:
            return
        self.backend.write(README_NAME, README.encode())
        self.backend.write(CONFIG, self.vault.config.to_bytes())
        found = VaultConfig.parse(self.backend.read(CONFIG, MAX_CONFIG), self.title)
        if found != self.vault.config:
            self.vault.config = found
            self.uuid, self.max_depth = found.uuid, found.max_depth
        self._there = True

    def _wait_for_sweeps(self, announcement: str) -> None:
        """Wait for the sweeps that are there: any that comes later finds the announcement."""
        begun, sweeps = time.monotonic(), sweeps_in(self.backend)
        if not sweeps:
            return
        told_of = False
        said, before = self.backend.modified(f"{PENDING}/{announcement}.json"), sweeps.keys()
        while sweeps := {id: told for id, told in sweeps.items() if id in before}:
            passed = time.monotonic() - begun
            if all((said - told).total_seconds() + passed > LIFE for told in sweeps.values()):
                return
            if not told_of:
                self._progress.message(
                    f"waiting for a collection in {self.title}, for {LIFE / 60:.0f} minutes at most."
                )
                told_of = True
            self._progress.check()
            time.sleep(_POLL)
            sweeps = sweeps_in(self.backend)


def _checked(read: Callable[[], bytes], check: Callable[[bytes], object]) -> bytes:
    """Return a document that is whole, or what came at last; what came wrong may come right the next time."""
    for _ in range(_TRIES):
        data = read()
        with suppress(DamageError):
            check(data)
            break
    return data


def _check_empty(backend: BucketBackend, make: bool) -> None:
    """Raise NoVault unless there is nothing, and something may be made there."""
    for one in islice(backend.walk(), 50):
        if one.name != README_NAME:
            raise NoVault(
                f"{backend.title} holds other things (such as {one.name[:60]}) and no vault; "
                "say a prefix of the vault's own, such as s3://bucket/casvault."
            )
    if not make:
        raise NoVault(f"there is no vault at {backend.title}; the first push makes one.")
