"""Examining objects: each is read, decoded and compared with its digest, over all cores, in bounded memory.

Owns the invariant that an object is called damaged only for what is wrong with itself: one whose base cannot be had is
*stranded*, and whole again once the base is.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from casvault.check.log import CheckLog
from casvault.errors import CasvaultError, DamageError, MissingObject, StorageError
from casvault.objects import ObjectName, ObjectStore
from casvault.progress import Progress

__all__ = ["Fault", "examine", "examine_all"]

_AHEAD = 4
"""Objects that wait for each thread: enough to keep it busy, few enough that nothing piles up."""


class Fault(NamedTuple):
    """Why an object gives nothing, as a sentence.

    ``damaged``: its bytes are wrong. ``stranded``: they may be right, but its base cannot be had. Neither: it cannot be
    read now, or only by a newer casvault.
    """

    told: str
    damaged: bool = False
    stranded: bool = False


def examine(objects: ObjectStore, name: ObjectName) -> Fault | None:
    """Read one object, decode it, and compare it with its digest; None: it is whole."""
    try:
        objects.read_object(name)
    except CasvaultError as error:
        return _fault(objects, name, error)
    return None


def _fault(objects: ObjectStore, name: ObjectName, error: CasvaultError) -> Fault:
    """Tell what is wrong with an object itself from what is wrong with its bases."""
    try:
        frame = objects.frame(name)
    except CasvaultError as own:
        return Fault(str(own), damaged=_is_damage(own))
    if name.base is None or frame.base != name.base:
        return Fault(str(error), damaged=_is_damage(error))
    try:
        objects.read(name.base)
    except CasvaultError as below:
        return Fault(str(below), stranded=True)
    return Fault(str(error), damaged=_is_damage(error))


def _is_damage(error: CasvaultError) -> bool:
    """Tell whether an error says that bytes are wrong, and not only out of reach."""
    if isinstance(error, MissingObject):
        return False
    if isinstance(error, StorageError):
        cause = error.__cause__
        # The disk cannot give these bytes, or they are more than any object has.
        return cause is None or (isinstance(cause, OSError) and cause.errno == errno.EIO)
    return isinstance(error, DamageError)


def examine_all(
    objects: ObjectStore, names: Iterable[ObjectName], threads: int, log: CheckLog, progress: Progress
) -> dict[ObjectName, Fault]:
    """Examine objects with so many threads, and note those that are whole; return what is wrong with the others.

    Raises Cancelled; what was examined until then is noted.
    """
    faults: dict[ObjectName, Fault] = {}

    def settle(name: ObjectName, fault: Fault | None) -> None:
        if fault is None:
            log.note(name)
        else:
            log.drop(name)
            faults[name] = fault
        progress.advance(name.size)

    if threads == 1:
        for name in names:
            settle(name, examine(objects, name))
        return faults
    pool = ThreadPoolExecutor(threads, "examine")
    waiting: deque[tuple[ObjectName, Future[Fault | None]]] = deque()
    try:
        for name in names:
            waiting.append((name, pool.submit(examine, objects, name)))
            if len(waiting) > _AHEAD * threads:
                first, found = waiting.popleft()
                settle(first, found.result())
        for first, found in waiting:
            settle(first, found.result())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return faults
