"""Collecting in a bucket, where no lock keeps anybody out.

What is garbage is told as in a folder, but it stays until it is older than a grace period: by then whoever wrote it has
long said what it is for, and listings that lag have caught up. The same goes for what deleting a snapshot gave up. What
is removed is removed in turns. Each is said first (`vault/sweeps.py`), then everything is listed anew: what is on its
way, then snapshots, then objects, in the reverse of the order in which a sender writes them.

Owns the invariants that nothing is removed that a snapshot, or what is announced, needs by the newest listing, of a
chunk with several objects none at all, and that nothing goes that is younger than the grace period.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from casvault.backends.bucket import BucketBackend, BucketEntry
from casvault.digest import is_digest
from casvault.errors import DamageError, NotFound, StorageError, UsageError
from casvault.manifest.manifest import Held
from casvault.manifest.stamp import Stamp
from casvault.objects import ObjectGraph, ObjectName
from casvault.objects.store import OBJECTS, folder_of
from casvault.progress import Progress
from casvault.usage.holdings import HoldingsReader
from casvault.vault.heads import LABELS, SNAPSHOTS
from casvault.vault.labels import label_parts
from casvault.vault.pending import LIFETIME, PENDING, Pending
from casvault.vault.sweeps import Sweep
from casvault.vault.vault import Vault

__all__ = ["GRACE", "BucketGcResult", "collect_in_bucket"]

GRACE = timedelta(hours=24)
"""How old something has to be before it is removed, unless another period is asked for."""

_TURN = 20.0
"""Seconds for which objects are removed at a time: who brings something in waits meanwhile."""

_SETTLE = 1.0
"""Seconds between saying that a sweep begins and listing: for stores whose listings lag a little."""

_TRIES = 20
_AT_ONCE = 200
_MANIFESTS_AT_ONCE = 64
_DEEPEST = 1 << 20


@dataclass(frozen=True)
class BucketGcResult:
    """What a collection in a bucket did, or with ``dry_run`` would do; sizes are stored bytes.

    ``held_objects`` are garbage too, but younger than ``grace``. ``waiting_snapshots`` were deleted less than that ago,
    and still are what they were. ``base_bytes`` are kept only since deltas lean on them: nothing is coded anew there.
    """

    deleted_objects: int
    freed_bytes: int
    held_objects: int
    held_bytes: int
    grace: timedelta
    forgotten_snapshots: tuple[str, ...]
    waiting_snapshots: tuple[str, ...]
    remaining_bytes: int
    base_bytes: int
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            "dry_run": self.dry_run,
            "deleted_objects": self.deleted_objects,
            "freed_bytes": self.freed_bytes,
            "held_back_objects": self.held_objects,
            "held_back_bytes": self.held_bytes,
            "grace_seconds": round(self.grace.total_seconds()),
            "forgotten_snapshots": list(self.forgotten_snapshots),
            "waiting_snapshots": list(self.waiting_snapshots),
            "remaining_bytes": self.remaining_bytes,
            "base_bytes": self.base_bytes,
        }


@dataclass
class _View:
    """What one listing told: ``garbage`` in an order that is safe to be interrupted, and what is not yet."""

    garbage: list[ObjectName] = field(default_factory=list)
    held_back: list[ObjectName] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    doomed: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    labels: dict[str, datetime] = field(default_factory=dict)
    stored: int = 0
    base_bytes: int = 0


def collect_in_bucket(
    vault: Vault, *, grace: timedelta = GRACE, dry_run: bool = False, progress: Progress | None = None
) -> BucketGcResult:
    """Remove from a vault in a bucket what no snapshot needs and is older than ``grace``.

    Raises DamageError where a manifest cannot be read, RemoteError, StorageError, Cancelled; what was left then, the
    next one collects.
    """
    backend = vault.backend
    if not isinstance(backend, BucketBackend):
        raise UsageError("only a vault in a bucket is collected from elsewhere.")
    progress = progress or Progress()
    collector = _Collector(vault, backend, grace)
    if dry_run:
        # Only to tell, this machine's clock will do: asking the store's takes a write.
        view = collector.view(datetime.now(timezone.utc))
        return _result(view, view.garbage, view.doomed, grace, dry_run=True)
    removed, forgotten = list[ObjectName](), list[str]()
    while True:
        with Sweep(backend) as sweep:
            time.sleep(_SETTLE)
            view = collector.view(sweep.now)
            gone = collector.remove(view, sweep, progress)
        forgotten += view.doomed
        removed += gone
        view.stored -= sum(name.size for name in gone)
        if len(gone) == len(view.garbage):
            progress.finish()
            return _result(view, removed, forgotten, grace)


class _Collector:
    """Looks at one vault again and again; manifests, which never change, are read once."""

    def __init__(self, vault: Vault, backend: BucketBackend, grace: timedelta) -> None:
        self._vault = vault
        self._backend = backend
        self._grace = grace
        self._reader = HoldingsReader(vault)

    def view(self, now: datetime) -> _View:
        """List everything anew and tell what goes; ``now`` is the store's time.

        A sender writes objects, then the manifest, then takes back what it announced. Looked at in the reverse order,
        nothing falls between: who is announced no more has a manifest by now, and a manifest its objects.
        """
        view = _View()
        coming = self._coming(view, now)
        held, kept = self._held(view, now)
        there: dict[str, list[ObjectName]] = {}
        young = set[ObjectName]()
        for one in self._backend.walk(OBJECTS):
            name = _object_of(one)
            if name is not None:
                there.setdefault(name.digest, []).append(name)
                if now - one.modified < self._grace:
                    young.add(name)
        lasting = _needed(there, coming | held)
        needed = _needed(there, coming | held | kept)
        for digest, names in there.items():
            view.stored += sum(name.size for name in names)
            if digest in lasting:
                view.base_bytes += sum(name.size for name in names) if digest not in coming | held else 0
            else:
                free = [name for name in names if digest not in needed and name not in young]
                view.garbage += free
                view.held_back += [name for name in names if name not in free]
        self._add_labels(view, now)
        return view

    def remove(self, view: _View, sweep: Sweep, progress: Progress) -> list[ObjectName]:
        """Remove documents, then objects for some seconds; return which objects are gone.

        The label that says that a snapshot was deleted was there before, and stays, as its tombstone.
        """
        sweep.clear()
        progress.start("collecting", sum(name.size for name in view.garbage))
        for at in range(0, len(view.documents), _AT_ONCE):
            sweep.go_on()
            self._backend.delete_all(view.documents[at : at + _AT_ONCE])
        removed: list[ObjectName] = []
        end = time.monotonic() + _TURN
        for names in _portions(view.garbage):
            if time.monotonic() > end:
                break
            sweep.go_on()
            self._backend.delete_all([name.blob for name in names])
            removed += names
            progress.advance(sum(name.size for name in names))
        return removed

    def _coming(self, view: _View, now: datetime) -> set[str]:
        """Return what is on its way in, by the store's clock; what nobody renewed is to go.

        What was listed and cannot be read may have been renewed under another name since: then it is listed anew.
        """
        for _ in range(_TRIES):
            ids, expired = list[str](), list[str]()
            for one in self._backend.walk(PENDING):
                id = one.name[len(PENDING) + 1 : -len(".json")]
                if Stamp.valid(id) and one.name.endswith(".json"):
                    if abs(now - one.modified) > LIFETIME:
                        expired.append(one.name)
                    else:
                        ids.append(id)
            with suppress(NotFound):
                coming = {digest for id in ids for digest in Pending.read(self._backend, id).digests}
                view.documents += expired
                return coming
        raise StorageError("so much comes and goes that nobody can tell what is needed; try again later.")

    def _held(self, view: _View, now: datetime) -> tuple[set[str], set[str]]:
        """Return what snapshots hold, and what those still do that were deleted or thinned lately.

        Raises DamageError where a manifest cannot be read, whose snapshot was not deleted.
        """
        index, held, kept = self._vault.index, set[str](), set[str]()
        written = view.labels = {one.name: one.modified for one in self._backend.walk(LABELS)}
        stamps, ids = index.labels.stamps(), index.ids()
        self._backend.ahead([f"{LABELS}/{id}.{stamps[id][0]}.json" for id in ids if id in stamps])
        labels = {id: index.labels.found(id, stamps.get(id, ())).label for id in ids}
        modified = {id: written.get(f"{LABELS}/{id}.{stamps[id][0]}.json", now) for id in ids if id in stamps}
        old = {id for id, when in modified.items() if now - when >= self._grace}
        for id, found in self._manifests([id for id in ids if not (labels[id].deleted and id in old)]):
            whole = _whole(found)
            if labels[id].deleted:
                view.waiting.append(id)
                kept |= whole
                continue
            thinned = set(labels[id].thinned)
            own = {chunk.digest for path, (_, each) in found.files.items() if path not in thinned for chunk in each}
            held |= own | ({found.picture.digest} if found.picture is not None else set())
            if id not in old:
                kept |= whole
        view.doomed += [id for id in ids if labels[id].deleted and id in old]
        view.documents += [f"{SNAPSHOTS}/{id}.json" for id in view.doomed]
        return held, kept

    def _add_labels(self, view: _View, now: datetime) -> None:
        """Have labels removed that count no more; a label that just came may be followed by its manifest."""
        living = set(self._vault.index.ids()) - set(view.doomed)
        for name in self._vault.index.labels.outdated(living):
            blob = f"{LABELS}/{name}.json"
            written = view.labels.get(blob)
            if written is not None and (label_parts(name)[0] in living or now - written > LIFETIME):
                view.documents.append(blob)

    def _manifests(self, ids: Sequence[str]) -> Iterator[tuple[str, Held]]:
        """Read what manifests hold, many at once; raises DamageError, RemoteError."""
        for at in range(0, len(ids), _MANIFESTS_AT_ONCE):
            group = ids[at : at + _MANIFESTS_AT_ONCE]
            self._backend.ahead([f"{SNAPSHOTS}/{id}.json" for id in group if not self._reader.knows(id)])
            for id in group:
                try:
                    yield id, self._reader.held(id)
                except NotFound:
                    raise StorageError(
                        f"snapshot {id} is listed and cannot be read; nothing is removed, try again later."
                    ) from None
                except DamageError as error:
                    raise type(error)(
                        f"{error} So what snapshot {id} needs is not known; push it again from where it is whole, or "
                        "delete it there and push with --delete."
                    ) from error


def _result(
    view: _View, removed: Sequence[ObjectName], forgotten: Sequence[str], grace: timedelta, *, dry_run: bool = False
) -> BucketGcResult:
    freed = sum(name.size for name in removed)
    return BucketGcResult(
        deleted_objects=len(removed),
        freed_bytes=freed,
        held_objects=len(view.held_back),
        held_bytes=sum(name.size for name in view.held_back),
        grace=grace,
        forgotten_snapshots=tuple(dict.fromkeys(forgotten)),
        waiting_snapshots=tuple(view.waiting),
        remaining_bytes=view.stored - (freed if dry_run else 0),
        base_bytes=view.base_bytes,
        dry_run=dry_run,
    )


def _whole(found: Held) -> set[str]:
    """Return the chunks that a snapshot had when it was taken."""
    whole = {chunk.digest for _, chunks in found.files.values() for chunk in chunks}
    return whole | ({found.picture.digest} if found.picture is not None else set())


def _object_of(one: BucketEntry) -> ObjectName | None:
    folder, _, name = one.name.rpartition("/")
    digest, _, base = name.partition(".")
    if not is_digest(digest) or (base and not is_digest(base)) or folder != folder_of(digest):
        return None
    return ObjectName(digest, base or None, one.size)


def _needed(there: Mapping[str, Sequence[ObjectName]], digests: Iterable[str]) -> set[str]:
    """Return these chunks and all that any object of them leans on: nothing is chosen where nobody is alone."""
    todo, seen = list(digests), set[str]()
    while todo:
        digest = todo.pop()
        if digest not in seen:
            seen.add(digest)
            todo.extend(name.base for name in there.get(digest, ()) if name.base is not None)
    return seen


def _portions(garbage: Sequence[ObjectName]) -> Iterator[list[ObjectName]]:
    """Yield what is to go in portions: what leans on others first, one layer after another."""
    graph = ObjectGraph(garbage)
    layers: dict[int, list[ObjectName]] = {}
    for name in garbage:
        # What leans on something that stays, or on nothing that can be had, is needed by nothing here.
        deep = name.digest not in graph.chosen
        layers.setdefault(_DEEPEST if deep else graph.depth(name.digest), []).append(name)
    for depth in sorted(layers, reverse=True):
        for at in range(0, len(layers[depth]), _AT_ONCE):
            yield layers[depth][at : at + _AT_ONCE]
