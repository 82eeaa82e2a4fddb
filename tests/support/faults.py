"""Faults at the n-th system call that changes something: the process dies, an exception flies, or the call fails.

Each trial runs in a forked child, so that a death is a real one; POSIX only.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import pathlib
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

from casvault.errors import CasvaultError
from casvault.files.volume import Volume

__all__ = ["Crash", "Ended", "count_calls", "die_at", "spread", "trial"]

_CHANGES = (
    "replace", "rename", "unlink", "remove", "mkdir", "rmdir", "fsync", "utime", "write", "fchmod", "chmod", "link",
)  # fmt: skip
_CREATES = os.O_CREAT | os.O_TRUNC


class Crash(BaseException):
    """What nobody expects."""


class Ended(NamedTuple):
    """How a child ended: killed, or with an exception of this name (empty: none), an error code and a sentence."""

    killed: bool
    raised: str
    code: int
    told: str


def die() -> None:
    """Die as by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)


def crash() -> None:
    """Raise what no `except Exception` sees."""
    raise Crash


def interrupt() -> None:
    """Do as a user's Ctrl-C does."""
    raise KeyboardInterrupt


def failing(number: int) -> Callable[[], None]:
    """Return what fails as the system does with this error number."""

    def fail() -> None:
        raise OSError(number, os.strerror(number), "the file")

    return fail


FAULTS: dict[str, Callable[[], None]] = {
    "kill": die,
    "crash": crash,
    "interrupt": interrupt,
    "ENOSPC": failing(errno.ENOSPC),
    "EIO": failing(errno.EIO),
    "EACCES": failing(errno.EACCES),
}


@contextlib.contextmanager
def die_at(number: int, fault: Callable[[], None]) -> Iterator[list[int]]:
    """Within, the call ``number`` (from 1; 0 for none) that would change the disk has the fault; yields the count."""
    count = [0]

    def step() -> None:
        count[0] += 1
        if count[0] == number:
            fault()

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            step()
            return function(*arguments, **options)

        return call

    opened, built_in = os.open, builtins.open

    def open_descriptor(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & _CREATES:
            step()
        return opened(path, flags, *more, **options)

    def open_file(file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        if set(mode) & set("wax+"):
            step()
        return built_in(file, mode, *more, **options)

    with contextlib.ExitStack() as patches:
        for name in _CHANGES:
            patches.enter_context(mock.patch.object(os, name, wrapped(getattr(os, name))))
        patches.enter_context(mock.patch.object(Volume, "sync", wrapped(Volume.sync)))
        patches.enter_context(mock.patch.object(os, "open", open_descriptor))
        patches.enter_context(mock.patch.object(builtins, "open", open_file))
        if sys.version_info < (3, 11):
            # There pathlib keeps functions of os that it took when it was imported.
            for name in ("unlink", "mkdir"):
                old = getattr(pathlib.Path, name)
                patches.enter_context(mock.patch.object(pathlib.Path, name, wrapped(old)))
        yield count


def trial(number: int, fault: str, work: Callable[[], object]) -> Ended:
    """Do ``work`` in a child whose call ``number`` has the fault; return how it ended."""
    return _fork(number, fault, work)[0]


def count_calls(work: Callable[[], object]) -> int:
    """Do ``work`` in a child and return how many calls changed the disk."""
    ended, count = _fork(0, "kill", work)
    assert ended.raised == "", ended
    return count


def _fork(number: int, fault: str, work: Callable[[], object]) -> tuple[Ended, int]:
    reader, writer = os.pipe()
    write = os.write
    child = os.fork()
    if child == 0:
        raised, code, told = "", 0, ""
        with die_at(number, FAULTS[fault]) as count:
            try:
                work()
            except BaseException as error:  # noqa: BLE001
                raised, told = type(error).__name__, str(error)
                code = error.exit_code if isinstance(error, CasvaultError) else -1
                if code == -1 and fault not in ("crash", "interrupt"):
                    told = traceback.format_exc()
        head = struct.pack("<iiH", count[0], code, len(raised))
        write(writer, head + raised.encode() + told.encode()[:20_000])
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Ended(True, "", 0, ""), 0
    count_, code_, length = struct.unpack_from("<iiH", data)
    name = data[10 : 10 + length].decode()
    return Ended(False, name, code_, data[10 + length :].decode()), count_


def spread(total: int, points: int) -> list[int]:
    """Return up to ``points`` numbers from 1 to ``total``, evenly spread, both ends among them."""
    if points >= total:
        return list(range(1, total + 1))
    return sorted({1 + round(index * (total - 1) / (points - 1)) for index in range(points)})
