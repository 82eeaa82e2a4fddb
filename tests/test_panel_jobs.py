"""Jobs: what they tell while they run, how they end, and what is left of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest

from casvault.errors import Locked, NoSpace, NotFound
from casvault.panel.hub import Hub
from casvault.panel.jobs import Job, Jobs, Subject

ABOUT = Subject("gc", "Freeing space", "casvault gc", "new_SAEHD", "0" * 16)


@dataclass(frozen=True)
class Result:
    number: int

    def to_json(self) -> dict[str, Any]:
        return {"number": self.number}


def wait(jobs: Jobs) -> None:
    for thread in jobs.threads():
        thread.join()


def test_a_job_tells_how_far_it_is() -> None:
    jobs, middle, go = Jobs(Hub()), threading.Event(), threading.Event()

    def work(job: Job) -> Result:
        job.start("storing", 1000)
        job.advance(250)
        job.message("waiting for a save")
        middle.set()
        go.wait()
        job.start("syncing", None)
        job.advance(5)
        job.finish()
        return Result(7)

    job = jobs.start(ABOUT, work, lambda result: f"It was {result.number}.")
    middle.wait()
    told = job.to_json()
    assert (told["state"], told["task"], told["done"], told["total"]) == ("running", "storing", 250, 1000)
    assert told["rate"] > 0
    assert told["eta"] == pytest.approx(750 / told["rate"])
    assert (told["messages"], told["ended"], told["result"], told["error"]) == (
        ["waiting for a save"],
        None,
        None,
        None,
    )
    assert jobs.busy
    go.set()
    wait(jobs)
    told = jobs.get(job.id).to_json()
    assert (told["state"], told["result"], told["told"]) == ("done", {"number": 7}, "It was 7.")
    assert (told["kind"], told["title"], told["command"]) == ("gc", "Freeing space", "casvault gc")
    assert (told["task"], told["done"], told["total"], told["rate"], told["eta"]) == ("syncing", 5, None, None, None)
    assert told["ended"] >= told["started"]
    assert "result" not in job.summary()
    assert not jobs.busy


def test_an_error_stays_readable() -> None:
    jobs = Jobs(Hub())

    def work(job: Job) -> Result:
        raise NoSpace("the disk is full.")

    job = jobs.start(ABOUT, work)
    wait(jobs)
    told = jobs.get(job.id).to_json()
    assert (told["state"], told["told"]) == ("failed", "the disk is full.")
    assert told["error"] == {"type": "NoSpace", "exit_code": 1, "message": "the disk is full."}


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(28, "No space left on device", "/vault"), "/vault: No space left on device."),
        (MemoryError(), "there is not enough memory for this."),
        (ZeroDivisionError("division by zero"), "this is a bug in casvault (ZeroDivisionError: division by zero). "),
    ],
)
def test_whatever_goes_wrong_is_told(error: Exception, sentence: str) -> None:
    jobs = Jobs(Hub())

    def work(job: Job) -> Result:
        raise error

    job = jobs.start(ABOUT, work)
    wait(jobs)
    assert job.state == "failed"
    assert job.told.startswith(sentence)


def test_a_job_that_is_cancelled_stops_at_its_next_step() -> None:
    jobs, begun, asked = Jobs(Hub()), threading.Event(), threading.Event()

    def work(job: Job) -> Result:
        begun.set()
        asked.wait()
        job.advance(1)
        raise AssertionError("it went on")

    job = jobs.start(ABOUT, work)
    begun.wait()
    job.cancel()
    assert job.summary()["stopping"] is True
    asked.set()
    wait(jobs)
    assert (job.state, job.summary()["stopping"]) == ("cancelled", False)
    assert job.told == "stopped as asked; nothing was changed."


def test_closing_cancels_all_and_waits_for_what_cannot_be_cut() -> None:
    jobs, begun = Jobs(Hub()), threading.Barrier(3)
    done: list[str] = []

    def cut(job: Job) -> Result:
        begun.wait()
        while True:
            job.check()

    def whole(job: Job) -> Result:
        begun.wait()
        while not job.asked_to_stop:
            pass
        done.append("whole")
        return Result(1)

    one, other = jobs.start(ABOUT, cut), jobs.start(ABOUT, whole)
    begun.wait()
    jobs.close()
    assert (one.state, other.state, done) == ("cancelled", "done", ["whole"])
    with pytest.raises(Locked, match="the panel is ending"):
        jobs.start(ABOUT, whole)


def test_only_so_many_run_at_a_time_and_only_so_many_are_kept() -> None:
    jobs, go = Jobs(Hub()), threading.Event()

    def work(job: Job) -> Result:
        go.wait()
        return Result(1)

    first = jobs.start(ABOUT, work)
    for _ in range(7):
        jobs.start(ABOUT, work)
    with pytest.raises(Locked, match="8 operations are under way"):
        jobs.start(ABOUT, work)
    go.set()
    wait(jobs)
    for _ in range(220):
        jobs.start(ABOUT, lambda job: Result(2))
        wait(jobs)
    assert 200 <= len(jobs.all()) <= 202
    assert jobs.all()[0].result == Result(2)
    with pytest.raises(NotFound):
        jobs.get(first.id)


def test_what_only_reads_does_not_make_the_panel_busy() -> None:
    jobs, go = Jobs(Hub()), threading.Event()

    def work(job: Job) -> Result:
        go.wait()
        return Result(1)

    seen = []
    for kind in ("diff", "verify", "restore"):
        jobs.start(Subject(kind, "Working"), work)
        seen.append(jobs.busy)
    assert seen == [False, False, True]
    go.set()
    wait(jobs)
