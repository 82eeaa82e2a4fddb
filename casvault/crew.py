"""A crew: threads that do tasks in the order in which they were given, the caller's own thread among them.

With as many threads as cores none has to wait for another to let go of a core, and the caller, who knows what comes
next, does a task itself instead of waiting for the others. Owns the invariant that a task is done once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["Crew", "Task"]

_Result = TypeVar("_Result")


class Task(Generic[_Result]):
    """Something to be done; what it holds on to is let go as soon as somebody begins."""

    def __init__(self, work: Callable[[], _Result]) -> None:
        self._work: Callable[[], _Result] | None = work
        self._begun = threading.Lock()
        self._ended = threading.Event()
        self._result: _Result | None = None
        self._error: BaseException | None = None

    def begin(self) -> None:
        """Do it, unless somebody has begun; raises only what is no Exception, such as KeyboardInterrupt."""
        if not self._begun.acquire(blocking=False):
            return
        work, self._work = self._work, None
        assert work is not None
        try:
            self._result = work()
        except BaseException as error:
            # Whoever asks for the result gets it; what is meant to end the program does so at once.
            self._error = error
            if not isinstance(error, Exception):
                raise
        finally:
            self._ended.set()

    def done(self) -> bool:
        """Tell whether `result` is there without waiting."""
        return self._ended.is_set()

    def result(self) -> _Result:
        """Return what came of it, done here and now where nobody has begun; raises what it raised."""
        self.begin()
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return cast(_Result, self._result)


class Crew:
    """``threads`` threads, of which one is that of the caller; the others are called ``name``.

    A context manager: on leaving nothing is at work any more, and what was not begun is left.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = threads
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._queued = 0

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def do(self, work: Callable[[], _Result]) -> Task[_Result]:
        """Have ``work`` done: by the caller at once where the others have a task each before them, else by one of them.

        For one caller. With one thread tasks are done in the order in which they are given.
        """
        task = Task(work)
        with self._lock:
            room = self._threads > 1 and self._queued <= self._threads
            self._queued += room
        if not room:
            task.begin()
            return task
        if self._pool is None:
            # Where there is nothing to do no thread is started, and nothing is loaded for it.
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._threads - 1, self._name)
        self._pool.submit(self._next, task)
        return task

    def _next(self, task: Task[_Result]) -> None:
        with self._lock:
            self._queued -= 1
        task.begin()
