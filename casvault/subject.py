"""A subject: a snapshot or a live model that is looked into, as files whose bytes can be read at any offset.

So what examines or compares models does not ask where they are. Owns the invariant that memory does not grow with the
model: of a snapshot the last few chunks that were decoded are kept, of a live model nothing.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from casvault.capture import Capture, Patience, capture
from casvault.chunking.chunks import cut
from casvault.codecs import Bytes
from casvault.digest import Hasher, digest_of
from casvault.errors import CasvaultError, IncompleteSave, NotFound, StorageError
from casvault.files.source import ByteSource
from casvault.formats import Region, scan
from casvault.formats.tidy import tidy
from casvault.manifest.manifest import ChunkRef, FileEntry, Manifest
from casvault.manifest.stamp import iso_of_ns
from casvault.models import State, find_again, kind_named
from casvault.objects import ObjectStore
from casvault.progress import Progress
from casvault.vault.head import Head
from casvault.vault.parent import parent_of
from casvault.vault.places import models_at, only
from casvault.vault.references import resolve_snapshot
from casvault.vault.vault import Vault

__all__ = ["StoredFile", "Subject", "SubjectFile", "open_subject", "snapshot_meant", "stored_sources"]

_PATIENCE = Patience(10.0, allow_incomplete=True, still=2.0)
"""A save that is under way is waited out; what stays half-saved is what there is to look at."""

_BLOCK = 2 << 20
"""Bytes that are read of a live file at a time, where its chunks are not asked for."""

_KEPT = 8
"""Chunks of one subject that are kept decoded, beside two for each thread."""


@dataclass(frozen=True)
class SubjectFile:
    """One file: its tensors, its bytes (None where they are not kept any more), and its parts, one after another.

    ``parts`` have the digests of chunks, and ``digest`` is the one of the whole file, where they are known: of a live
    model only if they were asked for; empty strings else.
    """

    path: str
    role: str
    size: int
    regions: tuple[Region, ...]
    source: ByteSource | None
    parts: tuple[ChunkRef, ...]
    digest: str
    entry: FileEntry | None = None

    @cached_property
    def starts(self) -> list[int]:
        """Where each part starts, in bytes."""
        return starts_of(self.parts)


@dataclass(frozen=True)
class Subject:
    """A snapshot, or a live model. ``title`` is what to call it in a sentence; ``head`` is None of a live model.

    ``parent`` is the snapshot that it goes on from; ``incomplete`` says why it is not one whole save.
    """

    title: str
    kind: str
    name: str
    type: str | None
    folder: str
    head: Head | None
    state: State
    saved_at: str | None
    incomplete: str | None
    files: tuple[SubjectFile, ...]
    parent: Manifest | None = None
    meta: dict[str, object] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all files that can be read."""
        return sum(file.size for file in self.files if file.source is not None)


@contextmanager
def open_subject(vault: Vault, what: str | Path, progress: Progress, *, hashed: bool = False) -> Iterator[Subject]:
    """Give the snapshot that ``what`` names, else the live model: a path always means a live one.

    With ``hashed`` a live model is cut and hashed as a snapshot of it would be, which reads all of it. Raises NotFound,
    AmbiguousError, UsageError, StorageError, and at the end IncompleteSave where a live file was written to meanwhile.
    """
    head = snapshot_meant(vault, what)
    if head is not None:
        yield _stored(vault, head)
        return
    model = only(what, models_at(vault, what))
    with capture(lambda: find_again(model), _PATIENCE, progress=progress) as taken:
        try:
            yield _live(vault, taken, progress, hashed)
        except (OSError, EOFError) as error:
            raise StorageError(f"cannot read {model.name}: {error}.") from error
        changed = taken.changed()
        if changed is not None:
            raise IncompleteSave(f"{changed} was changed while it was read; try again when it is at rest.")


def snapshot_meant(vault: Vault, text: str | Path) -> Head | None:
    """Return the snapshot that ``text`` names, None where it rather names a live model; raises as references do."""
    if isinstance(text, Path):
        return None
    try:
        return resolve_snapshot(text, vault.heads())
    except NotFound:
        if os.path.lexists(text) or os.path.dirname(text):
            return None
        try:
            models_at(vault, text)
        except NotFound:
            pass
        else:
            return None
        raise


