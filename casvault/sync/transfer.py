"""Push, pull and sync: snapshots travel, newest first, each as a whole or not at all.

For each snapshot: announce what it will need, look what is there, send what is not, commit, look once more, withdraw
the announcement. Whatever interrupts that, the next run begins with another look and sends only what did not arrive.

Owns the order of these steps, whichever kinds of vault are at the two ends.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress

from casvault.errors import BrokenLink, CasvaultError, DamageError, MissingObject, NotFound, UsageError
from casvault.manifest.label import Label
from casvault.manifest.manifest import Manifest
from casvault.progress import Progress
from casvault.sync.backoff import Backoff
from casvault.sync.local import LocalRemote
from casvault.sync.plan import Sending, plan_objects, plan_snapshots, portions_of
from casvault.sync.remote import Arrival, Commit, Documents, Remote, State, Wanted
from casvault.sync.result import SyncOptions, SyncResult
from casvault.vault.references import heads_of_model, resolve_snapshot

__all__ = ["SyncOptions", "SyncResult", "pull", "push", "sync"]

_RENEW = 300.0
"""Seconds after which an announcement is made again; it counts for an hour."""

PORTION = 16 << 20
"""The most stored bytes that are sent, checked and put on the disk together."""

_SMALLEST = 1 << 20
_QUICK, _SLOW = 0.5, 2.0
"""Seconds for a portion: after a quick one the next is twice as large, after a slow one half as large."""

_TRIES = 3
_MOST_SURVEYED = 100
"""Snapshots whose manifests are kept in memory at once."""

_PAUSE = 0.2


def push(here: Remote, there: Remote, options: SyncOptions, progress: Progress | None = None) -> SyncResult:
    """Send snapshots from ``here`` to ``there``.

    Raises NotFound, AmbiguousError, UsageError, RemoteError, Locked, NoSpace, StorageError, Cancelled; what arrived
    by then stays, and is not sent again.
    """
    return _run(here, there, options, progress or Progress(), "sent")


def pull(here: Remote, there: Remote, options: SyncOptions, progress: Progress | None = None) -> SyncResult:
    """Bring snapshots from ``there`` to ``here``; raises what `push` raises."""
    return _run(there, here, options, progress or Progress(), "received")


def sync(
    here: Remote, there: Remote, options: SyncOptions, progress: Progress | None = None
) -> tuple[SyncResult, SyncResult]:
    """Push, then pull; return what was sent and what was received."""
    return push(here, there, options, progress), pull(here, there, options, progress)


def _run(source: Remote, target: Remote, options: SyncOptions, progress: Progress, way: str) -> SyncResult:
    if isinstance(source, LocalRemote) and source.is_same_as(target):
        raise UsageError(f"{source.title} is both ends; a vault is synced with another one.")
    begun = time.monotonic()
    # While the other end is still being reached.
    first: dict[Remote, State] = {end: end.state() for end in (source, target) if isinstance(end, LocalRemote)}
    for end in (source, target):
        end.ready()
    # Between two vaults of this machine the wire is what one gets from the other.
    wires = [end for end in (source, target) if not isinstance(end, LocalRemote)] or [target]
    before = sum(end.wire_bytes for end in wires)
    result = SyncResult(dry_run=options.dry_run, way=way)
    for end in (source, target):
        end.attend(progress)
    transfer = _Transfer(source, target, options, progress, result, first)
    backoff = Backoff(options.retries, progress)
    while True:
        try:
            transfer.run()
            break
        except BrokenLink as error:
            if transfer.has_moved():
                backoff.moved()
            _reach_again((source, target), backoff, error)
    result.retries = backoff.tries
    result.wire_bytes = sum(end.wire_bytes for end in wires) - before
    result.seconds = time.monotonic() - begun
    return result


def _reach_again(ends: Sequence[Remote], backoff: Backoff, error: BrokenLink) -> None:
    """Wait, and connect anew; raises what went wrong last where that was tried often enough."""
    while True:
        backoff.wait(error)
        try:
            for end in ends:
                end.reconnect()
            return
        except BrokenLink as another:
            error = another


def _chosen(source: Remote, state: State, options: SyncOptions) -> set[str]:
    """Return the ids of what is to travel, deletions among them where all or all of a model travels."""
    heads = [known.head for _, known in sorted(state.snapshots.items())]
    alive = [head for head in heads if not head.label.deleted]
    if options.snapshots:
        return {resolve_snapshot(reference, alive).id for reference in options.snapshots}
    if options.latest:
        reference = f"{options.model}@latest" if options.model is not None else "latest"
        return {resolve_snapshot(reference, alive).id}
    if options.model is not None:
        home = source.vault.home if isinstance(source, LocalRemote) else None
        if home is not None:
            return {head.id for head in heads_of_model(heads, options.model, home)}
        found = {head.id for head in heads if options.model in (head.model_name, head.model_name.rpartition("_")[0])}
        if not found:
            raise NotFound(f"no model {options.model!r} has snapshots in {source.title}.")
        return found
    return {*state.snapshots, *state.tombstones}


class _Transfer:
    """One run in one direction; after a link broke it can be run again, and goes on."""

    def __init__(
        self,
        source: Remote,
        target: Remote,
        options: SyncOptions,
        progress: Progress,
        result: SyncResult,
        first: dict[Remote, State],
    ) -> None:
        self._source = source
        self._target = target
        self._options = options
        self._progress = progress
        self._result = result
        self._first = first
        self._verb = "sending" if result.way == "sent" else "receiving"
        self._pace = _Pace(options.limit_rate, progress)
        self._arrived: dict[str, int] = {}
        self._held: set[str] | None = None
        self._known: dict[str, tuple[Commit, set[str]]] = {}
        self._surveyed = False
        self._carried: set[str] = set()
        self._committed: str | None = None
        self._committing: Commit | None = None
        self._mark = self._last_mark = (0, 0, 0)

    def run(self) -> None:
        """Plan, and do it; what is wrong with one snapshot keeps no other. Raises BrokenLink as well."""
        ours, theirs = self._state(self._source), self._state(self._target)
        self._acknowledge(theirs)
        plan = plan_snapshots(ours, theirs, _chosen(self._source, ours, self._options), delete=self._options.delete)
        self._result.refused |= plan.refused
        self._result.conflicts |= plan.conflicts
        self._result.failed |= self._left_out(ours, theirs)
        self._logical_before = self._result.logical_bytes
        self._sizes = {id: known.head.size for id, known in ours.snapshots.items()}
        if not self._options.dry_run:
            for id, stamp in plan.burials:
                self._bury(id, stamp)
        else:
            self._result.deleted += [id for id, _ in plan.burials]
        self._survey(plan.sendings)
        logical = sum(self._sizes[sending.id] for sending in plan.sendings)
        for number, sending in enumerate(plan.sendings, 1):
            if number > 1 and self._options.pause is not None and self._options.pause():
                break
            self._progress.check()
            self._progress.whole(self._result.logical_bytes, self._logical_before + logical)
            if not self._surveyed:
                self._progress.start(f"{self._verb} {number} of {len(plan.sendings)}", None)
            try:
                self._send(sending)
            except (DamageError, NotFound) as error:
                self._result.failed[sending.id] = str(error)
                self._committing = None
                # What was sent after it and went wrong as well is no fault of the next one.
                with suppress(DamageError):
                    self._target.settle()
        self._withdraw()
        self._progress.finish()

    def _state(self, end: Remote) -> State:
        return self._first.pop(end) if end in self._first else end.state()

    def _left_out(self, ours: State, theirs: State) -> dict[str, str]:
        """Return what cannot travel, and why, where everything is to: snapshots of which only the id is known."""
        if self._options.snapshots or self._options.latest or self._options.model is not None:
            return {}
        lost = ours.damaged - theirs.snapshots.keys() - theirs.tombstones.keys()
        why = f"its manifest in {self._source.title} cannot be read; `casvault verify` there tells more."
        return dict.fromkeys(sorted(lost), why)

    def _survey(self, sendings: Sequence[Sending]) -> None:
        """Look how much all will be, as far as it is not too much to keep in mind, so that the time can be told."""
        chosen = bool(self._options.snapshots or self._options.latest)
        few = 1 < len(sendings) <= _MOST_SURVEYED and not self._options.dry_run
        digests, self._known = set[str](), {}
        surveyed = sendings if few or chosen else ()
        found = self._source.documents([(sending.id, sending.stamp) for sending in surveyed])
        for sending, documents in zip(surveyed, found, strict=True):
            with suppress(DamageError, NotFound):
                self._known[sending.id] = _digests(documents, sending)
                digests |= self._known[sending.id][1]
        # Of what is chosen one by one a base that nobody chose would cost more than it saves.
        self._held = digests if chosen else None
        self._surveyed = few
        if few:
            names = self._source.closure(digests)
            standing = self._target.standing([name.digest for name in names])
            wanted = plan_objects(names, digests, standing, self._target.max_depth, self._held)
            total = sum(each.name.size for each in wanted)
            self._progress.start(f"{self._verb} {len(sendings)} snapshots", total)

    def has_moved(self) -> bool:
        """Tell whether the run that ended found more at the receiver than the one before it."""
        moved, self._last_mark = self._mark > self._last_mark, self._mark
        return moved

    def _acknowledge(self, theirs: State) -> None:
        """Count a snapshot that was made real just before the link broke and nobody could say so."""
        commit, self._committing = self._committing, None
        if commit is not None and commit.id in theirs.snapshots:
            self._committed = commit.id
            self._count(commit, new=True)

    def _bury(self, id: str, stamp: str) -> None:
        outcome = self._target.bury(id, stamp, self._source.label(id, stamp))
        if outcome.refused is not None:
            self._result.refused[id] = outcome.refused
        else:
            self._result.deleted.append(id)

    def _send(self, sending: Sending) -> None:
        known = self._known.pop(sending.id) if sending.id in self._known else None
        commit, digests = known or _digests(self._source.documents([(sending.id, sending.stamp)])[0], sending)
        if self._options.dry_run:
            self._look(digests)
            self._count(commit, new=sending.new)
            return
        for attempt in range(_TRIES):
            try:
                self._bring(sending.id, digests)
                self._committing = commit if sending.new else None
                outcome, standing = self._target.conclude(commit, digests)
            except MissingObject:
                # Coded anew by gc at the sender while it was read.
                if attempt == _TRIES - 1:
                    raise
                time.sleep(_PAUSE)
                continue
            if outcome.refused is not None:
                self._committing = None
                (self._result.conflicts if outcome.conflict else self._result.refused)[sending.id] = outcome.refused
                self._target.withdraw(sending.id)
                return
            if not outcome.missing and standing.depths.keys() >= digests:
                self._carried -= digests
                self._committing, self._committed = None, sending.id
                self._count(commit, new=sending.new)
                return
        raise DamageError(f"what snapshot {sending.id} needs did not stay in {self._target.title}; try again.")

    def _bring(self, id: str, digests: set[str]) -> None:
        """Announce what a snapshot needs, and send what is not there."""
        names = self._source.closure(digests)
        here = {name.digest for name in names}
        if not here >= digests:
            raise MissingObject(
                f"{len(digests - here)} chunks of snapshot {id} are missing in {self._source.title}; "
                "`casvault verify` tells more."
            )
        # Bases that came with a newer snapshot are held by none yet: what they belong to is still to come.
        self._carried |= here - digests
        announcing = here | self._carried
        standing = self._target.prepare(id, announcing, self._committed, here)
        self._committed = None
        announced = time.monotonic()
        done = len(self._result.snapshots) + self._result.labels
        self._mark = (done, len(standing.depths), self._source.begun + self._target.begun)
        wanted = plan_objects(names, digests, standing, self._target.max_depth, self._held)
        asked: deque[Wanted] = deque()

        def portions() -> Iterator[list[Wanted]]:
            for portion in portions_of(wanted, lambda: self._pace.portion):
                asked.extend(portion)
                yield portion

        if not self._surveyed:
            self._progress.start(f"{self._verb} {id[-6:]}", sum(each.name.size for each in wanted))
        try:
            with closing(self._source.read(portions())) as read:
                for arrivals in read:
                    if time.monotonic() - announced > _RENEW:
                        self._target.announce(id, announcing)
                        announced = time.monotonic()
                    self._put([asked.popleft() for _ in range(min(len(asked), len(arrivals)))], arrivals)
        except BrokenLink:
            # What came whole is not sent again.
            with suppress(CasvaultError):
                self._target.settle()
            raise

    def _withdraw(self) -> None:
        """Take back what was announced for the snapshot that was committed last."""
        if self._committed is not None:
            self._target.withdraw(self._committed)
            self._committed = None

    def _put(self, portion: Sequence[Wanted], arrivals: Sequence[Arrival]) -> None:
        """Pass on what the source gave, if that is what it was asked for."""
        asked = [(each.name.digest, None if each.alone else each.name.base) for each in portion]
        if [(arrival.name.digest, arrival.name.base) for arrival in arrivals] != asked:
            raise DamageError(f"{self._source.title} sent other objects than it was asked for.")
        self._target.put(arrivals)
        size = sum(arrival.name.size for arrival in arrivals)
        self._result.objects += len(arrivals)
        self._result.object_bytes += size
        self._progress.advance(size)
        self._pace.wait(size)

    def _look(self, digests: set[str]) -> None:
        """Count what would be sent, for a dry run."""
        names = self._source.closure(digests)
        standing = self._target.standing([name.digest for name in names])
        standing = standing._replace(depths={**self._arrived, **standing.depths})
        wanted = plan_objects(names, digests, standing, self._target.max_depth, self._held)
        self._arrived.update((each.name.digest, 0) for each in wanted)
        self._result.objects += len(wanted)
        self._result.object_bytes += sum(each.name.size for each in wanted)

    def _count(self, commit: Commit, *, new: bool) -> None:
        self._result.failed.pop(commit.id, None)
        if new:
            self._result.snapshots.append(commit.id)
            self._result.logical_bytes += self._sizes[commit.id]
        self._result.labels += commit.label is not None


def _digests(documents: Documents | CasvaultError, sending: Sending) -> tuple[Commit, set[str]]:
    """Return what makes a snapshot real, and the chunks that it needs; raises what came in place of its documents."""
    if isinstance(documents, CasvaultError):
        raise documents
    data, label = documents
    manifest = Manifest.parse(data, sending.id)
    thinned = tuple[str, ...]()
    if label is not None:
        thinned = Label.parse(label, f"{sending.id}.{sending.stamp}").thinned
    return Commit(sending.id, data, sending.stamp, label), {chunk.digest for chunk in manifest.chunks(thinned)}


class _Pace:
    """How many bytes to send at once (``portion``): what takes about a second, so that a slow link that breaks costs
    little. Also keeps to a rate.
    """

    def __init__(self, rate: int | None, progress: Progress) -> None:
        self._rate = rate
        self._progress = progress
        self._free = self._last = time.monotonic()
        self._most = PORTION if rate is None else max(1, min(PORTION, rate))
        self.portion = min(_SMALLEST, self._most)

    def wait(self, size: int) -> None:
        """Note that ``size`` bytes went, and wait as long as they take at the rate, less what they took already."""
        now = time.monotonic()
        took, self._last = now - self._last, now
        if took < _QUICK:
            self.portion = min(self._most, 2 * self.portion)
        elif took > _SLOW:
            self.portion = max(min(_SMALLEST, self._most), self.portion // 2)
        if self._rate is None:
            return
        self._free = max(self._free, now - 1.0) + size / self._rate
        while (rest := self._free - time.monotonic()) > 0:
            self._progress.check()
            time.sleep(min(rest, _PAUSE))
