"""The real command line in a process that need not start first: forked off one that has everything imported.

A fresh interpreter takes ten times as long as most commands, and a campaign runs thousands. The child that a `Zygote`
forks waits until it is told to go on, so that a tracer can be attached before its first system call. Run as a program
this module is the process that forks; it takes a JSON document per line and answers with a number per line.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
from types import TracebackType
from typing import Any

import casvault
from casvault.files import volume
from tests.support.command import clean_environment

__all__ = ["Zygote", "let_trace"]


class Zygote:
    """A process with casvault imported, from which commands are forked."""

    def __init__(self) -> None:
        environment = clean_environment(
            CASVAULT_THREADS="1", PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1", OPENBLAS_NUM_THREADS="1"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            encoding="utf-8",
        )

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def fork(self, cwd: str, arguments: list[str], streams: list[str], first: str = "") -> int:
        """Make the process of a command, with these files as its streams; return its id. It waits for `go`.

        ``first`` is Python code that it does before anything else.
        """
        return self._ask({"do": "fork", "cwd": cwd, "arguments": arguments, "streams": streams, "first": first})

    def go(self, child: int) -> None:
        """Let a command go on."""
        self._ask({"do": "go", "child": child})

    def wait(self, child: int) -> int:
        """Wait for the end of a command and return its exit code, or the number of its signal below zero."""
        return self._ask({"do": "wait", "child": child})

    def _ask(self, question: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


def _import_everything() -> None:
    for module in pkgutil.walk_packages(casvault.__path__, "casvault."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    # What other programs write just now must not choose what is tested.
    volume._MOST_WAITING = 1 << 62
    gc.collect()
    gc.freeze()


def let_trace() -> None:
    """Let any process of this user trace this one, where the kernel (Yama) else allows it to parents only."""
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1 & (1 << 64) - 1), 0, 0, 0)


def _child(gate: int, ready: int, cwd: str, arguments: list[str], streams: list[str], first: str) -> None:
    """Be the command, once the gate is opened."""
    from casvault.cli.main import run

    for number, (path, flags) in enumerate(zip(streams, (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
        descriptor = os.open(path, flags)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(cwd)
    exec(first, {})
    let_trace()
    os.close(ready)
    os.read(gate, 1)
    os.close(gate)
    code = 1
    try:
        run(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    # What the interpreter does at the end of a program, and with what exit code where it fails.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 120
    os._exit(code)


def _serve() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_everything()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    gates: dict[int, int] = {}
    for line in sys.stdin:
        question = json.loads(line)
        what, answer = question.pop("do"), 0
        if what == "fork":
            reader, gate = os.pipe()
            waiting, ready = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(gate)
                os.close(waiting)
                _child(reader, ready, **question)
            gates[child] = gate
            os.close(reader)
            os.close(ready)
            os.read(waiting, 1)
            os.close(waiting)
            answer = child
        elif what == "go":
            gate = gates.pop(question["child"])
            os.write(gate, b"x")
            os.close(gate)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(question["child"], 0)[1])
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    _serve()
