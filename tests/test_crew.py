"""A crew: each task is done once, in order with one thread, and by the caller where the others are busy."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from functools import partial

import pytest

from casvault.crew import Crew, Task

WAIT = 20.0
"""Seconds until what should have happened long ago did not."""


class Thing:
    """Something that a task may hold on to."""


def named() -> str:
    return threading.current_thread().name


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_task_is_done_once_and_told_in_order(threads: int) -> None:
    done: Counter[int] = Counter()
    lock = threading.Lock()

    def work(number: int) -> int:
        with lock:
            done[number] += 1
        return number * number

    with Crew(threads, "worker") as crew:
        tasks = [crew.do(partial(work, number)) for number in range(2000)]
        assert [task.result() for task in tasks] == [number * number for number in range(2000)]
    assert set(done.values()) == {1}


def test_with_one_thread_it_is_done_at_once_and_by_the_caller() -> None:
    with Crew(1, "worker") as crew:
        task = crew.do(named)
        assert task.done()
        assert task.result() == named()
        assert not any(thread.name.startswith("worker") for thread in threading.enumerate())


def test_the_caller_works_where_the_others_have_enough() -> None:
    gate = threading.Event()

    def held() -> str:
        assert gate.wait(WAIT)
        return named()

    with Crew(2, "worker") as crew:
        first = crew.do(held)
        waiting = [crew.do(named) for _ in range(3)]
        own = [crew.do(named) for _ in range(5)]
        assert own[-1].done()
        assert own[-1].result() == named()
        # What nobody has begun is done by who asks for it.
        assert waiting[-1].result() == named()
        gate.set()
        assert first.result().startswith("worker")


def test_who_waits_for_a_task_that_was_begun() -> None:
    begun, gate = threading.Event(), threading.Event()

    def held() -> int:
        begun.set()
        assert gate.wait(WAIT)
        return 5

    with Crew(2, "worker") as crew:
        task = crew.do(held)
        assert begun.wait(WAIT)
        assert not task.done()
        threading.Timer(0.05, gate.set).start()
        assert task.result() == 5


@pytest.mark.parametrize("threads", [1, 2])
def test_what_goes_wrong_is_told_to_who_asks(threads: int) -> None:
    def fail() -> None:
        raise ValueError("no")

    with Crew(threads, "worker") as crew:
        task = crew.do(fail)
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                task.result()


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_meant_to_end_the_program_does_so_at_once(threads: int) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    gate = threading.Event()
    with Crew(threads, "worker") as crew:
        if threads > 1:
            for _ in range(4):
                crew.do(partial(gate.wait, WAIT))
        try:
            with pytest.raises(KeyboardInterrupt):
                crew.do(interrupted)
        finally:
            gate.set()


def test_what_was_not_begun_is_left() -> None:
    gate, begun = threading.Event(), threading.Event()
    ran: list[int] = []

    def held() -> None:
        begun.set()
        assert gate.wait(WAIT)

    with Crew(2, "worker") as crew:
        crew.do(held)
        assert begun.wait(WAIT)
        crew.do(partial(ran.append, 1))
        threading.Timer(0.05, gate.set).start()
    assert ran == []
    assert not any(thread.name.startswith("worker") for thread in threading.enumerate())


def test_a_task_lets_go_of_what_it_held() -> None:
    thing = Thing()
    there = weakref.ref(thing)
    task = Task(partial(id, thing))
    del thing
    assert there() is not None
    task.begin()
    assert there() is None
    assert isinstance(task.result(), int)
