"""Memory does not grow with the model: the most that each command ever holds, of a real process.

CASVAULT_SOAK_MEGABYTES adds a size of model to the long form.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import soak
from tests.support.command import clean_environment
from tests.support.trainer import NAME

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory as Linux tells it")
_CEILING = 200_000_000
_MODEL = f"workspace/model/{NAME}"


_COMMANDS: tuple[tuple[str, ...], ...] = (
    ("snapshot", _MODEL, "--name", "second"),
    ("verify", "--read-data"),
    ("health", "second"),
    ("diff", "first", "second"),
    ("restore", "first", "-y"),
    ("undo", _MODEL, "-y"),
    ("export", "second", "out.zip"),
    ("thin", "first", "-y"),
    ("usage",),
    ("delete", "first", "-y"),
    ("gc",),
)
_MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print("peak", os.waitstatus_to_exitcode(status), usage.ru_maxrss << 10)
"""
"""A process of its own measures: a child begins with the peak of its parent, so that must be small."""
_TRAINER = """
import sys
from pathlib import Path
from casvault.demo.model import SampleModel
model = SampleModel(Path("workspace/model"), sys.argv[1], int(sys.argv[2]))
if int(sys.argv[3]):
    model.train(int(sys.argv[3]))
model.save()
"""


def peak(place: Path, *arguments: str) -> int:
    """Run a command and return the most bytes that were resident."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _MEASURE, sys.executable, "-m", "casvault", *arguments],
        cwd=place,
        env=clean_environment(CASVAULT_THREADS="2"),
        capture_output=True,
        text=True,
        check=True,
    )
    _, code, most = done.stdout.splitlines()[-1].split()
    assert code == "0", (arguments, done)
    return int(most)


def train(place: Path, megabytes: int, iterations: int) -> None:
    command = [sys.executable, "-c", _TRAINER, NAME, str(megabytes * 10**6), str(iterations)]
    subprocess.run(command, cwd=place, env=clean_environment(), check=True)


def run(place: Path, megabytes: int, ceiling: int, commands: Sequence[tuple[str, ...]]) -> None:
    with soak.campaign(f"memory, {megabytes} MB") as figures:
        peaks: dict[str, int] = {}
        train(place, megabytes, 0)
        peaks["init"] = peak(place, "init")
        peaks["snapshot"] = peak(place, "snapshot", _MODEL, "--name", "first")
        train(place, megabytes, 5)
        for arguments in commands:
            peaks[arguments[0]] = max(peaks.get(arguments[0], 0), peak(place, *arguments))
            figures.cases += 1
        figures.more |= {f"{name}, MB": round(most / 10**6) for name, most in peaks.items()}
        above = {name: most for name, most in peaks.items() if most > ceiling}
        assert not above, f"above {ceiling:,} bytes: {above}"


def test_a_small_model(tmp_path: Path) -> None:
    run(tmp_path, 20, 120_000_000, [one for one in _COMMANDS if one[0] in ("snapshot", "restore", "delete", "gc")])


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", sorted({300, 800, soak.size("MEGABYTES", 300)}))
def test_large_models(tmp_path: Path, megabytes: int) -> None:
    run(tmp_path, megabytes, _CEILING, _COMMANDS)
