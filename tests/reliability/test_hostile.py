"""Hostile bytes for every parser: typed errors only, at most 2 seconds and 256 MB each, in a child that is bounded.

CASVAULT_SOAK_HOSTILE is how many cases the long form has.
``python -m tests.support.hostile SEED NUMBER 1`` repeats one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support import soak
from tests.support.command import clean_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bounds memory as Linux does")
_CHILDREN = 2


def start(seed: int, first: int, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.hostile", str(seed), str(first), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(OPENBLAS_NUM_THREADS="1"),
        cwd=Path(__file__).parents[2],
    )


def run(count: int, seed: int) -> None:
    with soak.campaign("hostile bytes") as figures:
        share = count // _CHILDREN
        children = [start(seed, number * share, share) for number in range(_CHILDREN)]
        told: list[dict[str, Any]] = []
        for child in children:
            out, err = child.communicate()
            assert child.returncode == 0, err[-3000:]
            told.append(json.loads(out))
        done = sum((Counter(one["done"]) for one in told), Counter[str]())
        figures.cases = done.total()
        figures.more |= {
            "targets": len(done),
            "refused": sum(one["refused"] for one in told),
            "longest, s": max(one["longest"] for one in told),
            "most memory, MB": max(one["grown_bytes"] for one in told) // 10**6,
        }
        wrong = [line for one in told for line in one["wrong"]]
        figures.more["violations"] = len(wrong)
        assert not wrong, "\n".join(wrong[:20])


def test_a_few_thousand(tmp_path: Path) -> None:
    run(5_000, soak.seed(1))


@pytest.mark.slow
def test_200_000(tmp_path: Path) -> None:
    run(soak.size("HOSTILE", 200_000), soak.seed())
