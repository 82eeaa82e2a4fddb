"""The interface behind which a vault's bytes live: named blobs in folders.

A backend owns two promises. A name is there wholly or not at all: readers never meet half a blob. And what
`write` or `Batch.flush` returned from survives a power cut. The public methods guarantee the names (nothing
outside the vault can be reached) and the errors (only casvault's own come out); implementations fill in the
methods with an underscore and may raise OSError.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, total_ordering
from types import TracebackType

from casvault.errors import NoSpace, NotFound, StorageError
from casvault.files.names import is_vault_name

__all__ = ["Backend", "Batch", "Entry", "Listing", "check_name", "storage_errors"]

_FEW = 4
"""Questions for which the names of a folder are not put in order."""

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@total_ordering
class Entry:
    """A blob in a listing: its name within its folder, and its ``size`` in bytes.

    A backend may tell the size when it is asked for, by a function; 0 then stands for a blob that is gone meanwhile.
    """

    __slots__ = ("_size", "name")

    def __init__(self, name: str, size: int | Callable[[], int]) -> None:
        self.name = name
        self._size = size

    @property
    def size(self) -> int:
        """Bytes; raises OSError where the backend cannot tell."""
        if not isinstance(self._size, int):
            self._size = self._size()
        return self._size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and (self.name, self.size) == (other.name, other.size)

    def __lt__(self, other: Entry) -> bool:
        return (self.name, self.size) < (other.name, other.size)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Entry({self.name!r}, {self.size})"


class Listing:
    """What lay in a folder when it was listed, for who asks for a few of many.

    ``found`` are names in any order; those that end with ``unfinished`` are no blobs, and of the others a backend may
    leave some among them that are none: `get` tells.
    """

    def __init__(
        self, folder: str, found: Sequence[str], look: Callable[[str], Entry | None], unfinished: str = "/"
    ) -> None:
        self._folder = folder
        self._found = found
        self._look = look
        self._unfinished = unfinished
        self._asked = 0

    @cached_property
    def names(self) -> list[str]:
        """The names, in order."""
        return sorted(name for name in self._found if not name.endswith(self._unfinished))

    def get(self, name: str) -> Entry | None:
        """Return the blob ``name``, None where there is none; raises StorageError."""
        with storage_errors(f"{self._folder}/{name} in the vault"):
            return self._look(name)

    def starting(self, prefix: str) -> list[Entry]:
        """Return the blobs whose names begin with ``prefix``, in order; raises StorageError."""
        return [entry for name in self._starting(prefix) if (entry := self.get(name)) is not None]

    def _starting(self, prefix: str) -> list[str]:
        self._asked += 1
        if self._asked <= _FEW:
            # To put all names in order takes longer than to go through them a few times.
            hits = [name for name in self._found if name.startswith(prefix)]
            return sorted(name for name in hits if not name.endswith(self._unfinished))
        begin = end = bisect_left(self.names, prefix)
        while end < len(self.names) and self.names[end].startswith(prefix):
            end += 1
        return self.names[begin:end]


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn an OSError inside into the error that a caller of casvault expects."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{what} is not there.") from error
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace(f"{what}: the disk is full; nothing that was there before is lost.") from error
        raise StorageError(f"{what}: {error.strerror or error}.") from error


class Batch(ABC):
    """Many writes that become durable together; used as a context manager.

    `put` may be called from several threads. Leaving without `flush` drops what was not finished: blobs that are
    visible by then are whole, but may not survive a power cut.
    """

    def put(self, name: str, pieces: Sequence[bytes | memoryview]) -> None:
        """Write the blob ``name`` as the pieces one after another; raises NoSpace, StorageError."""
        check_name(name)
        with storage_errors(f"writing {name}"):
            self._put(name, pieces)

    def flush(self, folders: Iterable[str] = ()) -> None:
        """Make everything put so far durable, and all names in ``folders`` as well, whoever wrote them.

        Raises NoSpace or StorageError; then nothing of the batch may be relied on.
        """
        names = list(folders)
        for name in names:
            check_name(name)
        with storage_errors("flushing the vault to the disk"):
            self._flush(names)

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @abstractmethod
    def _put(self, name: str, pieces: Sequence[bytes | memoryview]) -> None: ...

    @abstractmethod
    def _flush(self, folders: Sequence[str]) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...


class Backend(ABC):
    """Named blobs in folders."""

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Return the blob ``name``; raises NotFound, StorageError, and the latter too above ``limit`` bytes."""
        check_name(name)
        with storage_errors(f"{name} in the vault"):
            data = self._read(name, limit)
        if limit is not None and len(data) > limit:
            raise StorageError(f"{name} in the vault has more than {limit} bytes, which cannot be right.")
        return data

    def read_start(self, name: str, length: int) -> bytes:
        """Return the first ``length`` bytes of the blob ``name``, or all of a shorter one; raises as `read` does."""
        check_name(name)
        with storage_errors(f"{name} in the vault"):
            return self._read(name, length)[:length]

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Put ``data`` at ``name``, replacing what was there; raises NoSpace, StorageError."""
        check_name(name)
        with storage_errors(f"writing {name}"):
            self._write(name, data, durable)

    def delete(self, name: str) -> None:
        """Remove ``name``; nothing happens where it is not there. Raises StorageError."""
        check_name(name)
        with storage_errors(f"deleting {name}"):
            self._delete(name)

    def move(self, name: str, target: str) -> None:
        """Give the blob ``name`` the name ``target``, where nothing is yet, durably; raises NotFound, StorageError."""
        check_name(name)
        check_name(target)
        with storage_errors(f"moving {name}"):
            self._move(name, target)

    def list(self, folder: str) -> Sequence[Entry]:
        """Return the finished blobs directly in ``folder``, in no order; none where there is no such folder."""
        check_name(folder)
        with storage_errors(f"listing {folder} in the vault"):
            return self._list(folder)

    def listing(self, folder: str) -> Listing:
        """Return what lies in ``folder``, nothing where there is no such folder.

        Of many names it costs far less than `list`, which has an entry for each.
        """
        check_name(folder)
        with storage_errors(f"listing {folder} in the vault"):
            return self._listing(folder)

    def unfinished(self, folder: str, older_than: float = 0.0) -> Sequence[Entry]:
        """Return what writers left unfinished directly in ``folder`` for so many seconds, or still work on."""
        check_name(folder)
        with storage_errors(f"listing {folder} in the vault"):
            return self._unfinished(folder, older_than)

    def clear(self, folder: str, entry: Entry) -> None:
        """Remove what `unfinished` told of ``folder``: for who knows that nobody works on it. Raises StorageError."""
        check_name(folder)
        with storage_errors(f"clearing {folder} in the vault"):
            self._clear(folder, entry)

    def ahead(self, names: Collection[str]) -> None:  # noqa: B027
        """Be told that these blobs are read next: for a backend where each question takes long. May raise as `read`."""

    def folders(self, folder: str) -> Sequence[str]:
        """Return the names of the folders directly in ``folder``, in order."""
        check_name(folder)
        with storage_errors(f"listing {folder} in the vault"):
            return sorted(self._folders(folder))

    def exists(self, name: str) -> bool:
        """Tell whether the blob ``name`` is there; raises StorageError."""
        check_name(name)
        with storage_errors(f"{name} in the vault"):
            return self._exists(name)

    @abstractmethod
    def batch(self, threads: int, *, many: bool = False) -> Batch:
        """Begin a batch that works with up to ``threads`` threads of its own; 1 means none.

        ``many`` tells that it will be some hundred blobs, which may be made durable in another way than a few.
        """

    @abstractmethod
    def _read(self, name: str, limit: int | None) -> bytes:
        """Return the blob, or at least ``limit`` + 1 bytes of it where it is larger."""

    @abstractmethod
    def _write(self, name: str, data: bytes, durable: bool) -> None: ...

    @abstractmethod
    def _delete(self, name: str) -> None: ...

    @abstractmethod
    def _move(self, name: str, target: str) -> None: ...

    @abstractmethod
    def _list(self, folder: str) -> Sequence[Entry]: ...

    @abstractmethod
    def _folders(self, folder: str) -> Sequence[str]: ...

    def _exists(self, name: str) -> bool:
        folder, _, last = name.rpartition("/")
        if folder:
            return any(entry.name == last for entry in self.list(folder))
        try:
            self.read(name)
        except NotFound:
            return False
        return True

    def _listing(self, folder: str) -> Listing:
        entries = {entry.name: entry for entry in self._list(folder)}
        return Listing(folder, list(entries), entries.get)

    def _unfinished(self, folder: str, older_than: float) -> Sequence[Entry]:
        return ()

    def _clear(self, folder: str, entry: Entry) -> None:
        raise NotImplementedError("a backend that tells of unfinished blobs also removes them")


def check_name(name: str) -> None:
    """Raise StorageError unless ``name`` is one inside a vault."""
    if not is_vault_name(name):
        raise StorageError(f"{name!r} is not a name inside a vault.")
