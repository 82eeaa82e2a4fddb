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
from contextlib import contextmanager
from dataclasses import dataclass
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
    "fsync", "fdatasync", "syncfs", "utimensat", "fchmod", "chmod", "ftruncate", "link", "linkat", "fallocate",
)  # fmt: skip
_READS = ("read", "pread64", "getdents64", "newfstatat", "flock", "lseek")
_LINE = re.compile(r"^\d+ +(\w+)\((.*)$")
_SECONDS = 300
"""After that a command is taken to hang."""

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
    """Runs commands, under strace or without it."""

    def __init__(self) -> None:
        self._zygote = Zygote()
        self._folder = Path(tempfile.mkdtemp(prefix="casvault traced "))
        self._count = 0

    def __enter__(self) -> Tracer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._zygote.__exit__(kind, error, at)
        shutil.rmtree(self._folder)

    def run(self, cwd: Path, *arguments: str | Path, first: str = "") -> Ended:
        """Run a command without tracing it, after the Python code ``first``."""
        running = self._fork(cwd, arguments, first=first)
        self._zygote.go(running.pid)
        ended = self._ended(running)
        shutil.rmtree(running.folder)
        return ended

    def calls_of(self, cwd: Path, *arguments: str | Path, partner: Partner | None = None) -> list[Call]:
        """Run a command and return all of its calls that have to do with files below ``cwd``, in order."""
        names = ",".join(("openat", *_CHANGES, *_READS))
        with self._traced(cwd, arguments, ["-y", "-e", f"trace={names}"], partner) as running:
            ended = self._ended(running)
        assert ended.code in (0, 3), ended
        found, counts, inside = [], Counter[str](), f"{cwd}/"
        for line in running.seen.splitlines():
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
        with self._traced(cwd, arguments, options, partner) as running:
            ended = self._ended(running)
        # A restore looks at all processes there are, which makes more or fewer calls each time: then it is another one.
        inside = any("(INJECTED)" in line and f"{cwd}/" in line for line in running.seen.splitlines())
        return ended._replace(hit=ended.killed or inside)

    @contextmanager
    def stopped_at(self, call: Call, cwd: Path, *arguments: str | Path) -> Iterator[Stopped]:
        """Run a command that is stopped at this call, as by Ctrl+Z; within it stands still, until it is let go on."""
        options = ["-e", f"trace={call.name}", "-e", f"inject={call.name}:signal=SIGSTOP:when={call.number}"]
        with self._traced(cwd, arguments, options) as running:
            seen = over = False
            while not seen and not over:
                time.sleep(0.002)
                over = running.tracer is None or running.tracer.poll() is not None
                seen = "stopped by SIGSTOP" in running.told()
            stopped = Stopped(running, seen, self._ended)
            try:
                yield stopped
            finally:
                if not stopped.over:
                    os.kill(running.pid, signal.SIGKILL)
                    self._ended(running)

    @contextmanager
    def _traced(
        self, cwd: Path, arguments: tuple[str | Path, ...], options: list[str], partner: Partner | None = None
    ) -> Iterator[Running]:
        """Start a command and yield it, with strace attached; within it runs, at the end its log is whole."""
        running = self._fork(cwd, arguments, partner)
        command = ["strace", "-f", "-o", str(running.log), *options, "-p", str(running.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            attached = tracer.stderr.readline()
            assert attached.endswith("attached\n"), attached + tracer.stderr.read()
            running.tracer = tracer
            self._zygote.go(running.pid)
            yield running
        if running.partner is not None:
            running.partner.join()
        running.seen = running.told()
        shutil.rmtree(running.folder)

    def _fork(
        self, cwd: Path, arguments: tuple[str | Path, ...], partner: Partner | None = None, first: str = ""
    ) -> Running:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        streams, thread = [os.devnull, str(folder / "out"), str(folder / "err")], None
        for name in ("out", "err", "log"):
            (folder / name).write_bytes(b"")
        if partner is not None:
            pipes = folder / "to", folder / "from"
            for number, pipe in enumerate(pipes):
                os.mkfifo(pipe)
                streams[number] = str(pipe)
            thread = threading.Thread(target=partner, args=(cwd, *pipes))
            thread.start()
        pid = self._zygote.fork(str(cwd), list(map(str, arguments)), streams, first)
        return Running(pid, folder, thread)

    def _ended(self, running: Running) -> Ended:
        begun = time.monotonic()
        late = threading.Timer(_SECONDS, os.kill, (running.pid, signal.SIGKILL))
        late.start()
        code = self._zygote.wait(running.pid)
        late.cancel()
        assert time.monotonic() - begun < _SECONDS, f"it did not end: {running.told()[-2000:]}"
        out, err = ((running.folder / name).read_text("utf-8", "replace") for name in ("out", "err"))
        return Ended(code, out, err, False)


@dataclass
class Running:
    """A command that runs: its process, where its streams and the log of its calls are, and who speaks with it.

    ``seen`` is the log, once it has ended.
    """

    pid: int
    folder: Path
    partner: threading.Thread | None
    tracer: subprocess.Popen[str] | None = None
    seen: str = ""

    @property
    def log(self) -> Path:
        """Where strace writes."""
        return self.folder / "log"

    def told(self) -> str:
        """Return what strace wrote so far."""
        return self.log.read_text("utf-8", "replace")


class Stopped:
    """A process that stands still; ``pid`` is None where it ended before it came to its call."""

    def __init__(self, running: Running, stands: bool, ended: Callable[[Running], Ended]) -> None:
        self.pid = running.pid if stands else None
        self.over = False
        self._running = running
        self._ended = ended

    def go_on(self) -> Ended:
        """Let it go on, and return how it ended."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGCONT)
        self.over = True
        return self._ended(self._running)._replace(hit=self.pid is not None)