def _stored(vault: Vault, head: Head) -> Subject:
    manifest = vault.manifest(head.id)
    files = []
    for entry, source in stored_sources(vault, manifest, head.label.thinned):
        regions = tuple(tidy(entry.regions, entry.size))
        files.append(
            SubjectFile(entry.path, entry.role, entry.size, regions, source, entry.chunks, entry.digest, entry)
        )
    state = State(manifest.iteration, manifest.loss, manifest.loss_last, manifest.options)
    kind = kind_named(manifest.model_kind)
    if kind.last_role is not None:
        told = kind.state({file.role: file.source for file in files}.get, manifest.model_type)
        thinned = any(file.role == kind.last_role and file.source is None for file in files)
        state = state if thinned else told
    return Subject(
        title=f"snapshot '{head.title}'",
        kind=manifest.model_kind,
        name=manifest.model_name,
        type=manifest.model_type,
        folder=manifest.source,
        head=head,
        state=state,
        saved_at=manifest.saved_at,
        incomplete="it holds something that was not one whole save" if manifest.incomplete else None,
        files=tuple(files),
        parent=_manifest(vault, manifest.parent),
        meta=dict(manifest.meta or {}),
    )


def _live(vault: Vault, taken: Capture, progress: Progress, hashed: bool) -> Subject:
    model = taken.model
    if hashed:
        progress.start("reading", sum(item.source.size for item in taken.files))
    files = []
    for item in taken.files:
        regions = tuple(scan(item.source))
        parts, digest = _hashed(vault, item.source, regions, progress) if hashed else (_blocks(item.source.size), "")
        files.append(SubjectFile(item.file.path, item.file.role, item.source.size, regions, item.source, parts, digest))
    if hashed:
        progress.finish()
    record = vault.live(vault.live_key(model))
    return Subject(
        title=f"the model in {model.folder}",
        kind=model.kind,
        name=model.name,
        type=model.type,
        folder=str(model.folder),
        head=None,
        state=taken.state,
        saved_at=iso_of_ns(taken.saved_ns),
        incomplete=taken.incomplete,
        files=tuple(files),
        parent=_manifest(vault, parent_of(vault, model, vault.heads(), record)),
    )


def _manifest(vault: Vault, id: str | None) -> Manifest | None:
    """Return the manifest of ``id``, None where there is none that can be read: it is only compared with."""
    if id is None:
        return None
    try:
        return vault.manifest(id)
    except CasvaultError:
        return None


def starts_of(parts: Sequence[ChunkRef]) -> list[int]:
    """Return where each of the ``parts`` of a file starts, in bytes."""
    return [0, *accumulate(part.size for part in parts)][: len(parts)]


def _blocks(size: int) -> tuple[ChunkRef, ...]:
    return tuple(ChunkRef("", min(_BLOCK, size - start)) for start in range(0, size, _BLOCK))


def _hashed(
    vault: Vault, source: ByteSource, regions: Sequence[Region], progress: Progress
) -> tuple[tuple[ChunkRef, ...], str]:
    hasher, parts = Hasher(), []
    for chunk in cut(source, regions, vault.config.chunking):
        parts.append(ChunkRef(digest_of(chunk.data), len(chunk.data)))
        hasher.update(chunk.data)
        progress.advance(len(chunk.data))
    return tuple(parts), hasher.hexdigest()


def stored_sources(
    vault: Vault, manifest: Manifest, thinned: Sequence[str] = ()
) -> Iterator[tuple[FileEntry, StoredFile | None]]:
    """Yield the entries of a snapshot with their bytes, None for the paths that were ``thinned``."""
    chunks = _Chunks(vault.objects, _KEPT + 2 * vault.threads)
    for entry in manifest.files:
        yield entry, None if entry.path in thinned else StoredFile(chunks, entry)


class _Chunks:
    """The chunks that were decoded last, ``most`` of them; safe to use from several threads."""

    def __init__(self, objects: ObjectStore, most: int) -> None:
        self._objects = objects
        self._most = most
        self._kept: OrderedDict[str, Bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, chunk: ChunkRef) -> Bytes:
        """Return the plain bytes of ``chunk``; raises MissingObject, DamageError."""
        with self._lock:
            if chunk.digest in self._kept:
                self._kept.move_to_end(chunk.digest)
                return self._kept[chunk.digest]
        plain = self._objects.read(chunk.digest, chunk.size)
        with self._lock:
            self._kept[chunk.digest] = plain
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return plain


class StoredFile:
    """A file of a snapshot as a source: only the chunks that are read are decoded."""

    def __init__(self, chunks: _Chunks, entry: FileEntry) -> None:
        self._chunks = chunks
        self._entry = entry
        self._starts = starts_of(entry.chunks)

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._entry.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset``; raises MissingObject, DamageError."""
        pieces: list[Bytes] = []
        end = min(offset + length, self.size)
        while offset < end:
            index = bisect_right(self._starts, offset) - 1
            plain = self._chunks.read(self._entry.chunks[index])
            start = offset - self._starts[index]
            pieces.append(memoryview(plain)[start : start + end - offset])
            offset += len(pieces[-1])
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
