"""Which folders hold copies, whose they are, and where those models are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from casvault import api
from casvault.demo.model import SampleModel
from casvault.errors import NotFound, UsageError
from casvault.importing.copies import Found, find_copies
from tests.support.backups import back_up, copy_to, folder_of
from tests.support.trainer import NAME, make_model


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    return make_model(tmp_path / "workspace" / "model", size=60_000)


def folders(found: Found, under: Path) -> list[str]:
    return [copy.folder.relative_to(under).as_posix() for copy in found.copies]


def test_backups_by_whichever_folder_is_named(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    for _ in range(3):
        back_up(model)
    (folder_of(model) / "04").mkdir()
    (folder_of(model) / "notes").mkdir()
    for named in (tmp_path / "workspace", model.folder, folder_of(model)):
        found = find_copies(vault, named)
        assert folders(found, folder_of(model)) == ["03", "02", "01"]
        assert found.empty == [folder_of(model) / "04"]
        assert {(copy.name, copy.home) for copy in found.copies} == {(NAME, model.folder)}
    found = find_copies(vault, folder_of(model) / "02")
    assert folders(found, folder_of(model)) == ["02"]
    assert found.copies[0].home == model.folder


def test_backups_of_several_models_and_of_a_renamed_one(vault: api.Vault, model: SampleModel) -> None:
    other = make_model(model.folder, "other_SAEHD", 60_000, 2)
    back_up(model)
    back_up(other)
    folder_of(other).rename(model.folder / "renamed_SAEHD_autobackups")
    copies = find_copies(vault, model.folder).copies
    assert [(copy.model.name, copy.name) for copy in copies] == [(NAME, NAME), ("other_SAEHD", "renamed_SAEHD")]


def test_folders_of_copies(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    for name in ("backup_2024-01-03", "model - Copy", "v001", "by date/monday", ".hidden"):
        copy_to(model, tmp_path / "old" / name)
    (tmp_path / "old" / "data_src").mkdir()
    (tmp_path / "old" / "data_src" / "1.jpg").write_bytes(b"")
    found = find_copies(vault, tmp_path / "old")
    assert folders(found, tmp_path / "old") == ["backup_2024-01-03", "by date/monday", "model - Copy", "v001"]
    assert {copy.home for copy in found.copies} == {tmp_path / "workspace" / "model"}
    assert {copy.number for copy in found.copies} == {None}


def test_where_the_model_is(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    copy_to(model, tmp_path / "old" / "v1")

    def home(folder: Path = tmp_path / "old", source: Path | None = None) -> Path:
        return find_copies(vault, folder, source).copies[0].home

    assert home(source=tmp_path / "given") == tmp_path / "given"
    vault.snapshot(copy_to(model, tmp_path / "models"))
    assert home() == tmp_path / "models"
    vault.snapshot(tmp_path / "old" / "v1")
    assert home() == tmp_path / "models", "a copy is not the place of its model"
    copy_to(model, tmp_path / "old here" / "v1")
    for path in model.paths():
        path.rename(tmp_path / "old here" / path.name)
    assert home(tmp_path / "old here") == tmp_path / "old here"


def test_where_nothing_tells_it(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "elsewhere", size=60_000)
    copy_to(model, tmp_path / "old" / "v1")
    assert find_copies(vault, tmp_path / "old").copies[0].home == tmp_path / "old"
    (tmp_path / "workspace").mkdir()
    assert find_copies(vault, tmp_path / "old").copies[0].home == tmp_path / "workspace" / "model"


def test_a_model_in_its_own_place_is_no_copy(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="snapshot"):
        find_copies(vault, model.folder)
    elsewhere = make_model(tmp_path / "models", "other_SAEHD", 60_000)
    assert folders(find_copies(vault, elsewhere.folder), tmp_path) == ["models"]
    vault.snapshot(elsewhere.folder)
    with pytest.raises(UsageError, match="snapshot"):
        find_copies(vault, elsewhere.folder)
    copy_to(model, tmp_path / "workspace" / "v1")
    assert folders(find_copies(vault, tmp_path / "workspace"), tmp_path / "workspace") == ["v1"]


def test_where_there_is_nothing(vault: api.Vault, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for named in ("empty", "nothing", ".casvault/vault.json"):
        with pytest.raises(NotFound):
            find_copies(vault, tmp_path / named)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
def test_a_copy_with_a_link_is_told_and_hinders_no_other(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    for name in ("v1", "v2"):
        copy_to(model, tmp_path / "old" / name)
    path = tmp_path / "old" / "v1" / f"{NAME}_encoder.npy"
    path.unlink()
    path.symlink_to(model.folder / path.name)
    found = find_copies(vault, tmp_path / "old")
    assert folders(found, tmp_path / "old") == ["v2"]
    assert "symbolic link" in found.unreadable[tmp_path / "old" / "v1"]
