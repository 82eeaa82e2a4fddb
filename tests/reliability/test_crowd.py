"""Many processes in one vault: snapshots, restores, edits, deletions and their undoing, pruning, gc and verify at once.

CASVAULT_SOAK_OPERATIONS is how many operations the long form does in all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from casvault import api
from tests.support import soak
from tests.support.command import clean_environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="on Windows nobody tried")
_ROOT = Path(__file__).parents[2]


def start(root: Path, number: int, seed: int, operations: int) -> subprocess.Popen[str]:
    arguments = [str(root), str(number), str(seed), str(operations)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.crowd", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        cwd=_ROOT,
    )


def run(root: Path, members: int, operations: int, seed: int) -> None:
    with soak.campaign("crowd") as figures:
        api.init(root / ".casvault")
        processes = [start(root, number, seed, operations // members) for number in range(members)]
        told: list[dict[str, Any]] = []
        for process in processes:
            out, err = process.communicate()
            assert process.returncode == 0, err[-3000:]
            told.append(json.loads(out))
        done = sum((Counter(one["done"]) for one in told), Counter[str]())
        figures.cases = done.total()
        figures.more |= {"members": members, **done}
        vault = api.open(root / ".casvault")
        found = vault.verify(read_data=True)
        assert found.damaged == ()
        there = {head.id: head for head in vault.snapshots()}
        kept = {id for one in told for id in one["kept"]}
        assert kept <= set(there), "acknowledged and lost"
        # What nobody knows of are backups that restores took of models that were no snapshot's.
        assert all(there[id].kind == "auto-backup" for id in set(there) - kept)
        for one in told:
            assert all(there[id].label.notes == notes for id, notes in one["notes"].items())
        vault.gc()
        assert vault.usage().vault.reclaimable_bytes == 0
        assert vault.verify(read_data=True).ok


def test_a_small_crowd(tmp_path: Path) -> None:
    run(tmp_path, 3, 90, soak.seed(1))


@pytest.mark.slow
def test_a_crowd(tmp_path: Path) -> None:
    run(tmp_path, 6, soak.size("OPERATIONS", 20_000), soak.seed())
