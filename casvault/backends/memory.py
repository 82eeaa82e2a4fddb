"""A backend in memory: for tests, and the plainest statement of what a backend does."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from casvault.backends.backend import Backend, Batch, Entry

__all__ = ["MemoryBackend"]


class MemoryBackend(Backend):
    """Blobs in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def batch(self, threads: int, *, many: bool = False) -> Batch:
        """Begin a batch; neither ``threads`` nor ``many`` matters here."""
        return _MemoryBatch(self)

    def _read(self, name: str, limit: int | None) -> bytes:
        try:
            return self._blobs[name]
        except KeyError:
            raise FileNotFoundError(name) from None

    def _write(self, name: str, data: bytes, durable: bool) -> None:
        with self._lock:
            self._blobs[name] = bytes(data)

    def _delete(self, name: str) -> None:
        with self._lock:
            self._blobs.pop(name, None)

    def _move(self, name: str, target: str) -> None:
        with self._lock:
            if name not in self._blobs:
                raise FileNotFoundError(name)
            if target in self._blobs:
                raise FileExistsError(target)
            self._blobs[target] = self._blobs.pop(name)

    def _list(self, folder: str) -> list[Entry]:
        prefix = folder + "/"
        with self._lock:
            return [
                Entry(name[len(prefix) :], len(data))
                for name, data in self._blobs.items()
                if name.startswith(prefix) and "/" not in name[len(prefix) :]
            ]

    def _folders(self, folder: str) -> list[str]:
        prefix = folder + "/"
        with self._lock:
            rests = [name[len(prefix) :] for name in self._blobs if name.startswith(prefix)]
        return list({rest.partition("/")[0] for rest in rests if "/" in rest})


class _MemoryBatch(Batch):
    def __init__(self, backend: MemoryBackend) -> None:
        self._backend = backend

    def _put(self, name: str, pieces: Sequence[bytes | memoryview]) -> None:
        self._backend.write(name, b"".join(pieces))

    def _flush(self, folders: Sequence[str]) -> None:
        pass

    def _close(self) -> None:
        pass
