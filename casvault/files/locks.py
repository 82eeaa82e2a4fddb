"""Locks that the kernel drops when their holder dies: flock on POSIX, LockFileEx through portalocker on Windows.

A vault has a *lock*, shared by all who add or read and taken alone only by the sweep of gc, and a *gate*. Who wants the
lock shared passes the gate first; who wants it alone closes the gate, so that newcomers wait outside while those inside
finish. Thus the sweep is never starved, and never kept waiting by more than the operations that run already. Holders
leave a card with their name in ``tmp/``, beside it a lock that tells whether they live, so that who waited too long can
say for whom.

Owns the invariant that no lock outlives its process and none has to be removed by hand.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any

from blake3 import blake3

from casvault.errors import Locked, StorageError

__all__ = ["FolderLocks", "Locks"]

_POLL = 0.05
_CARD = "holder-"
_CARD_LOCK = ".lock"
SHARED_WAIT = 60.0
"""Seconds that a newcomer waits at the gate: longer than gc waits inside it, so gc's turn ends first."""
ALONE_WAIT = 30.0
"""Seconds that gc waits for those inside before it gives up its turn."""


class Locks:
    """The locks of a vault that nobody else can reach, such as one in memory: always free."""

    def shared(self, what: str) -> AbstractContextManager[None]:
        """Hold the vault's lock together with others, as ``what``; raises Locked."""
        return nullcontext()

    def alone(self, what: str) -> AbstractContextManager[None]:
        """Hold the vault's lock alone, as ``what``; raises Locked and names a holder."""
        return nullcontext()

    def model(self, key: str, what: str, wait: float = SHARED_WAIT) -> AbstractContextManager[None]:
        """Hold the lock of one model, so that its capture and its restore exclude each other; raises Locked."""
        return nullcontext()

    def one(self, what: str, wait: float = SHARED_WAIT) -> AbstractContextManager[None]:
        """Be the only one in the vault that does ``what`` (a short word), whatever else goes on; raises Locked."""
        return nullcontext()

    def clear_cards(self) -> None:
        """Remove what holders left who ended without a word; for who holds the vault's lock alone."""


class FolderLocks(Locks):
    """The locks of the vault in folder ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def shared(self, what: str) -> Iterator[None]:
        """Hold the vault's lock together with others."""
        with _opened(self._root / "gate") as gate, _opened(self._root / "lock") as lock:
            self._acquire(gate, False, SHARED_WAIT)
            with _released(gate):
                self._acquire(lock, False, SHARED_WAIT)
            with _released(lock), self._card(what):
                yield

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Hold the vault's lock alone."""
        with _opened(self._root / "gate") as gate, _opened(self._root / "lock") as lock:
            self._acquire(gate, True, ALONE_WAIT)
            with _released(gate):
                self._acquire(lock, True, ALONE_WAIT)
                with _released(lock), self._card(what):
                    yield

    @contextmanager
    def model(self, key: str, what: str, wait: float = SHARED_WAIT) -> Iterator[None]:
        """Hold the lock of the model that ``key`` stands for."""
        name = f"model-{blake3(key.encode()).hexdigest()[:16]}"
        with self._sole(name, wait, "another casvault command works on this model right now"):
            yield

    @contextmanager
    def one(self, what: str, wait: float = SHARED_WAIT) -> Iterator[None]:
        """Be the only one that does ``what``."""
        with self._sole(f"one-{what}", wait, f"another casvault command does the same ({what}) in this vault"):
            yield

    @contextmanager
    def _sole(self, name: str, wait: float, why: str) -> Iterator[None]:
        with self._lock_file(name) as file:
            try:
                _poll(lambda: _try(file, True), wait)
            except TimeoutError:
                raise Locked(f"{why}; try again when it is done.") from None
            with _released(file):
                yield

    def _lock_file(self, name: str) -> IO[bytes]:
        try:
            self._make_tmp()
            return _opened(self._root / "tmp" / f"{name}.lock")
        except StorageError:
            # Where no file can be made any more, gc is what makes room: it is locked by a file that is there.
            return _opened_to_read(self._root / "vault.json")

    def clear_cards(self) -> None:
        """Remove the cards of the dead."""
        for path in (self._root / "tmp").glob(f"{_CARD}*{_CARD_LOCK}"):
            with suppress(OSError, StorageError):
                # Some network file systems lock only what was opened for writing.
                with open(path, "r+b") as file:
                    dead = _try(file, True)
                if dead:
                    path.with_suffix(".json").unlink(missing_ok=True)
                    path.unlink(missing_ok=True)

    def _make_tmp(self) -> None:
        """Make ``tmp/`` where it is missing: tools that copy a vault drop empty folders."""
        folder = self._root / "tmp"
        if not folder.is_dir():
            try:
                folder.mkdir(exist_ok=True)
            except OSError as error:
                raise StorageError(f"cannot lock the vault: {folder}: {error.strerror}.") from error

    def _acquire(self, file: IO[bytes], alone: bool, wait: float) -> None:
        try:
            _poll(lambda: _try(file, alone), wait)
        except TimeoutError:
            raise Locked(
                f"the vault {self._root} is in use by {self._holder()}; try again when that is done."
            ) from None

    @contextmanager
    def _card(self, what: str) -> Iterator[None]:
        # The lock is on a file of its own: on Windows nobody could read a card that is locked.
        stem = f"{_CARD}{os.getpid()}-{os.urandom(4).hex()}"
        card, lock = (self._root / "tmp" / f"{stem}{suffix}" for suffix in (".json", _CARD_LOCK))
        text = json.dumps({"pid": os.getpid(), "host": _host(), "what": what, "since": time.time()})
        try:
            file = open(lock, "xb", buffering=0)  # noqa: SIM115
        except OSError:
            # A vault on a read-only or full disk can still be read; then nobody learns our name.
            yield
            return
        try:
            with file:
                _try(file, True)
                with suppress(OSError):
                    card.write_text(text, "utf-8")
                yield
        finally:
            for path in (card, lock):
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _holder(self) -> str:
        for path in sorted((self._root / "tmp").glob(f"{_CARD}*.json")):
            try:
                with open(path.with_suffix(_CARD_LOCK), "rb") as file:
                    if _try(file, False):
                        continue
                card: dict[str, Any] = json.loads(path.read_bytes())
                since = int(time.time() - float(card["since"]))
                return f"`{card['what']}` (process {card['pid']} on {card['host']}, for {since} s)"
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return "another casvault command"


