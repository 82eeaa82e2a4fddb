"""A progress that was cancelled stops the operation at its next step, from any thread."""

from __future__ import annotations

import threading

import pytest

from casvault.errors import Cancelled
from casvault.progress import Progress


def test_it_is_silent_until_cancelled() -> None:
    progress = Progress()
    progress.start("reading", 10)
    progress.advance(10)
    progress.message("waiting")
    progress.check()
    progress.finish()


def test_cancel_is_noticed_at_the_next_step() -> None:
    progress = Progress()
    thread = threading.Thread(target=progress.cancel)
    thread.start()
    thread.join()
    with pytest.raises(Cancelled):
        progress.check()
    with pytest.raises(Cancelled):
        progress.advance(1)
    progress.finish()
    with pytest.raises(Cancelled):
        progress.check()


def test_one_cancel_does_not_stop_another() -> None:
    stopped, running = Progress(), Progress()
    stopped.cancel()
    running.advance(1)
