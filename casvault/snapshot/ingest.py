"""Ingest: files -> chunks -> objects, over all cores, in bounded memory.

One thread reads, in order, and hashes whole files; workers hash chunks, code those that are new, and hand them to the
batch, whose own threads flush. Owns the invariants that at most a few chunks are in memory at once, and that everything
a manifest will refer to is in the batch or was in the vault before.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from casvault.backends import Batch
from casvault.capture import CapturedFile
from casvault.chunking.chunks import Chunk, cut
from casvault.codecs import encode
from casvault.digest import Hasher, digest_of
from casvault.errors import IncompleteSave, StorageError
from casvault.formats import scan
from casvault.manifest.manifest import ChunkRef, FileEntry
from casvault.objects import Frame, ObjectName
from casvault.objects.store import folder_of
from casvault.progress import Progress
from casvault.vault.vault import Vault

__all__ = ["Ingest", "ingesting"]

_FLUSH_THREADS = 8


class Ingest:
    """One run of ingest; ``new_bytes`` and ``stored_bytes`` count the plain and the stored bytes of new objects."""

    def __init__(
        self, vault: Vault, batch: Batch, pool: ThreadPoolExecutor | None, progress: Progress, careful: bool
    ) -> None:
        self._vault = vault
        # What is backed up will be gone from where it is now: then a name and a size are no proof that it is stored.
        self._is_there = vault.objects.is_whole if careful else vault.objects.has
        self._batch = batch
        self._pool = pool
        self._progress = progress
        self._lock = threading.Lock()
        self._claimed: set[str] = set()
        self._folders: set[str] = set()
        self.new_bytes = 0
        self.stored_bytes = 0
        self.read_bytes = 0

    def file(self, item: CapturedFile) -> FileEntry:
        """Put the chunks of one captured file into the vault and return its entry.

        Raises IncompleteSave where the file was cut short, StorageError where it cannot be read.
        """
        regions = scan(item.source)
        hasher = Hasher()
        chunks: list[ChunkRef] = []
        waiting: deque[Future[ChunkRef]] = deque()
        try:
            for chunk in cut(item.source, regions, self._vault.config.chunking):
                if len(waiting) > self._ahead:
                    chunks.append(waiting.popleft().result())
                waiting.append(self._submit(chunk))
                hasher.update(chunk.data)
                self.read_bytes += len(chunk.data)
                self._progress.advance(len(chunk.data))
            chunks.extend(future.result() for future in waiting)
        except EOFError as error:
            raise IncompleteSave(f"{item.file.path} was cut short while it was read: {error}.") from error
        except OSError as error:
            raise StorageError(f"cannot read {item.file.path}: {error.strerror or error}.") from error
        identity = item.identity
        return FileEntry(
            path=item.file.path,
            role=item.file.role,
            size=identity.size,
            mtime_ns=identity.mtime_ns,
            mode=item.mode,
            digest=hasher.hexdigest(),
            chunks=tuple(chunks),
            regions=tuple(regions),
        )

    def reuse(self, entry: FileEntry) -> bool:
        """Take over the entry of a file that is known to be unchanged; False where a chunk of it is not there any
        more.
        """
        if not all(self._is_there(chunk.digest) for chunk in entry.chunks):
            return False
        for chunk in entry.chunks:
            self._rely_on(chunk.digest)
        self._progress.advance(entry.size)
        return True

    def flush(self) -> None:
        """Make every object that was written or relied on durable."""
        self._batch.flush(sorted(self._folders))

    @property
    def _ahead(self) -> int:
        return 2 * self._vault.threads + 2

    def _submit(self, chunk: Chunk) -> Future[ChunkRef]:
        if self._pool is not None:
            return self._pool.submit(self._store, chunk)
        done: Future[ChunkRef] = Future()
        done.set_result(self._store(chunk))
        return done

    def _store(self, chunk: Chunk) -> ChunkRef:
        digest = digest_of(chunk.data)
        reference = ChunkRef(digest, len(chunk.data))
        with self._lock:
            if digest in self._claimed:
                return reference
            self._claimed.add(digest)
        if self._is_there(digest):
            self._rely_on(digest)
            return reference
        codec, payload = encode(chunk.data, chunk.layout)
        pieces = Frame(codec, chunk.layout, len(chunk.data), None, payload).pieces()
        name = ObjectName(digest, None, sum(len(piece) for piece in pieces))
        self._batch.put(name.blob, pieces)
        self._vault.objects.note(name)
        with self._lock:
            self.new_bytes += len(chunk.data)
            self.stored_bytes += name.size
        return reference

    def _rely_on(self, digest: str) -> None:
        # Another process may have renamed the object, or a base of it, and not have flushed the folder yet.
        todo = [digest]
        seen: set[str] = set()
        while todo:
            current = todo.pop()
            if current in seen:
                continue
            seen.add(current)
            todo.extend(name.base for name in self._vault.objects.encodings(current) if name.base)
        with self._lock:
            self._folders.update(folder_of(one) for one in seen)


@contextmanager
def ingesting(vault: Vault, progress: Progress, *, careful: bool) -> Iterator[Ingest]:
    """Begin an ingest, which reads the objects that it relies on if ``careful``; on leaving, workers have ended and
    temporary files are gone, whatever happened.
    """
    threads = vault.threads
    with vault.backend.batch(_FLUSH_THREADS if threads > 1 else 1) as batch:
        if threads == 1:
            yield Ingest(vault, batch, None, progress, careful)
            return
        pool = ThreadPoolExecutor(threads, "ingest")
        try:
            yield Ingest(vault, batch, pool, progress, careful)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