def _host() -> str:
    if hasattr(os, "uname"):
        # The same name, without what sockets take to import.
        return os.uname().nodename
    import socket

    return socket.gethostname()


def _opened(path: Path) -> IO[bytes]:
    try:
        # To read and to write: some network file systems want the one for a shared lock, the other for a lone one.
        return open(path, "a+b", buffering=0)
    except PermissionError:
        return _opened_to_read(path)
    except OSError as error:
        try:
            return _opened_to_read(path)
        except StorageError:
            raise StorageError(f"cannot lock the vault: {path}: {error.strerror}.") from error


def _opened_to_read(path: Path) -> IO[bytes]:
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise StorageError(f"cannot lock the vault: {path}: {error.strerror}.") from error


def _try(file: IO[bytes], alone: bool) -> bool:
    if os.name == "nt":
        return _try_on_windows(file, alone)
    import fcntl

    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise StorageError(f"cannot lock {file.name}: {error.strerror}.") from error
    return True


def _try_on_windows(file: IO[bytes], alone: bool) -> bool:
    import portalocker

    kind = portalocker.LockFlags.EXCLUSIVE if alone else portalocker.LockFlags.SHARED
    try:
        portalocker.lock(file, kind | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.exceptions.LockException as error:
        cause = error.args[0] if error.args else None
        if isinstance(cause, OSError) and not isinstance(cause, BlockingIOError | PermissionError):
            raise StorageError(f"cannot lock {file.name}: {cause.strerror}.") from error
        return False
    return True


def _release(file: IO[bytes]) -> None:
    if os.name != "nt":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)
        return
    import portalocker

    try:
        portalocker.unlock(file)
    except portalocker.exceptions.LockException as error:
        raise StorageError(f"cannot unlock {file.name}.") from error


@contextmanager
def _released(file: IO[bytes]) -> Iterator[None]:
    """Give a lock back on leaving: closing alone would leave it to a child that was forked meanwhile.

    Where that fails, what was done under the lock is done all the same, and closing the file gives it back.
    """
    try:
        yield
    finally:
        with suppress(OSError, StorageError):
            _release(file)


def _poll(attempt: Callable[[], bool], wait: float) -> None:
    end = time.monotonic() + wait
    while not attempt():
        if time.monotonic() >= end:
            raise TimeoutError
        time.sleep(_POLL)
