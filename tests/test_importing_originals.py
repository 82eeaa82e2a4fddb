"""Originals go only once everything in their folder was read back out of the vault."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from casvault import api
from casvault.demo.model import SampleModel
from casvault.importing import ImportResult, originals
from casvault.manifest.label import Label
from casvault.restore import RestoreOptions
from tests.support.backups import back_up, copy_to, folder_of
from tests.support.pictures import jpeg, put
from tests.support.trainer import NAME, contents, make_model, tree


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    return make_model(tmp_path / "workspace" / "model", size=60_000)


@pytest.fixture
def copy(model: SampleModel) -> Path:
    """A backup with its picture."""
    return back_up(model, jpeg())


def remove(vault: api.Vault, folder: Path) -> ImportResult:
    return vault.import_copies(folder, delete_originals=True)


def test_what_was_imported_goes_and_can_be_restored(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    saves = []
    for number in range(3):
        model.train(2)
        model.save()
        back_up(model, jpeg(number))
        saves.append(contents(folder_of(model) / "01", NAME))
    result = remove(vault, model.folder)
    assert [path.name for path in result.removed] == ["03", "02", "01"]
    assert result.kept == {}
    assert list(folder_of(model).iterdir()) == []
    for number, head in enumerate(vault.snapshots()):
        vault.restore(head.id, RestoreOptions(to=tmp_path / f"back {number}"))
        assert contents(tmp_path / f"back {number}") == saves[number]
        assert vault.preview(head.id) == jpeg(number)


def test_what_was_imported_before_goes_too(vault: api.Vault, copy: Path, model: SampleModel) -> None:
    vault.import_copies(model.folder)
    result = remove(vault, model.folder)
    assert (result.imported, result.removed) == ([], [copy])
    assert not copy.exists()


def test_without_the_option_nothing_goes(vault: api.Vault, copy: Path) -> None:
    before = tree(copy)
    vault.import_copies(copy)
    assert tree(copy) == before


def _strange(name: str) -> Callable[[Path], object]:
    return lambda folder: put(folder / name, b"mine")


@pytest.mark.parametrize(
    "change",
    [
        _strange("notes.txt"),
        _strange(".casvault_x"),
        _strange(".hidden"),
        _strange("preview_not a picture.jpg"),
        _strange("results/1.png"),
        _strange(f"{NAME}_model.dfm"),
        _strange(f"{NAME}_encoder.npy.bak"),
        _strange("metadata.json"),
        lambda folder: (folder / "more").mkdir(),
    ],
)
def test_a_folder_with_something_else_stays_whole(
    vault: api.Vault, copy: Path, change: Callable[[Path], object]
) -> None:
    change(copy)
    before = tree(copy)
    result = remove(vault, copy)
    assert len(result.imported) == 1
    assert "in no snapshot" in result.kept[copy]
    assert result.removed == []
    assert tree(copy) == before


def test_notes_go_only_where_all_of_them_were_taken(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    for name, more in (("a", b""), ("b", b', "author": "x"')):
        put(
            copy_to(model, tmp_path / "old" / name) / "version.json", b'{"name": "' + name.encode() + b'"' + more + b"}"
        )
    result = remove(vault, tmp_path / "old")
    assert [path.name for path in result.removed] == ["a"]
    assert "version.json is in there too" in result.kept[tmp_path / "old" / "b"]
    put(copy_to(model, tmp_path / "more" / "c") / "version.json", b'{"name": "c"}')
    vault.import_copies(tmp_path / "more")
    put(tmp_path / "more" / "c" / "version.json", b'{"name": "another"}')
    assert remove(vault, tmp_path / "more").removed == []


def test_a_damaged_object_keeps_the_original(vault: api.Vault, copy: Path, tmp_path: Path) -> None:
    taken = vault.import_copies(copy)
    chunk = vault.show(taken.imported[0][1].id).files[0].chunks[0]
    path = tmp_path / ".casvault/objects" / chunk.digest[:3] / chunk.digest
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    before = tree(copy)
    result = remove(vault, copy)
    assert result.removed == []
    assert "damaged" in result.kept[copy]
    assert tree(copy) == before


def test_a_lost_picture_keeps_the_original(vault: api.Vault, copy: Path, tmp_path: Path) -> None:
    taken = vault.import_copies(copy)
    preview = vault.show(taken.imported[0][1].id).preview
    assert preview is not None
    (tmp_path / ".casvault/objects" / preview.digest[:3] / preview.digest).unlink()
    assert remove(vault, copy).removed == []
    assert (copy / "preview_SAEHD.jpg").read_bytes() == jpeg()


@pytest.mark.parametrize("mark", ["thinned", "deleted"])
def test_a_snapshot_that_drops_something_is_no_proof(
    vault: api.Vault, copy: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = originals._verified

    def dropped(vault: api.Vault, candidate: object, id: str, progress: object) -> object:
        vault.write_label(
            Label(id, thinned=(f"{NAME}_src_dst_opt.npy",) if mark == "thinned" else (), deleted=mark == "deleted")
        )
        return verified(vault, candidate, id, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(originals, "_verified", dropped)
    result = remove(vault, copy)
    assert "does not keep all of it" in result.kept[copy]
    assert copy.is_dir()


def test_a_file_that_changes_after_the_import_stays(
    vault: api.Vault, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = originals.remove_original

    def changed(vault: api.Vault, folder: Path, snapshots: object, progress: object) -> None:
        path = folder / f"{NAME}_encoder.npy"
        data = bytearray(path.read_bytes())
        data[100] ^= 1
        path.write_bytes(data)
        removed(vault, folder, snapshots, progress)  # type: ignore[arg-type]

    monkeypatch.setattr("casvault.importing.run.remove_original", changed)
    result = remove(vault, copy)
    assert "encoder.npy is not what was imported any more" in result.kept[copy]
    assert len(list(copy.iterdir())) == 8


def test_a_backup_that_moves_on_while_it_is_verified_stays(
    vault: api.Vault, model: SampleModel, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = originals._beside

    def shifted(*arguments: object) -> object:
        found = beside(*arguments)  # type: ignore[arg-type]
        model.train(1)
        model.save()
        back_up(model, jpeg(7))
        return found

    monkeypatch.setattr(originals, "_beside", shifted)
    result = remove(vault, copy)
    assert "changed while it was verified" in result.kept[copy]
    assert len(list((folder_of(model) / "01").iterdir())) == len(list((folder_of(model) / "02").iterdir())) == 8


def test_a_folder_of_which_one_model_is_broken_stays(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    copied = copy_to(model, tmp_path / "old" / "a")
    other = make_model(tmp_path / "other", "other_SAEHD", 60_000, 2)
    for path in other.paths()[1:]:
        path.rename(copied / path.name)
    before = tree(copied)
    result = remove(vault, tmp_path / "old")
    assert len(result.imported) == 1
    assert result.kept == {copied: "it could not be imported."}
    assert tree(copied) == before


def test_two_models_in_one_folder_go_together(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    copied = copy_to(model, tmp_path / "old" / "a")
    for path in make_model(tmp_path / "other", "other_SAEHD", 60_000, 2).paths():
        path.rename(copied / path.name)
    result = remove(vault, tmp_path / "old")
    assert (len(result.imported), result.removed) == (2, [copied])
    assert not copied.exists()


def test_a_folder_that_may_not_be_changed(vault: api.Vault, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("casvault.importing.originals.os.unlink", refuse)
    before = tree(copy)
    assert "cannot be removed" in remove(vault, copy).kept[copy]
    assert tree(copy) == before
