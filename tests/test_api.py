"""The Python interface, as its documentation shows it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import casvault
from casvault.errors import AmbiguousError, Locked, NotFound, NoVault, UnsupportedVault, UsageError
from casvault.progress import Progress
from tests.support.command import clean_environment
from tests.support.trainer import NAME, contents, make_model, tree


class Told(Progress):
    """Remembers what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[tuple[str, int | None]] = []
        self.done = 0
        self._lock = threading.Lock()

    def start(self, task: str, total: int | None) -> None:
        self.tasks.append((task, total))
        self.done = 0

    def advance(self, amount: int) -> None:
        super().advance(amount)
        with self._lock:
            self.done += amount


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    wanted = tree(model.folder)
    casvault.init(tmp_path / ".casvault")
    vault = casvault.open(tmp_path / ".casvault")
    taken = vault.snapshot(str(model.folder / NAME), name="before GAN", notes="batch 8, lr 5e-5")
    model.train(3)
    model.save()
    vault.restore(taken.head.id)
    assert tree(model.folder) == wanted
    assert vault.snapshots("new")[0].name == "before GAN"
    with pytest.raises(NotFound):
        vault.snapshots("other")


def test_progress_is_told_of_every_byte(tmp_path: Path) -> None:
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    vault = casvault.init(tmp_path / ".casvault")
    told = Told()
    head = vault.snapshot(model.folder / NAME, progress=told).head
    assert told.tasks == [("storing", head.size)]
    assert told.done == head.size
    told = Told()
    vault.restore("latest", casvault.RestoreOptions(to=tmp_path / "back"), progress=told)
    assert told.tasks[-1] == ("restoring", head.size)
    assert told.done == head.size
    told = Told()
    vault.verify(read_data=True, progress=told)
    assert (
        told.done
        == told.tasks[0][1]
        == head.size
        - head.size
        + sum(path.stat().st_size for path in (tmp_path / ".casvault/objects").rglob("*") if path.is_file())
    )


def test_importing_it_costs_next_to_nothing() -> None:
    code = (
        "import sys, casvault; print(sorted(m for m in sys.modules if m.startswith(('casvault.', 'numpy', 'click'))))"
    )
    out = subprocess.run([sys.executable, "-c", code], env=clean_environment(), capture_output=True, check=True).stdout
    assert out.decode().strip() == "[]"


def test_everything_that_is_offered_is_there() -> None:
    for name in casvault.__all__:
        assert getattr(casvault, name) is not None
    with pytest.raises(AttributeError):
        casvault.nothing  # noqa: B018


def test_opening_what_is_no_vault(tmp_path: Path) -> None:
    with pytest.raises(NoVault):
        casvault.open(tmp_path)
    casvault.init(tmp_path / "v")
    config = (tmp_path / "v" / "vault.json").read_text()
    (tmp_path / "v" / "vault.json").write_text(config.replace('"format": 1', '"format": 2'))
    with pytest.raises(UnsupportedVault, match="newer"):
        casvault.open(tmp_path / "v")


def test_init_twice_changes_nothing(tmp_path: Path) -> None:
    casvault.init(tmp_path / "v")
    before = tree(tmp_path)
    casvault.init(tmp_path / "v")
    assert tree(tmp_path) == before


def test_a_vault_in_a_model_folder_or_a_workspace_is_refused(tmp_path: Path) -> None:
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    loose = make_model(tmp_path / "models", "loose_SAEHD", 60_000)
    for place in (model.folder / ".casvault", tmp_path / "workspace" / ".casvault", loose.folder / "v", loose.folder):
        before = contents(tmp_path)
        with pytest.raises(UsageError):
            casvault.init(place)
        assert contents(tmp_path) == before


def test_snapshots_are_found_by_what_people_type(tmp_path: Path) -> None:
    vault = casvault.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    heads = []
    for name in ("one", "two"):
        heads.append(vault.snapshot(model.folder / NAME, name=name).head)
        model.train(5)
        model.save()
    first, second = heads
    for typed in (first.id, first.id[:-2], first.id[-6:], "one", "latest~1", "new@latest~1", f"{NAME}@5", "new@5"):
        assert vault.find(typed).id == first.id
    assert vault.find("latest").id == second.id
    assert vault.find(f"{NAME}@latest").id == second.id
    for typed in ("three", "latest~2", "new@7", "other@latest", "", "@", "ffffff"):
        with pytest.raises(NotFound):
            vault.find(typed)
    vault.snapshot(model.folder / NAME, name="one")
    with pytest.raises(AmbiguousError, match=first.id):
        vault.find("one")


def test_latest_wants_to_know_of_which_model(tmp_path: Path) -> None:
    vault = casvault.init(tmp_path / ".casvault")
    for name in ("a_SAEHD", "b_SAEHD"):
        model = make_model(tmp_path / "workspace" / "model", name, 60_000)
        vault.snapshot(model.folder / name)
    with pytest.raises(AmbiguousError, match="a_SAEHD"):
        vault.find("latest")
    assert vault.find("b@latest").model_name == "b_SAEHD"


def test_models_are_found_by_what_people_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = casvault.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    monkeypatch.chdir(tmp_path)
    typed: list[str | Path] = [
        model.folder, model.folder / NAME, model.folder / "new", model.folder / f"{NAME}_decoder.npy",
        "workspace/model/new_SAEHD",
    ]  # fmt: skip
    for one in typed:
        (found,) = vault.models(one)
        assert (found.name, found.folder) == (NAME, model.folder)
    with pytest.raises(NotFound):
        vault.models(NAME)
    vault.snapshot(model.folder)
    monkeypatch.chdir(os.path.dirname(sys.executable))
    for one in (NAME, "new"):
        assert [found.folder for found in vault.models(one)] == [model.folder]
    assert [found.name for found in vault.live_models()] == [NAME]


def test_a_snapshot_waits_for_no_other_model(tmp_path: Path) -> None:
    vault = casvault.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    with vault.locks.shared("another"), vault.locks.model("some other", "restore"):
        vault.snapshot(model.folder)


def test_a_vault_that_is_held_alone_names_the_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.files.locks.SHARED_WAIT", 0.1)
    vault = casvault.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    with vault.locks.alone("gc"), pytest.raises(Locked, match="`gc`") as caught:
        vault.snapshot(model.folder)
    assert str(os.getpid()) in str(caught.value)
    vault.snapshot(model.folder)
