"""What all campaigns share: seeds that are told and can be given, sizes that can be set, and a record of what was run.

CASVAULT_TEST_SEED=N repeats a campaign that said "seed N". CASVAULT_SOAK_<NAME>=N sets the size of a long form;
CASVAULT_SOAK_RECORD=FILE appends its figures to a file, a JSON document on each line.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["FIGURES", "Figures", "campaign", "in_memory", "seed", "size", "summary"]

_FIRST = ("name", "cases", "outcome", "seconds")
_MEMORY = Path("/dev/shm")

FIGURES: list[dict[str, int | float | str]] = []
"""What each campaign that was run came to; tests/conftest.py shows them at the end."""


@dataclass
class Figures:
    """What a campaign came to; ``more`` are counts of its own."""

    name: str
    cases: int = 0
    more: dict[str, int | float | str] = field(default_factory=dict)

    def count(self, what: str, by: int = 1) -> None:
        """Add to a count of its own."""
        self.more[what] = int(self.more.get(what, 0)) + by


@contextmanager
def campaign(name: str) -> Iterator[Figures]:
    """Run a campaign within; its figures are kept, also where it fails."""
    figures, begun, outcome = Figures(name), time.monotonic(), "failed"
    try:
        yield figures
        outcome = "passed"
    finally:
        seconds = round(time.monotonic() - begun, 1)
        told = {"name": name, "cases": figures.cases, "outcome": outcome, "seconds": seconds, **figures.more}
        FIGURES.append(told)
        path = os.environ.get("CASVAULT_SOAK_RECORD")
        if path:
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")


def seed(default: int | None = None) -> int:
    """Return the seed of this run, and say it: a given one, else ``default``, else any."""
    given = os.environ.get("CASVAULT_TEST_SEED")
    chosen = int(given) if given else random.SystemRandom().randrange(10**9) if default is None else default
    print(f"seed {chosen}")
    return chosen


def summary(figures: Sequence[Mapping[str, int | float | str]]) -> list[str]:
    """Return lines that show what campaigns came to, and all of them together."""
    if not figures:
        return []
    lines = []
    for one in sorted(figures, key=lambda one: str(one["name"])):
        more = ", ".join(f"{key} {value}" for key, value in one.items() if key not in _FIRST)
        head = f"{one['name']:<46} {one['outcome']:<7}{one['cases']:>8,} cases{one['seconds']:>9,} s"
        lines.append(f"{head}  {more}".rstrip())
    failed = [str(one["name"]) for one in figures if one["outcome"] != "passed"]
    cases, seconds = (sum(float(one[key]) for one in figures) for key in ("cases", "seconds"))
    told = f"failed: {', '.join(failed)}" if failed else "none failed"
    return [*lines, f"{len(figures)} campaigns, {cases:,.0f} cases in {seconds:,.0f} s, {told}."]


def in_memory(room: int = 500 << 20) -> Path | None:
    """Return a folder that is in memory, None where there is none with that many bytes of room.

    What is there after a kill or an error is no question of flushing, so that a slow disk adds nothing but time.
    """
    usable = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= room
    return _MEMORY if usable else None


def size(name: str, default: int) -> int:
    """Return how large a long form is to be: CASVAULT_SOAK_<name>, else ``default``."""
    return int(os.environ.get(f"CASVAULT_SOAK_{name}", default))
