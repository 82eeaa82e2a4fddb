"""Faults in a real process, at a system call that is named by what it is and how often it came: by strace.

``when=N`` of strace counts for each thread and each system call by itself. So the process is run once to list its
calls in order, then once for each point; with CASVAULT_THREADS=1 the calls come in the same order each time. Never
with --seccomp-bpf, which turns the faults off without a word. The process is forked off a `Zygote`, which makes a point
cost a twentieth of what it costs with a new interpreter.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.support.command import clean_environment
from tests.support.zygote import Zygote

__all__ = ["ERRORS", "Call", "Ended", "Partner", "Stopped", "Tracer", "changing", "why_not"]

ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES", "EMFILE")

_CHANGES = (
    "write", "pwrite64", "writev", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir",
    "fsync", "fdatasync", "utimensat", "fchmod", "chmod", "ftruncate", "link", "linkat", "fallocate",
)  # fmt: skip
_READS = ("read", "pread64", "getdents64", "newfstatat", "flock", "lseek")
_LINE = re.compile(r"^\d+ +(\w+)\((.*)$")
Partner = Callable[[Path, Path, Path], object]
"""What speaks with the command over its streams, in a thread: it gets the place, and the pipes to and from there."""


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
    program = (
        "import os, sys\nfrom tests.support.zygote import let_trace\nlet_trace()\nprint(flush=True)\n"
        "os.read(0, 1)\ntry: os.fsync(0)\nexcept OSError as error: sys.exit(7 * (error.errno == 5))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment()
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        command = ["strace", "-o", os.devnull, "-e", "inject=fsync:error=EIO:when=1", "-p", str(process.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
            assert tracer.stderr is not None
            tracer.stderr.readline()
            process.stdin.close()
            process.wait(60)
    return "" if process.returncode == 7 else "strace may not trace processes here"


def changing(calls: list[Call]) -> list[Call]:
    """Return those of the calls that change something."""
    return [call for call in calls if call.name in _CHANGES or (call.name == "openat" and "O_CREAT" in call.told)]


class Tracer:
    """Runs commands under strace, one at a time."""

    def __init__(self) -> None:
        self._zygote = Zygote()
        self._folder = Path(tempfile.mkdtemp(prefix="casvault traced "))
        self._streams = (Path(os.devnull), self._folder / "out", self._folder / "err")
        self._log = self._folder / "log"

    def __enter__(self) -> Tracer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._zygote.__exit__(kind, error, at)
        shutil.rmtree(self._folder)

    def calls_of(self, cwd: Path, *arguments: str | Path, partner: Partner | None = None) -> list[Call]:
        """Run a command and return all of its calls that have to do with files below ``cwd``, in order."""
        names = ",".join(("openat", *_CHANGES, *_READS))
        ended, log = self._run(cwd, arguments, ["-y", "-e", f"trace={names}"], partner)
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

    def run_at(
        self, call: Call, fault: str, cwd: Path, *arguments: str | Path, partner: Partner | None = None
    ) -> Ended:
        """Run a command in which this call has the fault: ``SIGKILL``, or the name of an error."""
        action = f"signal={fault}" if fault.startswith("SIG") else f"error={fault}"
        options = ["-y", "-e", f"trace={call.name}", "-e", f"inject={call.name}:{action}:when={call.number}"]
        ended, log = self._run(cwd, arguments, options, partner)
        # A restore looks at all processes there are, which makes more or fewer calls each time: then it is another one.
        inside = any("(INJECTED)" in line and f"{cwd}/" in line for line in log.splitlines())
        return ended._replace(hit=ended.killed or inside)

    @contextmanager
    def stopped_at(self, call: Call, cwd: Path, *arguments: str | Path) -> Iterator[Stopped]:
        """Run a command that is stopped at this call, as by Ctrl+Z; within it stands still, until it is let go on."""
        options = ["-e", f"trace={call.name}", "-e", f"inject={call.name}:signal=SIGSTOP:when={call.number}"]
        with self._started(cwd, arguments, options) as (pid, tracer):
            try:
                seen = False
                with open(self._log, encoding="utf-8", errors="replace") as log:
                    while not seen and tracer.poll() is None:
                        seen = "stopped by SIGSTOP" in log.read()
                        time.sleep(0.002)
                stopped = Stopped(self, pid if seen else None)
                yield stopped
            finally:
                if not stopped.over:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    self._zygote.wait()

    def ended(self, *, hit: bool) -> Ended:
        """Wait for the end of the command, and return how it ended."""
        code = self._zygote.wait()
        out, err = (path.read_text("utf-8", "replace") if path.is_file() else "" for path in self._streams[1:])
        return Ended(code, out, err, hit)

    @contextmanager
    def _started(
        self, cwd: Path, arguments: tuple[str | Path, ...], options: list[str], partner: Partner | None = None
    ) -> Iterator[tuple[int, subprocess.Popen[str]]]:
        """Start a command and yield its id, and strace, which has it; within it runs."""
        for path in (*self._streams[1:], self._log):
            path.write_bytes(b"")
        streams, thread = self._streams, None
        if partner is not None:
            streams = self._folder / "to", self._folder / "from", self._streams[2]
            for path in streams[:2]:
                path.unlink(missing_ok=True)
                os.mkfifo(path)
            thread = threading.Thread(target=partner, args=(cwd, *streams[:2]))
            thread.start()
        pid = self._zygote.fork(str(cwd), list(map(str, arguments)), tuple(map(str, streams)))
        command = ["strace", "-f", "-o", str(self._log), *options, "-p", str(pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            attached = tracer.stderr.readline()
            assert attached.endswith("attached\n"), attached + tracer.stderr.read()
            self._zygote.go()
            yield pid, tracer
        if thread is not None:
            thread.join()

    def _run(
        self, cwd: Path, arguments: tuple[str | Path, ...], options: list[str], partner: Partner | None
    ) -> tuple[Ended, str]:
        with self._started(cwd, arguments, options, partner):
            ended = self.ended(hit=False)
        return ended, self._log.read_text("utf-8", "replace")


class Stopped:
    """A process that stands still; ``pid`` is None where it ended before it came to its call."""

    def __init__(self, tracer: Tracer, pid: int | None) -> None:
        self._tracer = tracer
        self.pid = pid
        self.over = False

    def go_on(self) -> Ended:
        """Let it go on, and return how it ended."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGCONT)
        self.over = True
        return self._tracer.ended(hit=self.pid is not None)
