"""The command line for tests: in this process, or as a process of its own with a clean environment."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import casvault
from casvault.cli.main import _run

__all__ = ["Outcome", "call", "clean_environment", "spawn"]

_ROOT = Path(casvault.__file__).parents[1]


class Outcome(NamedTuple):
    """What a command ended with, and what it wrote."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """Return stdout as the one document that it must be."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


def clean_environment(**more: str) -> dict[str, str]:
    """Return the environment without anything that steers casvault, and with this casvault on Python's path."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CASVAULT_")}
    return {**kept, "PYTHONPATH": str(_ROOT), "PYTHONIOENCODING": "utf-8", **more}


def call(cwd: Path, *arguments: str | Path) -> Outcome:
    """Run the command line in this process, in the folder ``cwd``, without a terminal."""
    out, err = io.StringIO(), io.StringIO()
    before = Path.cwd()
    with (
        mock.patch.dict(os.environ, clean_environment(), clear=True),
        mock.patch.object(sys, "stdin", io.StringIO("")),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        os.chdir(cwd)
        try:
            code = _run([str(argument) for argument in arguments])
        finally:
            os.chdir(before)
    return Outcome(code, out.getvalue(), err.getvalue())


def spawn(cwd: Path, *arguments: str | Path, program: str | None = None, **environment: str) -> Outcome:
    """Run the command line, or a ``program`` that runs it, as a process in the folder ``cwd``; wait for its end."""
    start = ["-m", "casvault"] if program is None else ["-c", program]
    done = subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        cwd=cwd,
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
