"""Faults in a real process, at a system call that is named by what it is and how often it came: by strace.

``when=N`` of strace counts for each thread and each system call by itself. So the process is run once to list its
calls in order, then once for each point; with CASVAULT_THREADS=1 the calls come in the same order each time. Never
with --seccomp-bpf, which turns the faults off without a word.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.support.command import clean_environment

__all__ = ["ERRORS", "Call", "Ended", "Stopped", "calls_of", "changing", "run_at", "stopped_at", "why_not"]

ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES", "EMFILE")

_CHANGES = (
    "write", "pwrite64", "writev", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir",
    "fsync", "fdatasync", "utimensat", "fchmod", "chmod", "ftruncate", "link", "linkat", "fallocate",
)  # fmt: skip
_READS = ("read", "pread64", "getdents64", "newfstatat", "flock", "lseek")
_LINE = re.compile(r"^\d+ +(\w+)\((.*)$")
_SECONDS = 120


class Call(NamedTuple):
    """The ``number``-th call (from 1) of a system call in a process; ``told`` is how strace shows it."""

    name: str
    number: int
    told: str


class Ended(NamedTuple):
    """How a process ended: its exit code, what it wrote, and whether the fault came at all."""

    code: int
    out: str
    err: str
    hit: bool

    @property
    def killed(self) -> bool:
        """Tell whether it died of SIGKILL."""
        return self.code == -signal.SIGKILL


@cache
def why_not() -> str:
    """Return why no process can be traced here, empty where it can."""
    if sys.platform != "linux" or shutil.which("strace") is None:
        return "needs strace"
    command = ["strace", "-f", "-o", os.devnull, "-e", "inject=fsync:error=EIO:when=1", sys.executable, "-c"]
    program = "import os, sys\ntry: os.fsync(0)\nexcept OSError as error: sys.exit(7 * (error.errno == 5))"
    done = subprocess.run([*command, program], capture_output=True, check=False, timeout=60)
    return "" if done.returncode == 7 else "strace may not trace processes here"


def calls_of(cwd: Path, *arguments: str | Path) -> list[Call]:
    """Run a command and return all of its calls that have to do with files below ``cwd``, in order."""
    names = ",".join(("openat", *_CHANGES, *_READS))
    ended, log = _run(cwd, arguments, ["-y", "-e", f"trace={names}"])
    assert ended.code in (0, 3), ended
    found, counts, inside = [], Counter[str](), f"{cwd}/"
    for line in log.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name, told = match.groups()
        counts[name] += 1
        # A result may name the file as well, and the working directory is in every openat.
        if inside in told.replace(f"AT_FDCWD<{cwd}>", ""):
            found.append(Call(name, counts[name], told.replace(inside, "")[:160]))
    return found


def changing(calls: list[Call]) -> list[Call]:
    """Return those of the calls that change something."""
    return [call for call in calls if call.name in _CHANGES or (call.name == "openat" and "O_CREAT" in call.told)]


def run_at(call: Call, fault: str, cwd: Path, *arguments: str | Path) -> Ended:
    """Run a command in which this call has the fault: ``SIGKILL``, ``SIGSTOP`` or the name of an error."""
    action = f"signal={fault}" if fault.startswith("SIG") else f"error={fault}"
    options = ["-y", "-e", f"trace={call.name}", "-e", f"inject={call.name}:{action}:when={call.number}"]
    ended, log = _run(cwd, arguments, options)
    # A restore looks at all processes there are, which makes more or fewer calls each time: then it is another call.
    inside = any("(INJECTED)" in line and f"{cwd}/" in line for line in log.splitlines())
    return ended._replace(hit=ended.killed or inside)


@contextmanager
def stopped_at(call: Call, cwd: Path, *arguments: str | Path) -> Iterator[Stopped]:
    """Run a command that is stopped at this call, as by Ctrl+Z; within it stands still, until it is let go on."""
    options = ["-e", f"trace={call.name}", "-e", f"inject={call.name}:signal=SIGSTOP:when={call.number}"]
    with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            ["strace", "-f", "-o", log.name, *options, sys.executable, "-m", "casvault", *map(str, arguments)],
            cwd=cwd,
            env=clean_environment(CASVAULT_THREADS="1", PYTHONHASHSEED="0"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        try:
            seen, pid = "", None
            while process.poll() is None and pid is None:
                seen += log.read()
                for line in seen.splitlines():
                    if "stopped by SIGSTOP" in line:
                        pid = int(line.split()[0])
                time.sleep(0.005)
            yield Stopped(process, pid)
        finally:
            if process.poll() is None:
                process.kill()
                if pid is not None:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            process.communicate()


class Stopped:
    """A process that stands still; ``pid`` is None where it ended before it came to its call."""

    def __init__(self, process: subprocess.Popen[str], pid: int | None) -> None:
        self._process = process
        self.pid = pid

    def go_on(self) -> Ended:
        """Let it go on, and return how it ended."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGCONT)
        out, err = self._process.communicate(timeout=_SECONDS)
        return Ended(self._process.returncode, out, err, self.pid is not None)


def _run(cwd: Path, arguments: tuple[str | Path, ...], options: list[str]) -> tuple[Ended, str]:
    with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as log:
        done = subprocess.run(
            ["strace", "-f", "-o", log.name, *options, sys.executable, "-m", "casvault", *map(str, arguments)],
            cwd=cwd,
            env=clean_environment(CASVAULT_THREADS="1", PYTHONHASHSEED="0"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr, False), log.read()
