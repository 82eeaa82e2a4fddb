"""Backoff: tries without progress end, pauses grow, and a user can stop them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from casvault.errors import BrokenLink, Cancelled
from casvault.progress import Progress
from casvault.sync import backoff
from casvault.sync.backoff import Backoff


class Told(Progress):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        found.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(backoff, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    return found


def test_tries_without_progress_end_and_pauses_grow(pauses: list[float]) -> None:
    told, error, lengths = Told(), BrokenLink("home: the connection ended."), []
    tries = Backoff(5, told)
    for _ in range(5):
        before = sum(pauses)
        tries.wait(error)
        lengths.append(sum(pauses) - before)
    for number, length in enumerate(lengths):
        assert 2**number <= length * 1.01
        assert length <= 2 * 2**number * 1.01
    with pytest.raises(BrokenLink) as caught:
        tries.wait(error)
    assert caught.value is error
    assert len(told.said) == 5
    assert told.said[0].startswith("home: the connection ended; trying again in ")
    assert told.said[4].endswith(" (5 of 5).")


def test_progress_begins_a_new_row(pauses: list[float]) -> None:
    tries = Backoff(2, Progress())
    for _ in range(20):
        tries.wait(BrokenLink("x"))
        tries.moved()
    assert tries.tries == 20


def test_none_are_none_and_a_stop_is_a_stop(pauses: list[float]) -> None:
    with pytest.raises(BrokenLink):
        Backoff(0, Progress()).wait(BrokenLink("x"))
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        Backoff(3, progress).wait(BrokenLink("x"))
    assert pauses == []
