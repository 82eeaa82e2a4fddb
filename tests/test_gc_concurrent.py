"""Collecting beside processes that snapshot, delete and restore all the time: nothing is ever missed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from casvault import api
from tests.support.command import clean_environment

_WORKER = """
import json, os, sys, time
from pathlib import Path
from casvault.files import locks
from tests.support.lines import Line

root, number, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
waits, holds = [0.0], [0.0]
shared = locks.FolderLocks.shared

def timed(self, what):
    from contextlib import contextmanager
    @contextmanager
    def held():
        begun = time.monotonic()
        with shared(self, what):
            waits.append(time.monotonic() - begun)
            inside = time.monotonic()
            yield
        holds.append(time.monotonic() - inside)
    return held()

locks.FolderLocks.shared = timed
from casvault import api
line = Line(root / f"writer {number}", seed=number, threads=1)
line.vault = api.open(root / ".casvault", threads=1)
end, done = time.monotonic() + seconds, 0
while time.monotonic() < end or done < 9:
    mine = list(line.saves)
    id = line.snapshot(f"{number}-{done}")
    done += 1
    line.check(line.vault, [id])
    if done % 3 == 0 and len(mine) > 3:
        for old in mine[:2]:
            line.vault.delete(old)
            del line.saves[old]
line.check(line.vault, list(line.saves))
print(json.dumps({"snapshots": done, "kept": list(line.saves), "wait": max(waits), "held": max(holds)}))
"""

_COLLECTOR = """
import json, sys, time
from pathlib import Path
from casvault import api
root = sys.argv[1]
vault = api.open(root + "/.casvault", threads=1)
rounds, freed, forgotten, longest = 0, 0, 0, 0.0
while not Path(root, "stop").exists():
    begun = time.monotonic()
    result = vault.gc()
    longest = max(longest, time.monotonic() - begun)
    assert result.unfinished is None, result.unfinished
    rounds, freed = rounds + 1, freed + result.freed_bytes
    forgotten += len(result.forgotten_snapshots)
print(json.dumps({"rounds": rounds, "freed": freed, "forgotten": forgotten, "longest": longest}))
"""


def _start(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        cwd=Path(__file__).parents[1],
    )


def _end(process: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    out, err = process.communicate(timeout=seconds + 120)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def campaign(root: Path, writers: int, seconds: float) -> list[dict[str, Any]]:
    """Let that many processes write while one collects; return what each of them says, the collector's last."""
    api.init(root / ".casvault")
    collector = _start(_COLLECTOR, root)
    processes = [_start(_WORKER, root, number, seconds) for number in range(writers)]
    said = [_end(process, seconds) for process in processes]
    (root / "stop").touch()
    said.append(_end(collector, seconds))
    vault = api.open(root / ".casvault")
    found = vault.verify(read_data=True)
    assert found.damaged == ()
    kept = {head.id for head in vault.snapshots()}
    assert kept == {id for one in said[:-1] for id in one["kept"]}
    before = vault.usage().vault
    result = vault.gc()
    assert result.freed_bytes >= before.reclaimable_bytes
    assert vault.usage().vault.reclaimable_bytes == 0
    assert vault.verify(read_data=True).ok
    return said


def test_a_few_seconds(tmp_path: Path) -> None:
    *writers, collector = campaign(tmp_path, 2, 3.0)
    assert all(one["snapshots"] > 3 for one in writers)
    assert collector["rounds"] > 1
    assert collector["forgotten"] > 0


@pytest.mark.slow
def test_four_writers_for_long(tmp_path: Path) -> None:
    seconds = float(os.environ.get("CASVAULT_SOAK_SECONDS", "60"))
    begun = time.time()
    *writers, collector = campaign(tmp_path, 4, seconds)
    print(f"{time.time() - begun:.0f} s: {collector}")
    for one in writers:
        print({key: value for key, value in one.items() if key != "kept"})
    assert collector["rounds"] > 3
    assert collector["forgotten"] > 0
