"""What all campaigns share: seeds that are told and can be given, sizes that can be set, and a record of what was run.

CASVAULT_TEST_SEED=N repeats a campaign that said "seed N". CASVAULT_SOAK_<NAME>=N sets the size of a long form;
CASVAULT_SOAK_RECORD=FILE appends its figures to a file, a JSON document on each line.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["FIGURES", "Figures", "campaign", "seed", "size"]

FIGURES: list[str] = []
"""A line for each campaign that was run; tests/conftest.py shows them at the end."""


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
        more = "".join(f", {key} {value}" for key, value in figures.more.items())
        FIGURES.append(f"{name}: {figures.cases} cases, {outcome}, {seconds} s{more}")
        path = os.environ.get("CASVAULT_SOAK_RECORD")
        if path:
            told = {"name": name, "cases": figures.cases, "outcome": outcome, "seconds": seconds, **figures.more}
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")


def seed(default: int | None = None) -> int:
    """Return the seed of this run, and say it: a given one, else ``default``, else any."""
    given = os.environ.get("CASVAULT_TEST_SEED")
    chosen = int(given) if given else random.SystemRandom().randrange(10**9) if default is None else default
    print(f"seed {chosen}")
    return chosen


def size(name: str, default: int) -> int:
    """Return how large a long form is to be: CASVAULT_SOAK_<name>, else ``default``."""
    return int(os.environ.get(f"CASVAULT_SOAK_{name}", default))
