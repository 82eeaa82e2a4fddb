"""The desk: which vault and which models the panel knows; a key is the only name that a browser has for a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from casvault import api
from casvault.demo.model import SampleModel
from casvault.errors import NotFound, NoVault
from casvault.panel.desk import desk_for, key_of


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    made = SampleModel(tmp_path / "workspace" / "model", size=20_000)
    made.save()
    return made


def test_without_a_vault_it_knows_where_one_belongs_and_what_lies_near_by(tmp_path: Path, model: SampleModel) -> None:
    desk = desk_for(None, tmp_path)
    assert (desk.path, desk.has_vault) == (tmp_path / ".casvault", False)
    assert [found.name for found in desk.models().values()] == ["demo_SAEHD"]
    with pytest.raises(NoVault):
        desk.vault.snapshots()
    desk.make_vault()
    assert desk.has_vault
    assert (tmp_path / ".casvault" / "vault.json").is_file()


def test_a_vault_that_is_made_by_somebody_else_is_found(tmp_path: Path, model: SampleModel) -> None:
    desk = desk_for(None, tmp_path / "workspace")
    assert not desk.has_vault
    api.init(tmp_path / ".casvault")
    assert desk.has_vault


def test_a_key_stands_for_a_model_and_nothing_else_does(tmp_path: Path, model: SampleModel) -> None:
    taken = api.init(tmp_path / ".casvault").snapshot(model.folder)
    desk = desk_for(None, tmp_path)
    (key,) = desk.models()
    assert desk.model(key).folder == model.folder
    assert desk.key_of_head(taken.head) == key
    for other in ("", key[:-1], key.upper() + "0", str(model.folder), f"{model.folder}/demo_SAEHD", "../" + key):
        with pytest.raises(NotFound):
            desk.model(other)


def test_the_model_that_was_named_comes_first(tmp_path: Path, model: SampleModel) -> None:
    api.init(tmp_path / ".casvault").snapshot(model.folder)
    other = SampleModel(tmp_path / "workspace" / "model", "other_SAEHD", size=20_000)
    other.save()
    elsewhere = tmp_path / "runs"
    elsewhere.mkdir()
    (elsewhere / "weights.bin").write_bytes(bytes(1000))
    for typed, name in ((model.folder / "other_SAEHD", "other_SAEHD"), (elsewhere, "runs"), ("demo_SAEHD",) * 2):
        first, *rest = desk_for(None, tmp_path, str(typed)).models().values()
        assert (first.name, "demo_SAEHD" in {first.name, *(one.name for one in rest)}) == (name, True)
    with pytest.raises(NotFound, match="there is no model 'nothing'"):
        desk_for(None, tmp_path, str(model.folder / "nothing"))


def test_a_generic_model_has_one_key_whatever_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes(1000))
    taken = api.init(tmp_path / ".casvault").snapshot(folder, model_name="voice")
    desk = desk_for(None, tmp_path, str(folder))
    assert [key_of(found) for found in desk.models().values()] == [desk.key_of_head(taken.head)]


def test_what_is_counted_is_counted_anew_only_after_a_change(
    tmp_path: Path, model: SampleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = api.init(tmp_path / ".casvault")
    vault.snapshot(model.folder, name="one")
    desk = desk_for(None, tmp_path)
    counted, usage = list[int](), api.Vault.usage

    def count(self: api.Vault) -> api.Usage:
        counted.append(1)
        return usage(self)

    monkeypatch.setattr(api.Vault, "usage", count)
    first = desk.usage()
    assert desk.usage() is first
    vault.edit("one", notes="changed by somebody else")
    assert desk.usage().snapshots[0].head.label.notes == "changed by somebody else"
    assert len(counted) == 2
