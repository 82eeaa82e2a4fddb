"""Trainers that run right now: processes that may save over a model.

They are found by their command lines, paused ones too. Owns the promise that looking for them never fails: a process
that may not be inspected is passed over, and without psutil nothing is known, which is None and not "none".
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from casvault.models.model import Model
from casvault.models.resolve import kind_named

__all__ = ["Trainer", "find_trainers"]

_HEAD, _TAIL = 24, 70
"""Characters that may be kept of a command line's beginning and of its end, where it is longer than both."""


@dataclass(frozen=True)
class Trainer:
    """A process that trains a model: its number, its command line, shortened, and whether it is paused."""

    pid: int
    command: str
    paused: bool = False

    def __str__(self) -> str:
        return f"process {self.pid}{', which is paused' * self.paused} ({self.command})"

    def to_json(self) -> dict[str, Any]:
        """Return the trainer for `--json`."""
        return {"pid": self.pid, "command": self.command, "paused": self.paused}


def find_trainers(model: Model) -> tuple[Trainer, ...] | None:
    """Return the processes that may be training ``model``, by number.

    None where that cannot be known: its trainer is not, or processes cannot be looked at.

    A trainer's own helpers, which on Linux have its command line, are not told beside it.
    """
    kind = kind_named(model.kind)
    if not kind.knows_trainers:
        return None
    try:
        import psutil
    except (ImportError, OSError):
        return None
    found: dict[int, Trainer] = {}
    parents: dict[int, int] = {}
    try:
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError, ValueError):
                arguments = process.cmdline()
                if process.pid != os.getpid() and kind.may_train(arguments, process.cwd, model):
                    paused = process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
                    parents[process.pid] = process.ppid()
                    found[process.pid] = Trainer(process.pid, _shortened(arguments), paused)
    except (psutil.Error, OSError):
        return None
    return tuple(found[pid] for pid in sorted(found) if parents[pid] not in found)


def _shortened(arguments: list[str]) -> str:
    """Return a command line by which people know it again: programs without their folders, the middle left out."""
    words = [os.path.basename(word) if place < 2 else word for place, word in enumerate(arguments)]
    words = " ".join(words).split()
    text = " ".join(words)
    if len(text) <= _HEAD + _TAIL:
        return text
    # The end says which model it is.
    head, tail = _fitting(words, _HEAD), _fitting(words[::-1], _TAIL)[::-1]
    return f"{' '.join(head) or text[:_HEAD]} ... {' '.join(tail) or text[-_TAIL:]}"


def _fitting(words: list[str], room: int) -> list[str]:
    """Return the first of ``words`` that fit into so many characters."""
    sums = accumulate(len(word) + 1 for word in words)
    return [word for word, sum in zip(words, sums, strict=True) if sum <= room]
