"""The sweep: what nothing needs is planned, then removed.

Why it is safe. Every snapshot, restore and label is made under the vault's shared lock; the sweep holds it alone, and
lists everything again once it has it. So no manifest can appear, and no object be relied on, between the listing and
the last removal. A deletion is on the disk as a label before the first object goes, and that label stays as a
tombstone. Deltas go before their bases, so that whatever interrupts it, what is left can be read or is not needed.

Owns the invariants that nothing is removed that a snapshot needs, in doubt nothing at all, and that of a chunk's two
objects one goes only after the other was decoded.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from casvault.errors import CasvaultError, StorageError
from casvault.objects import ObjectGraph, ObjectName
from casvault.objects.store import OBJECTS
from casvault.progress import Progress
from casvault.usage.holdings import Holdings, HoldingsReader
from casvault.usage.ledger import Ledger
from casvault.usage.usage import Survey, check_decided, survey
from casvault.vault.heads import LABELS, SNAPSHOTS
from casvault.vault.parts import Parts
from casvault.vault.pending import PENDING, Pending
from casvault.vault.roll import check_nothing_vanished
from casvault.vault.vault import Vault

__all__ = ["SweepPlan", "Sweeper"]

_TURN = 10.0
"""Seconds for which objects are removed at a time: others wait meanwhile."""

_OLD = 3600.0
"""Seconds after which an unfinished file that may be written without the vault's lock is taken for left over."""


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep removes: ``garbage`` in an order that is safe to be interrupted, and documents.

    ``forgotten`` are the ids of deleted snapshots that cannot come back afterwards. ``more`` says that this was only
    the beginning of what there is to remove. Sizes are stored bytes.
    """

    ledger: Ledger
    garbage: tuple[ObjectName, ...]
    husks: tuple[ObjectName, ...]
    unfinished_bytes: int
    documents: tuple[str, ...]
    forgotten: tuple[str, ...]
    replaced: tuple[ObjectName, ...] = ()
    more: bool = False

    @property
    def objects(self) -> int:
        """How many objects go."""
        return len(self.garbage) + len(self.husks)

    @property
    def freed_bytes(self) -> int:
        """Bytes that the folder of objects has less afterwards."""
        return sum(name.size for name in (*self.garbage, *self.husks)) + self.unfinished_bytes


@dataclass
class Sweeper:
    """Sweeps one vault, perhaps several times; with ``only`` just these snapshots count as deleted, none as thinned.

    What was read in one sweep is not read again in the next: manifests, and the objects that were found to be whole.
    """

    vault: Vault
    only: Collection[str] | None = None
    _reader: HoldingsReader = field(init=False)
    _whole: set[ObjectName] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._reader = HoldingsReader(self.vault)

    def plan(self) -> SweepPlan:
        """Return what a sweep would remove now, for who holds the vault's lock.

        Raises DamageError where a manifest cannot be read, or vanished: then nothing can be told to be garbage.
        """
        self.vault.objects.forget()
        holdings = self._reader.read(self.only)
        check_decided(holdings)
        check_nothing_vanished(self.vault.backend, self.vault.index)
        found = survey(self.vault)
        graph = ObjectGraph(found.objects, holdings.held())
        return self._plan(Ledger(holdings, graph), found, self._documents(holdings))

    def prepare(self) -> SweepPlan:
        """Return the plan of a sweep, and check by decoding what is going to stand for others."""
        plan = self.plan()
        for name in plan.replaced:
            self.check(name)
        return self.plan() if plan.replaced else plan

    def check(self, name: ObjectName) -> bool:
        """Decode an object, and remember whether it is whole."""
        try:
            self.vault.objects.read_object(name)
        except CasvaultError:
            return False
        self._whole.add(name)
        return True

    def sweep(self, progress: Progress) -> SweepPlan:
        """Remove what nothing needs, for some seconds at most; return what that was.

        ``more`` of it says that not all was removed. Raises Locked, DamageError, StorageError; whatever was not removed
        then, the next sweep removes.
        """
        with self.vault.locks.alone("gc"):
            plan = self._execute(self.plan(), progress)
            if not plan.more:
                self._clear()
                self.vault.locks.clear_cards()
                Parts(self.vault.backend).clear()
        self.vault.objects.forget()
        return plan

    def _plan(self, ledger: Ledger, found: Survey, documents: tuple[str, ...]) -> SweepPlan:
        graph = ledger.graph
        spare = graph.spare()
        kept = {name for digest in ledger.needed() for name in graph.kept(digest)}
        needed = set(ledger.needed())
        grown = True
        while grown:
            # A second object of a chunk stays, with its bases, until the first was decoded.
            stay = {
                n for n in spare if n.digest in needed and n not in kept and graph.chosen[n.digest] not in self._whole
            }
            more = graph.needs(name.base for name in stay if name.base) - needed
            kept |= stay | {name for digest in more for name in graph.kept(digest)}
            needed |= more
            grown = bool(stay)
        garbage = [name for name in graph.names if name not in kept]
        replaced = {graph.chosen[name.digest] for name in spare if name.digest in needed}
        return SweepPlan(
            ledger=ledger,
            garbage=tuple(sorted(garbage, key=lambda name: -_depth(graph, name))),
            husks=found.husks,
            unfinished_bytes=found.unfinished_bytes,
            documents=documents,
            forgotten=ledger.holdings.doomed,
            replaced=tuple(sorted(replaced - self._whole)),
        )

    def _documents(self, holdings: Holdings) -> tuple[str, ...]:
        """Return the blobs of documents that go: manifests of the deleted first, then what no longer counts."""
        backend = self.vault.backend
        manifests = [f"{SNAPSHOTS}/{id}.json" for id in holdings.doomed]
        there = set(self.vault.index.ids()) - set(holdings.doomed)
        labels = [f"{LABELS}/{name}.json" for name in self.vault.index.labels.outdated(there)]
        pending = [f"{PENDING}/{one.id}.json" for one in Pending.every(backend) if one.expired()]
        return (*manifests, *labels, *pending)

    def _execute(self, plan: SweepPlan, progress: Progress) -> SweepPlan:
        backend, graph = self.vault.backend, plan.ledger.graph
        stand_ins = {graph.chosen[n.digest].folder for n in plan.garbage if n.digest in plan.ledger.needed()}
        with backend.batch(1) as batch:
            # Tombstones, and the objects that stand for others that go, are on the disk before anything goes.
            batch.flush([*([LABELS] if plan.forgotten else []), *sorted(stand_ins)])
        progress.start("collecting", sum(name.size for name in plan.garbage))
        for blob in plan.documents:
            backend.delete(blob)
        if plan.forgotten:
            with backend.batch(1) as batch:
                batch.flush([SNAPSHOTS])
        removed, failure = self._remove([*plan.husks, *plan.garbage], progress)
        progress.finish()
        if failure is not None:
            raise StorageError(f"not all could be removed, so the next `casvault gc` tries again: {failure}")
        if len(removed) == plan.objects:
            return plan
        done = set(removed)
        garbage = tuple(name for name in plan.garbage if name in done)
        husks = tuple(name for name in plan.husks if name in done)
        return replace(plan, garbage=garbage, husks=husks, unfinished_bytes=0, more=True)

    def _remove(self, names: list[ObjectName], progress: Progress) -> tuple[list[ObjectName], CasvaultError | None]:
        """Remove objects until others have waited long enough; return which are gone, and the last error.

        One that cannot be removed keeps no other: nothing needs any of them.
        """
        removed: list[ObjectName] = []
        failure: CasvaultError | None = None
        end = time.monotonic() + _TURN
        for name in names:
            try:
                self.vault.backend.delete(name.blob)
                removed.append(name)
            except CasvaultError as error:
                failure = error
            progress.advance(name.size)
            if time.monotonic() > end:
                break
        return removed, failure

    def _clear(self) -> None:
        """Remove what unfinished writes left behind: under this lock nobody writes objects and documents."""
        backend = self.vault.backend
        for folder in (OBJECTS, *self.vault.objects.folders(), SNAPSHOTS, LABELS, PENDING):
            for entry in backend.unfinished(folder):
                backend.clear(folder, entry)
        for folder in ("live", "cache", "tmp"):
            for entry in backend.unfinished(folder, _OLD):
                backend.clear(folder, entry)


def _depth(graph: ObjectGraph, name: ObjectName) -> int:
    """Return how late an object is read: what leans on others goes first, what nothing can read before all."""
    if name.digest not in graph.chosen:
        return len(graph.chosen)
    return 0 if name.base is None else 1 + graph.depth(name.base)
