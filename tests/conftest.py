"""Keeps the files of the quick tests in memory, lets no process compile what another one did, and shows the figures of
the campaigns at the end of a run, from whichever process they come.

Most tests do little but wait for a disk, which flushes for the sake of power cuts that no test here has: those have a
disk of their own. ``--basetemp FOLDER`` puts the files elsewhere.
"""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import stores
from tests.support.soak import FIGURES, in_memory, summary

if TYPE_CHECKING:
    from tests.support.browser import Browsing

# How long an example takes says something of the machine, and of what else runs on it.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Without bytecode each process that a test starts compiles casvault anew, which is most of what it would do, and each
# worker all tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_ROOM = 2 << 30
_TESTS = Path(__file__).parent
_MADE: list[str] = []


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stores.Store]:
    """A server that answers as S3 does, one for all tests of a process."""
    with stores.moto(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stores.Store]:
    """A real object store, one for all tests of a process."""
    from tests.support.swift import swift

    with swift(tmp_path_factory.mktemp("swift")) as running:
        yield running


@pytest.fixture
def s3(moto: stores.Store, monkeypatch: pytest.MonkeyPatch) -> stores.Store:
    """The server, with what a user has in the environment to reach it."""
    for key, value in moto.environment.items():
        monkeypatch.setenv(key, value)
    return moto


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.option.basetemp or config.option.markexpr != "not slow":
        return
    memory = in_memory(_ROOM)
    if memory is not None:
        config.option.basetemp = tempfile.mkdtemp(prefix="casvault-tests-", dir=memory)
        _MADE.append(config.option.basetemp)


def pytest_unconfigure(config: pytest.Config) -> None:
    for folder in _MADE:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected lasts until the end: let nobody look for garbage in it, and no forked child write to it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Where all tests are collected by several processes, let each begin with other ones: it compiles those for all."""
    told: dict[str, Any] | None = getattr(collector.config, "workerinput", None)
    if (
        told is None
        or not isinstance(collector, pytest.Session)
        or list(map(os.path.abspath, collector.config.args)) != [str(_TESTS)]
    ):
        return
    names = sorted(path.relative_to(_TESTS.parent).with_suffix("") for path in _TESTS.rglob("test_*.py"))
    for name in names[int(told["workerid"].removeprefix("gw")) :: told["workercount"]]:
        # What cannot be imported says so when it is collected.
        with suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(name.parts))


@pytest.fixture(scope="module")
def browsing() -> Iterator[Browsing]:
    """One browser for all tests of a module; longer than that its event loop would be in the way of others."""
    from tests.support.browser import Browsing

    with Browsing.begun() as begun:
        yield begun


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one process more than there are cores: tests wait for processes, servers and browsers for a third of it."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    told: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["figures"] = FIGURES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    FIGURES.extend(getattr(node, "workeroutput", {}).get("figures", []))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in summary(FIGURES):
        terminalreporter.write_line(line)
