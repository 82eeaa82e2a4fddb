"""Pushing what a watch takes: whatever becomes of the link, snapshots are taken, and arrive once it is well."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from casvault import api
from casvault.demo.model import SampleModel
from casvault.errors import NotFound, UsageError
from casvault.watch import pusher
from tests.support.command import call
from tests.support.disks import fill, tmpfs, why_no_mounts
from tests.support.trainer import make_model
from tests.support.watch_process import WatchProcess
from tests.support.watching import Watched

_PATIENCE = 120.0


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / "gpu" / ".casvault")


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    return make_model(tmp_path / "gpu" / "workspace" / "model", size=40_000)


@pytest.fixture
def home(tmp_path: Path, vault: api.Vault) -> api.Vault:
    vault.add_remote("home", str(tmp_path / "home"))
    return api.init(tmp_path / "home" / ".casvault")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pusher, "_FIRST", 0.2)
    monkeypatch.setattr(pusher, "_FAREWELL", _PATIENCE)


def until(watched: Watched, is_so: Callable[[], bool]) -> None:
    """Look until it is so."""
    end = time.monotonic() + _PATIENCE
    while not is_so():
        assert time.monotonic() < end, watched.events
        watched.look()
        time.sleep(0.02)


def ids(vault: api.Vault) -> list[str]:
    return [head.id for head in vault.snapshots()]


def save(model: SampleModel) -> None:
    model.train(10)
    model.save()


def kinds(watched: Watched, *wanted: str) -> list[str]:
    return [event.kind for event in watched.events if event.kind in wanted]


def test_each_snapshot_arrives_as_it_comes(vault: api.Vault, home: api.Vault, model: SampleModel) -> None:
    watched = Watched(vault, model.folder, push="home")
    until(watched, lambda: len(ids(home)) == 1)
    save(model)
    until(watched, lambda: len(kinds(watched, "pushed")) == 2)
    assert ids(home) == ids(vault)
    assert home.verify(read_data=True).ok
    told = [event for event in watched.events if event.kind == "pushed"]
    assert [event.snapshot for event in told] == ids(vault)
    assert told[0].text.startswith("a snapshot sent to home, ")
    assert kinds(watched, "error") == []


def test_a_link_that_is_down_is_told_once_and_all_is_caught_up(
    vault: api.Vault, home: api.Vault, model: SampleModel, tmp_path: Path
) -> None:
    shutil.move(tmp_path / "home", tmp_path / "away")
    watched = Watched(vault, model.folder, push="home")
    until(watched, lambda: kinds(watched, "error") == ["error"])
    for _ in range(2):
        save(model)
        count = len(ids(vault))
        until(watched, lambda count=count: len(ids(vault)) > count)  # type: ignore[misc]
    tries = watched.watcher._pusher
    assert tries is not None
    until(watched, lambda: tries._pause >= 0.4)
    assert kinds(watched, "error") == ["error"]
    assert "failed and is tried again: there is no vault at" in next(
        e.text for e in watched.events if e.kind == "error"
    )
    shutil.move(tmp_path / "away", tmp_path / "home")
    until(watched, lambda: kinds(watched, "pushed") != [])
    assert ids(home) == ids(vault)
    (pushed,) = [event for event in watched.events if event.kind == "pushed"]
    assert pushed.snapshot == max(ids(vault))
    assert pushed.text.startswith("3 snapshots sent to home, ")


@pytest.mark.skipif(os.name == "nt", reason="needs a shell for a link that hangs")
def test_a_link_that_hangs_holds_nothing_up(
    vault: api.Vault, model: SampleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASVAULT_SSH", "sh -c 'sleep 1000'")
    monkeypatch.setattr(pusher, "_HUNG", 1.0)
    monkeypatch.setattr(pusher, "_FAREWELL", 0.0)
    vault.add_remote("far", "ssh://nowhere/vault")
    watched = Watched(vault, model.folder, push="far")
    until(watched, lambda: bool(kinds(watched, "error")))
    assert "nothing moved" in watched.events[-1].text
    save(model)
    until(watched, lambda: len(ids(vault)) == 2)
    running = watched.watcher._pusher
    assert running is not None
    until(watched, lambda: running._running is not None)
    running.end("model")
    assert kinds(watched, "error") == ["error"]
    assert watched.events[-1].kind == "note"
    assert "`casvault push far`" in watched.events[-1].text
    mine = str(vault.path)
    end = time.monotonic() + _PATIENCE
    while any(mine in " ".join(each.cmdline()) for each in psutil.Process().children(recursive=True) if is_alive(each)):
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.skipif(bool(why_no_mounts()), reason=why_no_mounts())
def test_a_remote_that_is_full_is_told_once_and_is_filled_later(
    vault: api.Vault, model: SampleModel, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    with tmpfs(tmp_path / "disk", 4 << 20) as disk:
        home = api.init(disk / ".casvault")
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(3 << 20))
        more = fill(disk, 64 << 10)
        watched = Watched(vault, model.folder, push=str(disk))
        until(watched, lambda: bool(kinds(watched, "error")))
        save(model)
        until(watched, lambda: len(ids(vault)) == 2)
        ballast.unlink()
        more.unlink()
        until(watched, lambda: bool(kinds(watched, "pushed")))
        assert kinds(watched, "error") == ["error"]
        assert ids(home) == ids(vault)
        assert home.verify(read_data=True).ok


def test_what_was_taken_last_has_some_time_left_when_the_watch_ends(
    vault: api.Vault, home: api.Vault, model: SampleModel
) -> None:
    watched = Watched(vault, model.folder, push="home", poll=0.05)

    def tell(event: object) -> None:
        watched.events.append(event)  # type: ignore[arg-type]
        if getattr(event, "kind", None) == "snapshot":
            watched.watcher.stop()

    watcher = vault.watch(model.folder, push="home", poll=0.05, tell=tell)
    watched.watcher = watcher
    watcher.run()
    assert [event.kind for event in watched.events] == ["started", "snapshot", "pushed", "stopped"]
    assert ids(home) == ids(vault)


def test_a_remote_that_cannot_be(vault: api.Vault, model: SampleModel) -> None:
    with pytest.raises(NotFound):
        vault.watch(model.folder, push="nas").run()
    with pytest.raises(UsageError):
        vault.watch(model.folder, push="ftp://x/y").run()
    with pytest.raises(UsageError, match="1kiB"):
        vault.watch(model.folder, push=str(vault.path), limit_rate=5).run()
    root = vault.home
    assert call(root, "watch", "workspace/model", "--push", "nas").code == 1
    assert call(root, "watch", "workspace/model", "--limit-rate", "1MB").code == 2


@pytest.mark.skipif(os.name == "nt", reason="POSIX only: signals, and a shell's commands")
def test_as_people_run_it(vault: api.Vault, home: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    told = tmp_path / "told"
    hook = f"echo $CASVAULT_EVENT $CASVAULT_SNAPSHOT >> '{told}'"
    words = ("workspace/model", "--push", "home", "--poll", "0.05", "--exec", hook)
    with WatchProcess(vault.home, *words) as watch:
        assert "a snapshot sent to home" in watch.wait_for("pushed")
        code, errors = watch.end(signal.SIGTERM)
    assert (code, errors) == (0, "")
    assert ids(home) == ids(vault)
    lines = told.read_text().splitlines()
    assert [f"pushed {id}" for id in ids(vault)] == [line for line in lines if line.startswith("pushed")]
