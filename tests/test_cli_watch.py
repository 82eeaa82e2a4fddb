"""``casvault watch`` as people run it: a process beside a trainer, its lines, its signals, and its end."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from casvault import RestoreOptions, api
from casvault.demo.model import SampleModel
from casvault.errors import CasvaultError
from casvault.watch import Watcher
from tests.support.command import call, spawn
from tests.support.live_trainer import NAME, LiveTrainer, numbers_in
from tests.support.trainer import make_model
from tests.support.watch_process import WatchProcess

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX only: signals, and a shell's commands")
_ROLES = {"summary.txt", "encoder.npy", "inter_AB.npy", "inter_B.npy", "decoder.npy", "src_dst_opt.npy", "data.dat"}
_QUICK = ("--poll", "0.05")


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    return make_model(tmp_path / "workspace" / "model", size=60_000)


def save(model: SampleModel) -> None:
    model.train(10)
    model.save()


def scheduled(vault: api.Vault) -> list[int | None]:
    return [head.iteration for head in vault.snapshots() if head.kind == "scheduled"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_lines_hook_priority_and_the_end(tmp_path: Path, vault: api.Vault, model: SampleModel, number: int) -> None:
    hook = "echo said $CASVAULT_EVENT $CASVAULT_SNAPSHOT; exit 3"
    with WatchProcess(tmp_path, "workspace/model", *_QUICK, "--exec", hook) as watch:
        watch.wait_for("snapshot")
        assert psutil.Process(watch.process.pid).nice() >= 15
        save(model)
        line = watch.wait_for("snapshot")
        code, told = watch.end(number)
    assert code == 0
    first, second = vault.snapshots()
    assert f"snapshot: {model.name}: iteration 15, " in line
    assert line.endswith(f"({second.id})")
    assert sorted(told.split("\n")) == ["", f"said snapshot {first.id}", f"said snapshot {second.id}"]
    kinds = [line.split()[1] for line in watch.lines]
    assert kinds.count("error:") == 1, "it fails each time, which is told once"
    assert [kind for kind in kinds if kind != "error:"] == ["started:", "snapshot:", "snapshot:", "stopped:"]


def test_documents(tmp_path: Path, vault: api.Vault, model: SampleModel) -> None:
    options = ("--json", "--keep-last", "1", "--keep-hourly", "0", "--keep-daily", "0", "--keep-best", "0")
    with WatchProcess(tmp_path, "workspace/model", *_QUICK, *options, "--exec", "echo no document") as watch:
        watch.wait_for("snapshot")
        save(model)
        watch.wait_for("pruned")
        assert watch.end()[0] == 0
    documents = watch.documents()
    assert [document["event"] for document in documents] == ["started", "snapshot", "snapshot", "pruned", "stopped"]
    assert all(document.keys() == {"version", "event", "time", "model", "snapshot", "text"} for document in documents)
    (head,) = vault.snapshots()
    assert documents[2]["snapshot"] == head.id
    assert documents[3]["text"] == "1 snapshot deleted by rule, 1 kept"


def test_quiet_it_tells_only_what_is_wrong(tmp_path: Path, vault: api.Vault, model: SampleModel) -> None:
    (model.folder / f"{model.name}_data.dat").write_bytes(b"\x80 nothing")
    with WatchProcess(tmp_path, "workspace/model", *_QUICK, "-q", "--keep-all") as watch:
        watch.wait_for("unhealthy")
        assert watch.end()[0] == 0
    assert len(watch.lines) == 1
    assert "data.dat cannot be read" in watch.lines[0]
    assert len(vault.snapshots()) == 1


def test_killed_and_started_again_it_goes_on(tmp_path: Path, vault: api.Vault, model: SampleModel) -> None:
    for _ in range(3):
        with WatchProcess(tmp_path, "workspace/model", *_QUICK) as watch:
            watch.wait_for("snapshot")
            save(model)
            watch.wait_for("snapshot")
            assert watch.end(signal.SIGKILL)[0] == -signal.SIGKILL
        save(model)
    assert scheduled(vault) == [5, 15, 25, 35, 45, 55]
    assert spawn(tmp_path, "verify", "--read-data").code == 0


def test_a_signal_in_the_middle_of_a_snapshot(tmp_path: Path, vault: api.Vault) -> None:
    model = SampleModel(tmp_path / "workspace" / "model", size=40_000_000)
    model.save()
    chances = random.Random(1)
    for _ in range(4):
        with WatchProcess(tmp_path, "workspace/model", *_QUICK) as watch:
            watch.wait_for("started")
            time.sleep(chances.uniform(0.0, 0.4))
            code, told = watch.end()
        assert (code, told) == (0, "")
        assert watch.lines[-1].split()[1] == "stopped:"
        assert len(vault.snapshots()) == sum(" snapshot: " in line for line in watch.lines)
        for head in vault.snapshots():
            vault.delete(head.id)
        assert vault.verify(read_data=True).ok


def test_what_it_refuses_and_asks(tmp_path: Path, vault: api.Vault) -> None:
    make_model(tmp_path / "workspace" / "model", size=30_000)
    two = make_model(tmp_path / "workspace" / "model", "other_SAEHD", size=30_000)
    several = call(tmp_path, "watch", two.folder)
    assert (several.code, several.out) == (2, "")
    assert "holds several models" in several.err
    large = call(tmp_path, "watch", "workspace")
    assert (large.code, large.out) == (2, "")
    assert "has models deeper down" in large.err
    assert "-y says yes" in large.err
    assert call(tmp_path, "--vault", tmp_path / "none", "watch", two.folder).code == 10
    assert vault.snapshots() == []


def test_its_options_reach_it(tmp_path: Path, vault: api.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def run(watcher: Watcher) -> None:
        made.append(watcher)

    monkeypatch.setattr("casvault.watch.Watcher.run", run)
    monkeypatch.setattr("casvault.watch.priority.lower_priority", lambda: None)
    handlers = signal.getsignal(signal.SIGTERM)
    given = ("--every", "2", "--iterations", "500", "--minutes", "1.5", "--poll", "7", "--model", "voice")
    keep = ("--keep-last", "1", "--keep-hourly", "2", "--keep-daily", "3", "--keep-best", "4")
    assert call(tmp_path, "watch", "runs", *given, *keep).code == 0
    assert call(tmp_path, "watch", "runs", "--keep-all").code == 0
    assert call(tmp_path, "watch", "runs").code == 0
    first, second, third = made
    assert (first.place, first.name, first.poll) == ("runs", "voice", 7)
    assert (first.rhythm.saves, first.rhythm.iterations, first.rhythm.minutes) == (2, 500, 1.5)
    assert (first.rules.last, first.rules.hourly, first.rules.daily, first.rules.best) == (1, 2, 3, 4)
    assert second.rules is None
    assert (third.rules.last, third.rules.hourly, third.rules.daily, third.rules.best) == (6, 24, 14, 3)
    assert (third.rhythm.takes_all, third.poll, third.hook) == (True, 5.0, None)
    assert signal.getsignal(signal.SIGTERM) == handlers


@pytest.mark.slow
def test_a_minute_beside_a_trainer_that_dies_with_a_watch_that_is_killed(tmp_path: Path, vault: api.Vault) -> None:
    """Saves every 300 ms, with gc and restores beside it; whatever meets whatever, all is whole."""
    seed = os.environ.get("CASVAULT_TEST_SEED", str(random.randrange(10**6)))
    print(f"seed {seed}")
    chances = random.Random(seed)
    folder = tmp_path / "workspace" / "model"
    keep = ("--keep-last", "4", "--keep-hourly", "0", "--keep-daily", "0", "--keep-best", "0")
    arguments = (folder, "--poll", "0.1", "--json", *keep)
    counts = {"kills": 0, "restores": 0, "gcs": 0, "lines": 0, "snapshots": 0}
    end = time.monotonic() + 60
    with LiveTrainer(folder, seed, 0.3) as trainer:
        trainer.wait_for_a_save()
        while time.monotonic() < end:
            with WatchProcess(tmp_path, *arguments) as watch:
                until = time.monotonic() + chances.uniform(1, 8)
                while time.monotonic() < until:
                    _meddle(vault, folder, chances, counts)
                if chances.random() < 0.5:
                    counts["kills"] += 1
                    watch.end(signal.SIGKILL)
                else:
                    assert watch.end() == (0, "")
                    assert watch.documents()[-1]["event"] == "stopped"
                told = [document["event"] for document in watch.documents()]
            counts["lines"] += len(told)
            counts["snapshots"] += told.count("snapshot")
            assert not any(" is a bug in " in line for line in watch.lines), watch.lines
    print(trainer.lives, counts)
    assert trainer.failures == []
    assert counts["kills"] > 0
    assert counts["snapshots"] > 20
    _one_quiet_watch(tmp_path, arguments, vault)
    assert vault.verify(read_data=True).ok
    _all_are_whole(tmp_path, vault)


def _meddle(vault: api.Vault, folder: Path, chances: random.Random, counts: dict[str, int]) -> None:
    """Collect, or restore beside the model, or over it, where that is possible."""
    time.sleep(0.2)
    try:
        chosen = chances.random()
        if chosen < 0.2:
            vault.gc()
            counts["gcs"] += 1
        elif chosen < 0.4:
            heads = vault.snapshots()
            to = folder.parent / "beside"
            vault.restore(chances.choice(heads).id, RestoreOptions(to=to, backup=False))
            files = {path.name.removeprefix(f"{NAME}_"): path.read_bytes() for path in to.iterdir()}
            assert files.keys() == _ROLES
            assert len(numbers_in(files)) == 1
            counts["restores"] += 1
    except (CasvaultError, IndexError):
        # It was deleted by rule meanwhile, or there is none yet.
        return


def _one_quiet_watch(cwd: Path, arguments: tuple[Any, ...], vault: api.Vault) -> None:
    """Let a watch see to it that the rules are kept, where the one before was killed before it could."""
    model = SampleModel(Path(arguments[0]), NAME, size=60_000)
    model.iteration = 10**6
    with WatchProcess(cwd, *arguments) as watch:
        # What lies there may be the wreck of a save: this one is whole.
        watch.wait_for("started")
        save(model)
        watch.wait_for("snapshot")
        assert watch.end()[0] == 0
    runs = [head.document["run"] for head in vault.snapshots() if head.kind == "scheduled"]
    assert all(runs.count(run) <= 4 for run in set(runs)), runs


def _all_are_whole(tmp_path: Path, vault: api.Vault) -> None:
    heads = [head for head in vault.snapshots() if head.iteration is not None and head.iteration < 10**6]
    assert heads
    for number, head in enumerate(heads):
        to = tmp_path / f"back{number}"
        vault.restore(head.id, RestoreOptions(to=to))
        files = {path.name.removeprefix(f"{NAME}_"): path.read_bytes() for path in to.iterdir()}
        assert not head.incomplete
        assert files.keys() == _ROLES
        assert len(numbers_in(files)) == 1
