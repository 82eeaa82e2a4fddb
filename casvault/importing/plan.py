"""What an import would do: which copies become snapshots, in which order, and which are there already or broken.

Owns the invariants that the copies of a model come oldest first, and that a copy which was imported is known again by
its contents and the time of its save.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import merge
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from casvault.capture import Capture, Patience, capture
from casvault.capture.hashing import digest_of_source
from casvault.errors import Cancelled, CasvaultError
from casvault.files.identity import FileIdentity
from casvault.importing.copies import Copy, find_copies
from casvault.importing.notes import Notes, read_notes
from casvault.manifest.manifest import contents_of
from casvault.manifest.stamp import from_iso, iso_of_ns
from casvault.models import State, kind_named
from casvault.models.folder import absolute
from casvault.progress import Progress
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["Candidate", "ImportPlan", "plan_import"]

_COPYING = 120.0
"""Seconds: copies that are this close in time have the times of their copying."""


@dataclass(frozen=True)
class Candidate:
    """A copy as it was looked at. ``existing`` is the snapshot that it became before, ``problem`` why it cannot be one.

    ``shown`` is its folder relative to the one that was named; ``size`` is in bytes; ``files`` has the identity of each
    of its files by its path.
    """

    copy: Copy
    shown: str
    notes: Notes
    state: State
    saved_ns: int | None
    size: int
    files: dict[str, FileIdentity]
    problem: str | None = None
    existing: Head | None = None

    @property
    def saved_at(self) -> str | None:
        """When the trainer saved it, ISO 8601 in UTC."""
        return iso_of_ns(self.saved_ns)

    @property
    def fate(self) -> str:
        """``import``, ``there`` or ``broken``."""
        return "broken" if self.problem is not None else "there" if self.existing is not None else "import"

    def to_json(self) -> dict[str, Any]:
        """Return the copy for `--json`."""
        return {
            "folder": str(self.copy.folder),
            "model": self.copy.name,
            "home": str(self.copy.home),
            "iteration": self.state.iteration,
            "loss": self.state.loss,
            "saved_at": self.saved_at,
            "logical_bytes": self.size,
            "fate": self.fate,
            "snapshot": self.existing.id if self.existing is not None else None,
            "reason": self.problem,
        }


@dataclass(frozen=True)
class ImportPlan:
    """An import before it happens: the copies by model and oldest first, empty folders, and those that cannot be read
    with the reason.
    """

    folder: Path
    candidates: tuple[Candidate, ...]
    empty: tuple[Path, ...]
    unreadable: dict[Path, str]

    def to_json(self) -> dict[str, Any]:
        """Return the plan for `--json`."""
        return {
            "folder": str(self.folder),
            "copies": [candidate.to_json() for candidate in self.candidates],
            "empty": [str(place) for place in self.empty],
            "unreadable": [{"folder": str(place), "reason": why} for place, why in self.unreadable.items()],
        }


def plan_import(vault: Vault, folder: Path, source: Path | None = None, progress: Progress | None = None) -> ImportPlan:
    """Return what importing the copies in ``folder`` would do; stores nothing.

    ``source`` is the folder where the models are or were, None to find it out. Raises NotFound, UsageError,
    StorageError, Cancelled.
    """
    folder, progress = absolute(folder), progress or Progress()
    found = find_copies(vault, folder, source)
    rivals: dict[tuple[str, str | None, int], list[Head]] = defaultdict(list)
    for head in vault.heads():
        if head.kind == "imported":
            rivals[head.model_name, head.saved_at, head.size].append(head)
    candidates = []
    progress.start("looking at copies", None)
    key = lambda candidate: (candidate.copy.name, str(candidate.copy.home))  # noqa: E731
    looked = sorted((_look_at(copy, folder) for copy in found.copies), key=key)
    for _, line in groupby(looked, key=key):
        for candidate in _oldest_first(list(line)):
            alike = rivals[candidate.copy.name, candidate.saved_at, candidate.size]
            candidates.append(_recognize(candidate, alike, progress) if alike else candidate)
    progress.finish()
    return ImportPlan(folder, tuple(candidates), tuple(found.empty), found.unreadable)


def _look_at(copy: Copy, folder: Path) -> Candidate:
    shown = copy.folder.relative_to(folder).as_posix() if copy.folder != folder else copy.folder.name
    notes = read_notes(copy.folder) if copy.number is None else Notes()
    blank = Candidate(copy, shown, notes, State(), None, 0, {})
    try:
        with capture(lambda: copy.model, Patience(0.0, allow_incomplete=True)) as taken:
            return replace(
                blank,
                state=taken.state,
                saved_ns=taken.saved_ns,
                size=sum(item.identity.size for item in taken.files),
                files={item.file.path: item.identity for item in taken.files},
                problem=_problem(taken),
                notes=_checked(notes, taken.state.iteration),
            )
    except Cancelled:
        raise
    except CasvaultError as error:
        return replace(blank, problem=str(error))


def _checked(notes: Notes, iteration: int | None) -> Notes:
    """Return the notes, doubted where they tell another iteration than the trainer."""
    if notes.iteration in (None, iteration) or notes.path is None:
        return notes
    told = f"{notes.path.name} tells iteration {notes.iteration:,}, the trainer {iteration}; the trainer is believed."
    return replace(notes, all_taken=False, problems=(*notes.problems, told))


def _problem(taken: Capture) -> str | None:
    """Say why a copy is broken: what the trainer could not go on with is worth no snapshot."""
    if taken.incomplete is not None:
        return f"it is not one whole save: {taken.incomplete}"
    sources = {item.file.role: item.source for item in taken.files}
    damage = kind_named(taken.model.kind).damage(sources.get, sources.keys())
    if damage:
        return " ".join(damage)
    return taken.state.problems[0] if taken.state.iteration is None and taken.state.problems else None


def _recognize(candidate: Candidate, alike: list[Head], progress: Progress) -> Candidate:
    """Return the candidate with the snapshot that it became before, which is taken out of ``alike``."""
    if candidate.problem is not None:
        return candidate
    model, kind, digests = candidate.copy.model, kind_named(candidate.copy.model.kind), {}
    try:
        with capture(lambda: model, Patience(0.0, allow_incomplete=True)) as taken:
            for item in taken.files:
                digests[kind.path_of(item.file.role, candidate.copy.name)] = digest_of_source(item.source, progress)
    except Cancelled:
        raise
    except (CasvaultError, OSError) as error:
        return replace(candidate, problem=f"it cannot be read: {error}")
    existing = next((head for head in alike if head.contents == contents_of(digests)), None)
    if existing is not None:
        # Two copies may be alike, and each is one snapshot.
        alike.remove(existing)
    return replace(candidate, existing=existing)


def _oldest_first(line: list[Candidate]) -> Iterator[Candidate]:
    """Yield the copies of one model: the trainer's backups in the order of their numbers, others by time.

    Who copies many copies at once gives each of them the time of the copying: among such the iteration tells the order.
    """
    numbered = sorted((one for one in line if one.copy.number is not None), key=lambda one: one.copy.number or 0)
    bursts: list[list[Candidate]] = []
    for one in sorted((one for one in line if one.copy.number is None), key=_moment):
        if bursts and _moment(one) - _moment(bursts[-1][-1]) < _COPYING:
            bursts[-1].append(one)
        else:
            bursts.append([one])
    for burst in bursts:
        burst.sort(key=lambda one: (one.state.iteration or 0, _moment(one)))
    return merge(numbered, chain.from_iterable(bursts), key=_moment)


def _moment(candidate: Candidate) -> float:
    """Return when the copy is of, in seconds since 1970: what was written down, else the time of the save."""
    if candidate.notes.created is not None:
        return from_iso(candidate.notes.created).timestamp()
    return (candidate.saved_ns or 0) / 1e9
