"""Salvage: whole files to a new folder, never half a model into a model's place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from casvault import api
from casvault.errors import Cancelled, DamageError, NoSpace, UsageError
from casvault.manifest.label import Label
from casvault.progress import Progress
from tests.support.damage import flip, object_files, of_file, path_of
from tests.support.trainer import NAME, make_model, tree


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    """A vault with a snapshot whose encoder is damaged and whose decoder lacks a chunk."""
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace/model", size=60_000)
    vault.snapshot(model.folder / NAME, name="hurt")
    flip(path_of(vault, of_file(vault, "hurt", f"{NAME}_encoder.npy")[0]))
    path_of(vault, of_file(vault, "hurt", f"{NAME}_decoder.npy")[-1]).unlink()
    return vault


MISSING = {f"{NAME}_decoder.npy", f"{NAME}_encoder.npy"}


def test_whole_files_come_back_exactly_and_others_are_named(vault: api.Vault, tmp_path: Path) -> None:
    live = tree(tmp_path / "workspace/model")
    plan = vault.plan_salvage("hurt", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    found = vault.salvage("hurt", tmp_path / "out")
    assert replace(plan, seconds=0.0, dry_run=False) == replace(found, seconds=0.0)
    assert set(found.missing) == MISSING
    assert "is damaged" in found.missing[f"{NAME}_encoder.npy"]
    assert tree(tmp_path / "out") == {name: entry for name, entry in live.items() if name not in MISSING}
    assert set(found.files) == live.keys() - MISSING
    assert tree(tmp_path / "workspace/model") == live


def test_a_whole_snapshot_comes_wholly_and_under_another_name(vault: api.Vault, tmp_path: Path) -> None:
    assert vault.repair().ok
    found = vault.salvage("hurt", tmp_path / "deep" / "out", as_name="other")
    assert (found.model, found.missing) == ("other_SAEHD", {})
    names = {path.name for path in (tmp_path / "deep/out").iterdir()}
    assert names == {path.name.replace("new_", "other_") for path in (tmp_path / "workspace/model").iterdir()}


def test_thinned_files_are_named_as_such(vault: api.Vault, tmp_path: Path) -> None:
    vault.write_label(Label(vault.find("hurt").id, name="hurt", thinned=(f"{NAME}_inter_B.npy",)))
    found = vault.salvage("hurt", tmp_path / "out")
    assert found.missing[f"{NAME}_inter_B.npy"] == "thinned away"


def test_an_empty_folder_may_be_there_but_nothing_in_it(vault: api.Vault, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    vault.salvage("hurt", out)
    before = tree(out)
    with pytest.raises(UsageError, match="is there already"):
        vault.salvage("hurt", out)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UsageError, match="is there already"):
        vault.salvage("hurt", tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is there already"):
        vault.salvage("hurt", tmp_path / "link")
    assert tree(out) == before


@pytest.mark.parametrize("emptied", [False, True])
@pytest.mark.parametrize("where", ["workspace/model", "workspace/model/below", ".casvault", ".casvault/new"])
def test_places_that_it_never_goes_to(vault: api.Vault, tmp_path: Path, where: str, emptied: bool) -> None:
    if emptied:
        for path in (tmp_path / "workspace/model").iterdir():
            path.unlink()
    before = {name: entry for name, entry in tree(tmp_path).items() if not name.startswith(".casvault/tmp")}
    with pytest.raises(UsageError):
        vault.salvage("hurt", tmp_path / where)
    with pytest.raises(UsageError, match="say a new folder with --to"):
        vault.salvage("hurt", None)
    assert {name: e for name, e in tree(tmp_path).items() if not name.startswith(".casvault/tmp")} == before


def test_where_no_file_is_whole_there_is_no_folder(vault: api.Vault, tmp_path: Path) -> None:
    for path in object_files(vault):
        path.unlink()
    with pytest.raises(DamageError, match="no file of 'hurt' is whole"):
        vault.salvage("hurt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_of_folders(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    folder = tmp_path / "run"
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/one.bin").write_bytes(b"one")
    (folder / "a/two.bin").write_bytes(b"two")
    vault.snapshot(folder, name="run")
    path_of(vault, of_file(vault, "run", "a/two.bin")[0]).unlink()
    found = vault.salvage("run", tmp_path / "out")
    assert found.files == ("a/b/one.bin",)
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["one.bin"]


def test_stopped_it_leaves_only_whole_files(vault: api.Vault, tmp_path: Path) -> None:
    class Stops(Progress):
        done = 0

        def advance(self, amount: int) -> None:
            self.done += 1
            if self.done > 3:
                self.cancel()
            super().advance(amount)

    live = tree(tmp_path / "workspace/model")
    with pytest.raises(Cancelled):
        vault.salvage("hurt", tmp_path / "out", progress=Stops())
    assert tree(tmp_path / "out").items() <= live.items()


def test_on_a_full_disk(vault: api.Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("casvault.restore.stage.os.write", full)
    with pytest.raises(NoSpace):
        vault.salvage("hurt", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
