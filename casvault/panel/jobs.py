"""Jobs: long operations in threads of their own, each with one document that says how far it is.

Owns the invariants that a job's end, be it a result or an error, can be read as long as the panel runs (the oldest of
those that ended go), and that the panel does not end before its jobs have: they are cancelled, and what cannot be cut,
such as a restore that has begun to replace files, is finished.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar

from casvault.errors import Cancelled, CasvaultError, Locked, NotFound
from casvault.panel.hub import Hub
from casvault.panel.words import progress
from casvault.progress import Progress

__all__ = ["Job", "Jobs", "Subject", "problem_of", "sentence_of"]

R = TypeVar("R")

_EVERY = 0.2
"""Seconds between two events that tell how far a job is."""
_READING = ("diff", "health", "verify")
_MOST_RUNNING = 8
_MOST_ENDED = 200


@dataclass(frozen=True)
class Subject:
    """What a job is about: ``kind`` is the name of the command that does the same, ``title`` says it in words.

    ``command`` is the whole command line, ``model`` the model's name, ``key`` its key, ``snapshot`` an id; or None.
    """

    kind: str
    title: str
    command: str | None = None
    model: str | None = None
    key: str | None = None
    snapshot: str | None = None


class Job(Progress):
    """One operation: a Progress that remembers what it is told, and says it on.

    ``state`` is running, done, failed or cancelled. ``result`` is what the operation returned, ``error`` what it
    raised, ``told`` the sentence that says it, ``made`` the ids of snapshots that it took. All amounts are bytes.
    """

    def __init__(self, subject: Subject, tell: Callable[[Job], None]) -> None:
        super().__init__()
        self.id = secrets.token_hex(6)
        self.subject = subject
        self.started = datetime.now(timezone.utc)
        self.ended: datetime | None = None
        self.state = "running"
        self.task: str | None = None
        self.done = 0
        self.total: int | None = None
        self.notes: list[str] = []
        self.result: Any = None
        self.error: CasvaultError | None = None
        self.told = ""
        self.made: list[str] = []
        self.asked_to_stop = False
        self._tell = tell
        self._guard = threading.Lock()
        self._begun = time.monotonic()
        self._told = 0.0

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.ended is None

    def start(self, task: str, total: int | None) -> None:
        """Begin a task of it."""
        with self._guard:
            self.task, self.total, self.done, self._begun = task, total, 0, time.monotonic()
        self._tell(self)
        self.check()

    def advance(self, amount: int) -> None:
        """Count bytes as done; raises Cancelled."""
        with self._guard:
            self.done += amount
            now = time.monotonic()
            due = now - self._told >= _EVERY
            if due:
                self._told = now
        if due:
            self._tell(self)
        self.check()

    def message(self, text: str) -> None:
        """Keep what is said, such as what is waited for."""
        with self._guard:
            self.notes = [*self.notes[-9:], text]
        self._tell(self)

    def finish(self) -> None:
        """End a task of it."""
        self._tell(self)

    def cancel(self) -> None:
        """Ask it to stop."""
        self.asked_to_stop = True
        super().cancel()
        self._tell(self)

    def to_json(self) -> dict[str, Any]:
        """Return how far it is, with its result."""
        return {**self.summary(), "result": self.result.to_json() if self.result is not None else None}

    def summary(self) -> dict[str, Any]:
        """Return how far it is; ``rate`` is in bytes per second, ``eta`` in seconds, both of the task under way.

        ``progress`` says the same in words.
        """
        with self._guard:
            seconds = time.monotonic() - self._begun
            rate = self.done / seconds if self.running and self.done and seconds > 0 else None
            left = None if rate is None or self.total is None else max(0.0, (self.total - self.done) / rate)
            return {
                "id": self.id,
                **vars(self.subject),
                "state": self.state,
                "stopping": self.asked_to_stop and self.running,
                "started": _iso(self.started),
                "ended": _iso(self.ended),
                "task": self.task,
                "done": self.done,
                "total": self.total,
                "rate": rate,
                "eta": left,
                "progress": progress(self.done, self.total, rate, left) if self.task is not None else "",
                "messages": list(self.notes),
                "told": self.told,
                "error": problem_of(self.error) if self.error is not None else None,
            }


class Jobs:
    """All jobs of the panel; safe to use from several threads. ``ended`` is called with each that has ended."""

    def __init__(self, hub: Hub, ended: Callable[[Job], None] = lambda job: None) -> None:
        self._hub = hub
        self._ended = ended
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._threads: list[threading.Thread] = []
        self._closed = False

    def start(
        self,
        subject: Subject,
        work: Callable[[Job], R],
        told: Callable[[R], str] = lambda result: "Done.",
    ) -> Job:
        """Have ``work`` done in a thread; it gets the job, which is its Progress, and its result has ``to_json``.

        ``told`` makes a sentence of the result. Raises Locked where too much is under way already, or the panel ends.
        """
        job = Job(subject, lambda job: self._hub.publish("job", job.summary(), job.id))
        thread = threading.Thread(target=self._run, args=(job, work, told), name=f"job {subject.kind}")
        with self._lock:
            if self._closed:
                raise Locked("the panel is ending; start it again.")
            if sum(one.running for one in self._jobs.values()) >= _MOST_RUNNING:
                raise Locked(f"{_MOST_RUNNING} operations are under way; wait for one of them, or cancel it.")
            self._jobs[job.id] = job
            self._threads = [one for one in self._threads if one.is_alive()]
            thread.start()
            self._threads.append(thread)
            self._forget()
        self._hub.publish("jobs", {"id": job.id})
        return job

    def all(self) -> list[Job]:
        """Return all jobs, the newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def get(self, id: str) -> Job:
        """Return one job; raises NotFound."""
        with self._lock:
            job = self._jobs.get(id)
        if job is None:
            raise NotFound("there is no such operation in this panel; it may have been started before the panel was.")
        return job

    @property
    def busy(self) -> bool:
        """Whether any job runs that writes to the vault."""
        with self._lock:
            return any(job.running and job.subject.kind not in _READING for job in self._jobs.values())

    def threads(self) -> list[threading.Thread]:
        """Return the threads of jobs that have not ended, for who waits for them."""
        with self._lock:
            return [thread for thread in self._threads if thread.is_alive()]

    def close(self) -> None:
        """Take no more jobs, ask all to stop, and wait for them."""
        with self._lock:
            self._closed = True
            jobs, threads = list(self._jobs.values()), list(self._threads)
        for job in jobs:
            if job.running:
                job.cancel()
        for thread in threads:
            thread.join()

    def _run(self, job: Job, work: Callable[[Job], R], told: Callable[[R], str]) -> None:
        try:
            result = work(job)
            job.told = told(result)
            job.result, state = result, "done"
        except Cancelled as error:
            job.error, state = error, "cancelled"
        except CasvaultError as error:
            job.error, state = error, "failed"
        except Exception as error:  # noqa: BLE001
            # The last wall: what goes wrong in a thread must be told, not lost.
            if os.environ.get("CASVAULT_DEBUG"):
                traceback.print_exception(error)
            job.error, state = CasvaultError(sentence_of(error)), "failed"
        job.told = job.told if job.error is None else str(job.error)
        job.ended = datetime.now(timezone.utc)
        job.state = state
        self._ended(job)
        self._hub.publish("job", job.summary(), job.id)
        self._hub.publish("jobs", {"id": job.id})

    def _forget(self) -> None:
        ended = [job.id for job in self._jobs.values() if not job.running]
        for id in ended[: max(0, len(ended) - _MOST_ENDED)]:
            del self._jobs[id]


def sentence_of(error: Exception) -> str:
    """Return a sentence for an error that is none of casvault's own."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for this."
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}."
    return f"this is a bug in casvault ({type(error).__name__}: {error}). Nothing was lost."


def problem_of(error: CasvaultError) -> dict[str, Any]:
    """Return an error as a document: its type, the exit code of the command line, and its sentence."""
    return {"type": type(error).__name__, "exit_code": error.exit_code, "message": str(error)}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
