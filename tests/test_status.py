"""Status: how a live model stands to its snapshots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from casvault import api
from casvault.demo.model import SampleModel
from casvault.errors import NotFound
from casvault.files.source import FileSource
from tests.support.trainer import NAME, make_model, tree


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    return make_model(tmp_path / "workspace" / "model", size=300_000)


def test_without_a_snapshot(vault: api.Vault, model: SampleModel) -> None:
    found = vault.status(model.folder / NAME)
    assert (found.newest, found.equals, found.ahead, found.iteration) == (None, None, None, 5)
    assert found.size == sum(path.stat().st_size for path in model.paths())


def test_right_after_a_snapshot_and_after_more_training(vault: api.Vault, model: SampleModel) -> None:
    head = vault.snapshot(model.folder / NAME, name="first").head
    found = vault.status(model.folder / NAME)
    assert found.equals is not None
    assert found.equals.id == head.id
    assert found.ahead is None
    model.train(1000)
    model.save()
    found = vault.status(model.folder / NAME)
    assert found.equals is None
    assert found.newest is not None
    assert (found.newest.id, found.ahead, found.iteration) == (head.id, 1000, 1005)


def test_after_a_restore_it_equals_what_was_restored(vault: api.Vault, model: SampleModel) -> None:
    first = vault.snapshot(model.folder / NAME).head
    model.train(2)
    model.save()
    second = vault.snapshot(model.folder / NAME).head
    vault.restore(first.id)
    found = vault.status(model.folder / NAME)
    assert found.equals is not None
    assert found.equals.id == first.id
    assert found.newest is not None
    assert found.newest.id == second.id
    assert found.to_json()["iterations_not_snapshotted"] is None


def test_a_changed_file_is_no_equal(vault: api.Vault, model: SampleModel) -> None:
    vault.snapshot(model.folder / NAME)
    os.utime(model.folder / f"{NAME}_decoder.npy", (1, 1))
    assert vault.status(model.folder / NAME).equals is None


def test_an_automatic_backup_is_not_the_newest(vault: api.Vault, model: SampleModel) -> None:
    first = vault.snapshot(model.folder / NAME).head
    model.train(2)
    model.save()
    vault.restore(first.id)
    newest = vault.status(model.folder / NAME).newest
    assert newest is not None
    assert newest.id == first.id
    assert len(vault.snapshots()) == 2


def test_a_half_saved_model_is_told(vault: api.Vault, model: SampleModel) -> None:
    (model.folder / f"{NAME}_decoder.npy").unlink()
    found = vault.status(model.folder / NAME)
    assert found.incomplete == "decoder.npy is not there"
    assert found.to_json()["incomplete"] == found.incomplete


def test_it_reads_no_tensor_and_changes_nothing(
    vault: api.Vault, model: SampleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.snapshot(model.folder / NAME)
    vault.snapshots()
    sizes = {path.stat().st_size for path in model.paths() if path.name.endswith(".npy")}
    read_at = FileSource.read_at
    read = []

    def noted(source: FileSource, offset: int, length: int) -> bytes:
        if source.size in sizes and source.size > 64 << 10 and length > 1:
            read.append(source.size)
        return read_at(source, offset, length)

    before = tree(tmp_path)
    monkeypatch.setattr(FileSource, "read_at", noted)
    vault.status(model.folder / NAME)
    assert read == []
    assert tree(tmp_path) == before


def test_a_copy_elsewhere_has_no_snapshots_of_its_own(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    vault.snapshot(model.folder / NAME)
    copy = make_model(tmp_path / "copy", size=300_000)
    assert vault.status(copy.folder / NAME).newest is None


def test_a_model_that_is_not_there(vault: api.Vault, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        vault.status(tmp_path / "no_SAEHD")
