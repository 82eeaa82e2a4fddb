"""The labels of all snapshots: which is the newest, and what holds where that cannot be read.

Owns the invariant that a label which cannot be read never gives anything up. Of such a snapshot the older labels still
tell the name, but not that it was deleted or thinned: the newest may have taken that back. Who changes it then starts
from there, and never from what an older label said of deleting.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from casvault.backends import Backend, Listing
from casvault.errors import BadManifest, CasvaultError, NotFound
from casvault.manifest.document import MAX_DOCUMENT
from casvault.manifest.label import Label, label_parts
from casvault.manifest.stamp import Stamp

__all__ = ["LABELS", "FoundLabel", "LabelIndex", "label_parts"]

LABELS = "labels"
_SUFFIX = ".json"


class FoundLabel(NamedTuple):
    """What holds for a snapshot; ``damaged`` has the errors of labels that could not be read, by name.

    ``doubtful`` says that the newest is among these.
    """

    label: Label
    damaged: dict[str, CasvaultError]

    @property
    def doubtful(self) -> bool:
        """Whether the newest label could not be read."""
        return bool(self.damaged)


class LabelIndex:
    """Finds labels by listing their folder; safe to use from several threads."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._tombstones: set[str] = set()

    def stamps(self) -> dict[str, list[str]]:
        """Return for each snapshot that has labels their stamps, the newest first."""
        found: dict[str, list[str]] = {}
        for entry in self._backend.list(LABELS):
            if entry.name.endswith(_SUFFIX):
                id, stamp = label_parts(entry.name[: -len(_SUFFIX)])
                if Stamp.shaped(id) and Stamp.shaped(stamp):
                    found.setdefault(id, []).append(stamp)
        for each in found.values():
            each.sort(reverse=True)
        return found

    def of(self, id: str, listing: Listing | None = None) -> list[str]:
        """Return the stamps of the labels of snapshot ``id``, the newest first, from the ``listing`` of their folder.

        Without one it is listed now.
        """
        listing = listing if listing is not None else self._backend.listing(LABELS)
        parts = (label_parts(one.name[: -len(_SUFFIX)]) for one in listing.starting(id) if one.name.endswith(_SUFFIX))
        return sorted((stamp for owner, stamp in parts if owner == id and Stamp.shaped(stamp)), reverse=True)

    def newest(self, id: str) -> Label:
        """Return the newest label of snapshot ``id``, an empty one where there is none.

        Raises BadManifest where it is damaged, StorageError where it cannot be read.
        """
        stamps = self.of(id)
        return self._read(id, stamps[0]) if stamps else Label(id)

    def found(self, id: str, stamps: Sequence[str]) -> FoundLabel:
        """Return what holds for a snapshot with labels of these ``stamps``, the newest first; never raises."""
        damaged: dict[str, CasvaultError] = {}
        for stamp in stamps:
            try:
                label = self._read(id, stamp)
            except CasvaultError as error:
                damaged[f"{id}.{stamp}"] = error
            else:
                return FoundLabel(replace(label, deleted=False, thinned=()) if damaged else label, damaged)
        return FoundLabel(Label(id), damaged)

    def to_change(self, id: str) -> FoundLabel:
        """Return what a change of the label of ``id`` starts from; raises StorageError where one cannot be read.

        A damaged one is replaced by the change; one that only cannot be read now may say anything.
        """
        found = self.found(id, self.of(id))
        for error in found.damaged.values():
            if not isinstance(error, BadManifest):
                raise error
        return found

    def outdated(self, there: Collection[str]) -> list[str]:
        """Return the names of labels that count no more, where only the snapshots ``there`` have a manifest.

        These are older ones, and those of snapshots that never came to be. A label that says that a snapshot was
        deleted stays, as its tombstone. Where the newest cannot be read all stay.
        """
        outdated: list[str] = []
        for id, stamps in self.stamps().items():
            if len(stamps) == 1 and (id in there or id in self._tombstones):
                continue
            try:
                label = self._read(id, stamps[0])
            except CasvaultError:
                continue
            if id not in there and label.deleted:
                # It never changes, and there may be many: each is read once.
                self._tombstones.add(id)
            counts = id in there or label.deleted
            outdated += [f"{id}.{stamp}" for stamp in (stamps[1:] if counts else stamps)]
        return sorted(outdated)

    def _read(self, id: str, stamp: str) -> Label:
        name = f"{id}.{stamp}"
        try:
            return Label.parse(self._backend.read(f"{LABELS}/{name}{_SUFFIX}", MAX_DOCUMENT), name)
        except NotFound as error:
            raise BadManifest(f"label {name} is not there any more.") from error
