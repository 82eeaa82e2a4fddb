"""Ingest: files -> chunks -> objects, over all cores, in bounded memory.

One thread reads, in order, and hashes whole files; workers hash chunks, code those that are new, and hand them to the
batch. Where they have enough before them, the one that reads does the same: there are as many threads as cores then,
and none waits for another. Owns the invariants that at most a few chunks are in memory at once, and that everything a
manifest will refer to is in the batch or was in the vault before.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from casvault.backends import Batch
from casvault.capture import CapturedFile
from casvault.chunking.chunks import Chunk, cut
from casvault.codecs import Layout, codec_of, encode_in_pieces
from casvault.crew import Crew, Task
from casvault.digest import Hasher, digest_of
from casvault.errors import CasvaultError, IncompleteSave, StorageError
from casvault.formats import Region, scan
from casvault.health.faults import Inspector
from casvault.health.survey import Part, Survey
from casvault.manifest.manifest import ChunkRef, FileEntry
from casvault.objects import Frame, ObjectName, is_there
from casvault.objects.store import folder_of
from casvault.progress import Progress
from casvault.snapshot.bases import Bases
from casvault.vault.vault import Vault

__all__ = ["Ingest", "ingesting", "on_all_cores"]

_FLUSH_THREADS = 4
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass
class _Reading:
    """A file that is being read, and what is known of it so far; ``chunks`` and ``survey`` lag behind ``hasher``."""

    item: CapturedFile
    regions: Sequence[Region]
    survey: Survey
    hasher: Hasher = field(default_factory=Hasher)
    chunks: list[ChunkRef] = field(default_factory=list)


class Ingest:
    """One run of ingest; ``new_bytes`` and ``stored_bytes`` count the plain and the stored bytes of new objects."""

    def __init__(
        self,
        vault: Vault,
        batch: Batch,
        crew: Crew,
        progress: Progress,
        bases: Bases,
        inspector: Inspector,
        on_disk: Collection[str],
        careful: bool,
    ) -> None:
        self._vault = vault
        self._bases = bases
        self._inspector = inspector
        # What is backed up will be gone from where it is now: then a name and a size are no proof that it is stored.
        self._is_there = vault.objects.is_whole if careful else partial(is_there, vault.objects)
        self._batch = batch
        self._crew = crew
        self._progress = progress
        self._lock = threading.Lock()
        self._waiting: deque[tuple[_Reading, Task[tuple[ChunkRef, list[Part]]]]] = deque()
        self._claimed: set[str] = set()
        self._made: list[ObjectName] = []
        self._folders: set[str] = set()
        self._on_disk = on_disk
        self.new_bytes = 0
        self.stored_bytes = 0
        self.read_bytes = 0

    def file(self, item: CapturedFile) -> Callable[[], FileEntry]:
        """Read one captured file, set the workers to put its chunks into the vault, and return what gives its entry.

        Who asks for the entry waits for the chunks. Ask when all files are read: workers would be idle between files
        otherwise. Raises IncompleteSave where the file was cut short, StorageError where it cannot be read.
        """
        regions = scan(item.source)
        reading = _Reading(item, regions, self._inspector.survey(item.file.role, regions))
        try:
            for chunk in cut(item.source, regions, self._vault.config.chunking):
                while self._waiting and self._waiting[0][1].done():
                    self._collect()
                reading.hasher.update(chunk.data)
                work = partial(self._work, chunk, item.file.role, reading.survey)
                self._waiting.append((reading, self._crew.do(work)))
                self.read_bytes += len(chunk.data)
                self._progress.advance(len(chunk.data))
        except EOFError as error:
            raise IncompleteSave(f"{item.file.path} was cut short while it was read: {error}.") from error
        except OSError as error:
            raise StorageError(f"cannot read {item.file.path}: {error.strerror or error}.") from error
        return partial(self._entry, reading)

    def reuse(self, entry: FileEntry) -> bool:
        """Take over the entry of a file that is known to be unchanged; False where a chunk of it is not there any
        more.
        """
        if not self.rely([chunk.digest for chunk in entry.chunks]):
            return False
        self._progress.advance(entry.size)
        return True

    def rely(self, digests: Sequence[str]) -> bool:
        """Rely on chunks that were there before; False where one is not there any more."""
        if not all(self._is_there(digest) for digest in digests):
            return False
        for digest in digests:
            self._rely_on(digest)
        return True

    def blob(self, data: bytes) -> ChunkRef:
        """Put bytes that are of no file into the vault, as one chunk."""
        return self._store(digest_of(data), Chunk(0, data, Layout()), "")

    def flush(self) -> None:
        """Make every object that was written or relied on durable."""
        self._batch.flush(sorted(self._folders))
        # Not before: other threads of this process take what is noted for stored, and this snapshot may still fail.
        for name in self._made:
            self._vault.objects.note(name)

    def _collect(self) -> None:
        """Take what became of the chunk that has waited longest."""
        reading, task = self._waiting.popleft()
        reference, parts = task.result()
        reading.chunks.append(reference)
        reading.survey.add(parts)

    def _entry(self, reading: _Reading) -> FileEntry:
        while any(waiting is reading for waiting, _ in self._waiting):
            self._collect()
        file, identity = reading.item.file, reading.item.identity
        return FileEntry(
            path=file.path,
            role=file.role,
            size=identity.size,
            mtime_ns=identity.mtime_ns,
            mode=reading.item.mode,
            digest=reading.hasher.hexdigest(),
            chunks=tuple(reading.chunks),
            regions=tuple(reading.regions),
            faults=self._inspector.faults(file.role, reading.survey),
        )

    def _work(self, chunk: Chunk, role: str, survey: Survey) -> tuple[ChunkRef, list[Part]]:
        digest = digest_of(chunk.data)
        # Now that the digest has brought the chunk into the cache. Also where it is there already: to look at it takes
        # less than to find out what was known of it.
        parts = survey.look(chunk.offset, chunk.data)
        return self._store(digest, chunk, role), parts

    def _store(self, digest: str, chunk: Chunk, role: str) -> ChunkRef:
        reference = ChunkRef(digest, len(chunk.data))
        with self._lock:
            if digest in self._claimed:
                return reference
            self._claimed.add(digest)
        if self._is_there(digest):
            self._rely_on(digest)
            return reference
        name = self._write(digest, chunk, self._bases.of(role, chunk))
        with self._lock:
            self.new_bytes += len(chunk.data)
            self.stored_bytes += name.size
        return reference

    def _write(self, digest: str, chunk: Chunk, base: str | None) -> ObjectName:
        """Code a chunk, against ``base`` where that makes it smaller, and write the object."""
        if base is not None and digest in self._vault.objects.closure(base):
            base = None
        plain = self._plain(base, len(chunk.data))
        alone = self._vault.objects.alone(base) if base is not None else None
        codec, payload = encode_in_pieces(chunk.data, chunk.layout, plain, alone)
        if not codec_of(codec).needs_base:
            base = None
        if base is not None:
            self._rely_on(base)
        pieces = Frame(codec, chunk.layout, len(chunk.data), base, b"").around(payload)
        name = ObjectName(digest, base, sum(len(piece) for piece in pieces))
        self._batch.put(name.blob, pieces)
        with self._lock:
            self._made.append(name)
        return name

    def _plain(self, base: str | None, size: int) -> bytes | memoryview | None:
        """Return the bytes of a base, which are checked; None where the vault cannot give them."""
        if base is None:
            return None
        try:
            return self._vault.objects.read(base, size)
        except CasvaultError:
            return None

    def _rely_on(self, digest: str) -> None:
        if digest in self._on_disk:
            return
        # Another process may have renamed the object, or a base of it, and not have flushed the folder yet.
        folders = {folder_of(one) for one in self._vault.objects.closure(digest)}
        with self._lock:
            self._folders |= folders


def on_all_cores(threads: int, work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Return what ``work`` makes of each item, in order, done by ``threads`` threads; with one, in the caller's own."""
    if threads == 1:
        return [work(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads, "read") as pool:
        return list(pool.map(work, items))


@contextmanager
def ingesting(
    vault: Vault, progress: Progress, bases: Bases, inspector: Inspector, on_disk: Collection[str], *, careful: bool
) -> Iterator[Ingest]:
    """Begin an ingest, which takes deltas against ``bases``, looks for faults with ``inspector``, and reads the objects
    that it relies on if ``careful``. The chunks ``on_disk`` need no flush.

    On leaving, workers have ended and temporary files are gone, whatever happened.
    """
    threads = vault.threads
    with (
        vault.backend.batch(_FLUSH_THREADS if threads > 1 else 1, many=True) as batch,
        Crew(threads, "ingest") as crew,
    ):
        yield Ingest(vault, batch, crew, progress, bases, inspector, on_disk, careful)
