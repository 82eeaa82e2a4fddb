"""A capture: all files of a model opened at once, and known to be one whole save.

A trainer rewrites its files one after another, each by unlink and rename. So every file is opened, and the *set* is
judged by its content: the summary and data.dat tell one iteration, every weight file is there, and no stat changed from
the first open to the last. An open handle outlives the unlink, so after that the training may go on while the files are
read. File times say nothing: any copy shuffles them.

Owns the invariant that a set which is not whole is never taken for one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from casvault.errors import IncompleteSave, NotFound, StorageError
from casvault.files.identity import FileIdentity
from casvault.files.shared_open import open_shared
from casvault.files.source import ByteSource, FileSource, MemorySource
from casvault.models import Model, ModelFile, State, kind_named
from casvault.progress import Progress

__all__ = ["Capture", "CapturedFile", "Patience", "capture"]

_POLL = 0.2
_SETTLE = 0.5
"""Seconds for which a leftover .tmp must not change to be taken for stale."""
_FRESH_NS = 60_000_000_000
"""A .tmp that was written longer ago than this, in nanoseconds, is stale at first sight."""
_IN_PLACE = 64 << 10
"""Files up to this many bytes are read at once: the trainer writes its summary in place."""
_HANDLES = 256
"""With more files than this they are opened again for each read, to stay below the limit of descriptors."""
_RESERVE = 120
"""Descriptors that are left for everything else."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a whole save, in seconds, and whether to take what is there when that is over.

    ``next_save``: wait first until the trainer has saved once more. ``still``: give up sooner, after so many
    seconds in which nothing moved.
    """

    seconds: float = 60.0
    allow_incomplete: bool = False
    next_save: bool = False
    still: float = 12.0


@dataclass(frozen=True)
class CapturedFile:
    """One file of a capture: what stat said of it, its permission bits, and its bytes."""

    file: ModelFile
    identity: FileIdentity
    mode: int
    source: ByteSource


@dataclass
class Capture:
    """The open files of one save; a context manager that closes them.

    ``incomplete`` says why the set is not one whole save, None where it is.
    """

    model: Model
    files: list[CapturedFile]
    state: State
    incomplete: str | None = None
    _descriptors: list[int] = field(default_factory=list)

    @property
    def saved_ns(self) -> int | None:
        """When the trainer saved, in nanoseconds since 1970: the time of the file it writes last."""
        last = kind_named(self.model.kind).last_role
        times = [item.identity.mtime_ns for item in self.files if last in (None, item.file.role)]
        return max(times, default=None)

    def changed(self) -> str | None:
        """Say which file was written to since it was opened, None for none: then what was read is not to be trusted."""
        by_descriptor = dict(zip(self._descriptors, self.files, strict=False))
        for descriptor, item in by_descriptor.items():
            if isinstance(item.source, FileSource) and FileIdentity.of(os.fstat(descriptor))[2:4] != item.identity[2:4]:
                return item.file.path
        for item in self.files:
            if isinstance(item.source, _PathSource) and item.source.identity() != item.identity:
                return item.file.path
        return None

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()


def capture(
    find: Callable[[], Model],
    patience: Patience,
    known: tuple[Mapping[str, FileIdentity], State] | None = None,
    progress: Progress | None = None,
) -> Capture:
    """Capture the model that ``find`` looks up anew for each attempt.

    ``known`` are file identities with the state of a whole save: a set that still has all of them is whole and is
    not read. Raises IncompleteSave when patience ends, NotFound when no file is there, StorageError when one cannot
    be read.
    """
    progress = progress or Progress()
    watch = _Watch(find(), patience)
    while True:
        attempt = _attempt(find(), known)
        reason = watch.judge(attempt)
        if reason is None:
            return attempt
        if watch.over():
            if patience.allow_incomplete and not watch.awaits_save:
                attempt.incomplete = reason
                return attempt
            attempt.close()
            if watch.awaits_save:
                raise IncompleteSave(
                    f"the trainer has not saved {attempt.model.name} within {patience.seconds:.0f} s; "
                    "wait longer with --wait, or take the last save without --next-save."
                )
            raise IncompleteSave(
                f"{attempt.model.name} is not one whole save: {reason}. Try again, wait longer with --wait, "
                "or take it as it is with --allow-incomplete."
            )
        attempt.close()
        progress.message(f"waiting for a whole save: {reason}")
        progress.check()
        time.sleep(_POLL)


class _Watch:
    """What was seen over several attempts: whether anything moves, and whether it is time to give up."""

    def __init__(self, model: Model, patience: Patience) -> None:
        self._end = time.monotonic() + patience.seconds
        self._still = patience.still
        self._moved = time.monotonic()
        self._seen: dict[str, FileIdentity | None] = {}
        self._first = _identities(model) if patience.next_save else None
        self.awaits_save = patience.next_save

    def judge(self, attempt: Capture) -> str | None:
        """Say why the attempt is not to be taken yet, None where it is."""
        now = _identities(attempt.model)
        if now != self._seen:
            self._seen, self._moved = now, time.monotonic()
        if self.awaits_save and self._first is not None:
            last = kind_named(attempt.model.kind).last_role
            names = [item.path for item in attempt.model.files if last in (None, item.role)]
            self.awaits_save = all(now.get(name) == self._first.get(name) for name in names)
            if self.awaits_save:
                return "the trainer has not saved since"
        if attempt.incomplete:
            return attempt.incomplete
        fresh = [name for name in attempt.model.leftovers if _fresh(now.get(name))]
        if fresh and time.monotonic() - self._moved < _SETTLE:
            return f"{fresh[0]} may be a save under way"
        return None

    def over(self) -> bool:
        """Tell whether to give up: time is up, or nothing has moved for a while and nothing will."""
        now = time.monotonic()
        return now >= self._end or (not self.awaits_save and now - self._moved > self._still)


def _fresh(identity: FileIdentity | None) -> bool:
    return identity is not None and abs(time.time_ns() - identity.mtime_ns) < _FRESH_NS


def _attempt(model: Model, known: tuple[Mapping[str, FileIdentity], State] | None) -> Capture:
    if not model.files:
        raise NotFound(f"no file of {model.name} is in {model.folder}.")
    taken = Capture(model, [], State())
    try:
        vanished = _open_all(taken)
        if vanished is None and known is not None and {f.file.path: f.identity for f in taken.files} == known[0]:
            taken.state = known[1]
            return taken
        taken.incomplete = _judge(taken) or vanished
    except BaseException:
        taken.close()
        raise
    return taken


def _open_all(taken: Capture) -> str | None:
    """Open all files of the model; return which one vanished meanwhile, if any did."""
    vanished = None
    many = len(taken.model.files) > _handles()
    for file in taken.model.files:
        path = taken.model.folder / file.path
        try:
            descriptor = open_shared(path)
        except FileNotFoundError:
            vanished = f"{file.path} vanished while it was being opened"
            continue
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}.") from error
        taken._descriptors.append(descriptor)
        status = os.fstat(descriptor)
        identity = FileIdentity.of(status)
        source: ByteSource = FileSource(descriptor, identity.size)
        if many:
            os.close(taken._descriptors.pop())
            source = _PathSource(path, identity)
        elif identity.size <= _IN_PLACE:
            source = MemorySource(source.read_at(0, _IN_PLACE))
        taken.files.append(CapturedFile(file, identity, status.st_mode & 0o777, source))
    return vanished


def _half_restored(model: Model) -> Path | None:
    """Return the journal of an interrupted restore of this very model, None where there is none."""
    for path in model.folder.glob(".casvault_restore_*/journal.json"):
        try:
            key = str(json.loads(path.read_bytes())["key"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return path
        if key.rpartition("\n")[2] == model.name:
            return path
    return None


def _handles() -> int:
    try:
        import resource
    except ImportError:
        return _HANDLES
    return max(0, min(_HANDLES, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _RESERVE))


def _judge(taken: Capture) -> str | None:
    """Say why the set is not one whole save, None where it is."""
    kind = kind_named(taken.model.kind)
    sources = {item.file.role: item.source for item in taken.files}
    half = _half_restored(taken.model)
    if half is not None:
        return (
            f"a restore into it was interrupted ({half.parent.name}), which the vault that it came from has to finish"
        )
    taken.state = kind.state(sources.get, taken.model.type)
    damage = kind.damage(sources.get, sources.keys())
    taken.state = replace(taken.state, problems=(*taken.state.problems, *damage))
    missing = kind.missing(sources.keys(), taken.model.type, taken.state)
    if missing:
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not there"
    torn = kind.torn(sources.get, taken.state)
    if torn:
        return torn
    for item in taken.files:
        if FileIdentity.at(taken.model.folder / item.file.path) != item.identity:
            return f"{item.file.path} was replaced while it was being opened"
        if isinstance(item.source, MemorySource) and item.source.size != item.identity.size:
            return f"{item.file.path} is being written"
    return None


class _PathSource:
    """A file that is opened again for each read."""

    def __init__(self, path: Path, identity: FileIdentity) -> None:
        self._path = path
        self._identity = identity

    @property
    def size(self) -> int:
        """Length in bytes when it was captured."""
        return self._identity.size

    def identity(self) -> FileIdentity | None:
        """Return what stat says of the file now."""
        return FileIdentity.at(self._path)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset``."""
        descriptor = open_shared(self._path)
        try:
            return FileSource(descriptor, self._identity.size).read_at(offset, length)
        finally:
            os.close(descriptor)


def _identities(model: Model) -> dict[str, FileIdentity | None]:
    names = [file.path for file in model.files] + list(model.leftovers)
    return {name: FileIdentity.at(model.folder / name) for name in names}
