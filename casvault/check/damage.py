"""Damage: what of a vault is not there or not right, and which files of which snapshots that hits.

Owns the invariant that a chunk counts as lost only where no object gives it, whichever way it is coded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from casvault.check.examine import Fault
from casvault.errors import CasvaultError, DamageError
from casvault.manifest.document import MAX_DOCUMENT
from casvault.manifest.manifest import Held, read_held
from casvault.objects import ObjectGraph, ObjectName
from casvault.vault.head import Head
from casvault.vault.heads import SNAPSHOTS
from casvault.vault.vault import Vault

__all__ = ["PICTURE", "Damage", "Hit"]

PICTURE = "its picture"
"""What stands for the picture of a snapshot, which is no file of its model."""


@dataclass(frozen=True)
class Hit:
    """What a lost chunk costs: the ``snapshots`` (ids) and ``files`` (paths) that need it."""

    digest: str
    snapshots: tuple[str, ...]
    files: tuple[str, ...]


@dataclass
class Damage:
    """What was found at one moment, for who holds the vault's lock.

    ``objects`` are all there are, ``faults`` what is wrong with those that were examined, ``documents`` the errors of
    manifests and labels by name. ``replaced`` are manifests that count in place of the stored ones, by id.
    """

    vault: Vault
    faults: Mapping[ObjectName, Fault]
    replaced: Mapping[str, bytes] = field(default_factory=dict)
    objects: list[ObjectName] = field(init=False)
    documents: dict[str, CasvaultError] = field(init=False)
    _heads: list[Head] = field(init=False)

    def __post_init__(self) -> None:
        # The cache of heads is passed over on purpose: the documents themselves are what has to be right.
        found = self.vault.index.read(cached=False)
        self.documents = dict(found.damaged)
        self._heads = found.heads
        self.objects = list(self.vault.objects.every())

    @cached_property
    def sound(self) -> list[ObjectName]:
        """The objects that have nothing wrong with themselves, as far as they were examined."""
        return [name for name in self.objects if name not in self.faults or self.faults[name].stranded]

    @cached_property
    def usable(self) -> Collection[str]:
        """The chunks that some object gives, bases counted."""
        return ObjectGraph(self.sound).chosen.keys()

    @cached_property
    def lost(self) -> set[str]:
        """The chunks that a snapshot needs and no object gives."""
        return {digest for _, _, digest in self._needs()}.difference(self.usable)

    def hits(self, digests: Collection[str]) -> dict[str, Hit]:
        """Return who needs these chunks. The manifests are read for it once more, so that memory stays small."""
        ids: dict[str, set[str]] = {}
        paths: dict[str, set[str]] = {}
        for id, path, digest in self._needs():
            if digest in digests:
                ids.setdefault(digest, set()).add(id)
                paths.setdefault(digest, set()).add(path)
        return {digest: Hit(digest, tuple(sorted(ids[digest])), tuple(sorted(paths[digest]))) for digest in sorted(ids)}

    def files_of(self, digests: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return for each snapshot that needs any of these chunks the files that do."""
        found: dict[str, set[str]] = {}
        for id, path, digest in self._needs():
            if digest in digests:
                found.setdefault(id, set()).add(path)
        return {id: tuple(sorted(paths)) for id, paths in found.items()}

    def places(self, digests: Collection[str]) -> dict[tuple[str, int], dict[str, tuple[int, int]]]:
        """Return where these chunks are: path and size of a file -> digest -> offset and size in it, in bytes."""
        found: dict[tuple[str, int], dict[str, tuple[int, int]]] = {}
        for _, held, _ in self._held():
            for path, (size, chunks) in held.files.items():
                offset = 0
                for chunk in chunks:
                    if chunk.digest in digests:
                        found.setdefault((path, size), {})[chunk.digest] = offset, chunk.size
                    offset += chunk.size
        return found

    def told(self) -> list[str]:
        """Return a sentence for each thing that is wrong; what leans on it is not told again."""
        sentences = {key: str(error) for key, error in self.documents.items()}
        for name, fault in self.faults.items():
            if not fault.stranded:
                sentences[name.blob] = fault.told
        explained = {name.digest for name, fault in self.faults.items() if not fault.stranded}
        encodings: dict[str, list[ObjectName]] = {}
        for name in self.objects if self.lost else ():
            encodings.setdefault(name.digest, []).append(name)
        found = {digest: _roots(digest, encodings, explained) for digest in self.lost}
        leaned_on = {root for digest, roots in found.items() for root in roots if root != digest}
        for roots in found.values():
            for root in roots:
                beside = ", and others lean on it" if root in leaned_on else ""
                sentences[f"objects/{root}"] = (
                    f"chunk {root} has no object in the vault{beside}."
                    if root not in encodings
                    else f"chunk {root} leans on itself, by an endless chain of bases."
                )
        return [sentences[key] for key in sorted(sentences)]

    def _needs(self) -> Iterator[tuple[str, str, str]]:
        """Yield snapshot, path and digest of every chunk that is needed."""
        for id, held, thinned in self._held():
            for path, (_, chunks) in held.files.items():
                if path not in thinned:
                    for chunk in chunks:
                        yield id, path, chunk.digest
            if held.picture is not None:
                yield id, PICTURE, held.picture.digest

    def _held(self) -> Iterator[tuple[str, Held, tuple[str, ...]]]:
        """Yield id, what its manifest holds, and what is thinned, of each snapshot that is not deleted."""
        for head in self._heads:
            if not head.label.deleted:
                try:
                    data = self.vault.backend.read(f"{SNAPSHOTS}/{head.id}.json", MAX_DOCUMENT)
                    yield head.id, read_held(data, head.id), head.label.thinned
                except DamageError as error:
                    self.documents[head.id] = error
        labels = self.vault.index.labels
        for id, data in self.replaced.items():
            label = labels.found(id, labels.stamps().get(id, [])).label
            if not label.deleted:
                yield id, read_held(data, id), label.thinned


def _roots(digest: str, encodings: Mapping[str, list[ObjectName]], explained: Collection[str]) -> set[str]:
    """Return the chunks for whose sake a chunk is lost: those without an object, else, in a circle, itself.

    Nothing where a damaged object, which is told anyway, explains it.
    """
    todo, seen, roots = [digest], set[str](), set[str]()
    while todo:
        current = todo.pop()
        if current in explained:
            return set()
        if current in seen:
            continue
        seen.add(current)
        if current not in encodings:
            roots.add(current)
        todo.extend(name.base for name in encodings.get(current, ()) if name.base is not None)
    return roots or {digest}
