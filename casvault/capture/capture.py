"""A capture: all files of a model opened at once, and known to be one whole save.

A trainer rewrites its files one after another, each by unlink and rename. So every file is opened, and at once each
path is looked at again: where none was replaced from the first open to the last look, a window of milliseconds, all
these files were there together. An open handle outlives the unlink, so the training may go on while the *set* is judged
by its content: the summary and data.dat tell one iteration, and every weight file is there. File times say nothing: any
copy shuffles them. They only make a model wait a little whose files do not tell whether a save is under way.

Where open files would be in the trainer's way (see sources.py), they are opened for moments only, and looked at once
more when the set was judged; `Capture.keep` then makes sure of their bytes.

Owns the invariant that a set which is not whole is never taken for one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from casvault.capture.sources import PathSource, copy_away, hold
from casvault.capture.waiting import Patience, Waiting
from casvault.errors import IncompleteSave, NotFound, StorageError
from casvault.files.identity import FileIdentity
from casvault.files.shared_open import name_is_free_at_once, open_shared
from casvault.files.source import ByteSource, FileSource, MemorySource
from casvault.models import Model, ModelFile, State, kind_named
from casvault.progress import Progress

__all__ = ["Capture", "CapturedFile", "capture"]

_POLL = 0.2
_IN_PLACE = 64 << 10
"""Files up to this many bytes are read at once: the trainer writes its summary in place."""
_HANDLES = 256
"""With more files than this they are opened again for each read, to stay below the limit of descriptors."""
_RESERVE = 120
"""Descriptors that are left for everything else."""
_HOLDS = os.name != "nt"
"""Whether an open file is never in the way of whoever deletes it; where not, each volume has to be tried."""


@dataclass(frozen=True)
class CapturedFile:
    """One file of a capture: what stat said of it, its permission bits, and its bytes.

    ``descriptor`` is the open file itself, None where it is not held.
    """

    file: ModelFile
    identity: FileIdentity
    mode: int
    source: ByteSource
    descriptor: int | None = None


@dataclass
class Capture:
    """The open files of one save; a context manager that closes them.

    ``incomplete`` says why the set is not one whole save, None where it is. ``window`` are the seconds from the first
    open to the last look at a path.
    """

    model: Model
    files: list[CapturedFile]
    state: State
    incomplete: str | None = None
    window: float = 0.0
    _open: ExitStack = field(default_factory=ExitStack)
    _loose: bool = False

    @property
    def saved_ns(self) -> int | None:
        """When the trainer saved, in nanoseconds since 1970: the time of the file it writes last."""
        last = kind_named(self.model.kind).last_role
        times = [item.identity.mtime_ns for item in self.files if last in (None, item.file.role)]
        return max(times, default=None)

    def keep(self, known: Mapping[str, FileIdentity]) -> None:
        """Make sure that the bytes outlast the trainer's next save; to be called before they are read.

        Files that are held are safe already. Others are held now where that is in nobody's way, else copied, but for
        those that still have their ``known`` identities, which nobody will read. Raises IncompleteSave where a save
        came in between, StorageError.
        """
        if not self._loose:
            return
        free = name_is_free_at_once(self.model.folder)
        self.files = [
            item if known.get(item.file.path) == item.identity else self._kept(item, free) for item in self.files
        ]
        moved = _moved(self)
        if moved is not None and self.incomplete is None:
            raise IncompleteSave(f"{moved}; try again when no save is under way.")

    def changed(self) -> str | None:
        """Say which file was written to since it was opened, None for none: then what was read is not to be trusted."""
        for item in self.files:
            if isinstance(item.source, PathSource):
                if item.source.identity() != item.identity:
                    return item.file.path
            elif isinstance(item.source, FileSource) and item.descriptor is not None:
                # An unlink moves ctime, and only that.
                size_and_time = FileIdentity.of(os.fstat(item.descriptor))[2:4]
                if size_and_time != item.identity[2:4]:
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
        self._open.close()

    def _kept(self, item: CapturedFile, free: bool) -> CapturedFile:
        if not isinstance(item.source, PathSource):
            return item
        path, size = self.model.folder / item.file.path, item.identity.size
        if free:
            descriptor = hold(path, item.identity)
            self._open.callback(os.close, descriptor)
            return replace(item, source=FileSource(descriptor, size), descriptor=descriptor)
        copy = self._open.enter_context(copy_away(path, item.identity))
        return replace(item, source=FileSource(copy.fileno(), size))


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
    waiting = Waiting(find(), patience)
    while True:
        attempt = _attempt(find(), known)
        opened = {item.file.path: item.identity for item in attempt.files}
        reason = waiting.judge(attempt.model, opened, attempt.incomplete)
        if reason is None or (waiting.only_restless and waiting.over()):
            return attempt
        if waiting.over():
            if patience.allow_incomplete and not waiting.awaits_save:
                attempt.incomplete = reason
                return attempt
            attempt.close()
            raise waiting.given_up(attempt.model, reason)
        attempt.close()
        progress.message(reason if waiting.awaits_save else f"waiting for a whole save: {reason}")
        progress.check()
        time.sleep(_POLL)


def _attempt(model: Model, known: tuple[Mapping[str, FileIdentity], State] | None) -> Capture:
    if not model.files:
        raise NotFound(f"no file of {model.name} is in {model.folder}.")
    taken = Capture(model, [], State())
    try:
        begun = time.perf_counter()
        moved = _open_all(taken) or _moved(taken)
        taken.window = time.perf_counter() - begun
        if moved is None and known is not None and {f.file.path: f.identity for f in taken.files} == known[0]:
            taken.state = known[1]
            return taken
        # What is missing says more than what moved.
        taken.incomplete = _judged(taken) or moved
    except BaseException:
        taken.close()
        raise
    return taken


def _open_all(taken: Capture) -> str | None:
    """Open all files of the model; return which one vanished meanwhile, if any did."""
    vanished = None
    many = len(taken.model.files) > _handles()
    held = _HOLDS and not many
    taken._loose = not _HOLDS and not many
    for file in taken.model.files:
        path = taken.model.folder / file.path
        try:
            descriptor = open_shared(path)
        except FileNotFoundError:
            vanished = f"{file.path} vanished while it was being opened"
            continue
        except OSError as error:
            if not _HOLDS and isinstance(error, PermissionError):
                # What somebody has just deleted, or is about to write, looks like that for a moment.
                vanished = f"{file.path} is in use"
                continue
            raise StorageError(f"cannot read {path}: {error.strerror}.") from error
        if held:
            taken._open.callback(os.close, descriptor)
        try:
            taken.files.append(_captured(file, path, descriptor, held))
        finally:
            if not held:
                os.close(descriptor)
    return vanished


def _captured(file: ModelFile, path: Path, descriptor: int, held: bool) -> CapturedFile:
    status = os.fstat(descriptor)
    identity = FileIdentity.of(status)
    source: ByteSource = FileSource(descriptor, identity.size)
    if identity.size <= _IN_PLACE:
        source = MemorySource(source.read_at(0, _IN_PLACE))
    elif not held:
        source = PathSource(path, identity)
    return CapturedFile(file, identity, status.st_mode & 0o777, source, descriptor if held else None)


def _moved(taken: Capture) -> str | None:
    """Say which file is not at its path any more, or was cut while it was read; None for none."""
    for item in taken.files:
        if FileIdentity.at(taken.model.folder / item.file.path) != item.identity:
            return f"{item.file.path} was replaced while it was being opened"
        if isinstance(item.source, MemorySource) and item.source.size != item.identity.size:
            return f"{item.file.path} is being written"
    return None


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


def _judged(taken: Capture) -> str | None:
    """Do what `_judge` does; files that are not held are looked at once more, since they may be others by now."""
    try:
        reason = _judge(taken)
    except OSError as error:
        if not taken._loose:
            raise
        reason = f"{Path(error.filename or taken.model.name).name} was replaced while it was looked at"
    return reason or (_moved(taken) if taken._loose else None)


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
    return kind.torn(sources.get, taken.state)
