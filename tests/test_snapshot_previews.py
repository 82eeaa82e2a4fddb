"""The picture of a snapshot: which one it is, what it costs, and that it never stands in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from casvault import api
from casvault.capture import Patience
from casvault.demo.model import SampleModel
from casvault.errors import NoSpace
from casvault.files.identity import FileIdentity
from casvault.formats import sheet
from casvault.manifest.manifest import Preview
from casvault.restore import RestoreOptions
from casvault.snapshot.ingest import Ingest
from tests.support.command import clean_environment
from tests.support.pictures import JPEG, add_faces, jpeg, pixels_of, put
from tests.support.trainer import NAME, make_model, tree

AT_ONCE = Patience(0.0)


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    model = add_faces(make_model(tmp_path / "workspace" / "model"))
    model.save()
    return model


def preview_of(vault: api.Vault, reference: str) -> Preview:
    preview = vault.show(reference).preview
    assert preview is not None
    return preview


def objects(vault: api.Vault) -> int:
    return len(list(vault.objects.every()))


def test_the_trainers_picture(vault: api.Vault, model: SampleModel) -> None:
    put(model.folder / f"{NAME}_preview_SAEHD.jpg")
    taken = vault.snapshot(model.folder)
    assert vault.preview(taken.id) == JPEG
    assert preview_of(vault, taken.id) == Preview(
        preview_of(vault, taken.id).digest, len(JPEG), "image/jpeg", "trainer"
    )
    assert taken.warnings == ()
    assert all("preview" not in file.path for file in vault.show(taken.id).files)


def test_the_history_where_there_is_no_other(vault: api.Vault, model: SampleModel) -> None:
    put(model.folder / f"{NAME}_history/SAEHD/_last.jpg", jpeg(5))
    assert vault.preview(vault.snapshot(model.folder).id) == jpeg(5)


def test_a_named_picture_wins_and_may_be_behind_a_link(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    put(model.folder / f"{NAME}_preview_SAEHD.jpg")
    named: Path | str = put(tmp_path / "mine.jpeg", jpeg(9))
    if sys.platform != "win32":
        named = str(tmp_path / "link")
        os.symlink(tmp_path / "mine.jpeg", named)
    taken = vault.snapshot(model.folder, preview=named)
    assert vault.preview(taken.id) == jpeg(9)
    assert preview_of(vault, taken.id).kind == "file"


def test_else_the_samples(vault: api.Vault, model: SampleModel) -> None:
    taken = vault.snapshot(model.folder)
    data = vault.preview(taken.id)
    assert data is not None
    assert preview_of(vault, taken.id).kind == "samples"
    assert pixels_of(data).shape == (130, 262, 3)
    assert (pixels_of(data)[:16, :16] == (0, 0, 255)).all()


def test_the_same_picture_twice_is_one_object(vault: api.Vault, model: SampleModel) -> None:
    digests = set()
    for number in range(3):
        model.train(5)
        model.save()
        taken = vault.snapshot(model.folder, name=str(number))
        digests.add(preview_of(vault, taken.id).digest)
    assert len(digests) == 1
    assert vault.objects.encodings(digests.pop())


def test_a_model_without_pictures_has_none(vault: api.Vault, tmp_path: Path) -> None:
    taken = vault.snapshot(make_model(tmp_path / "model").folder)
    assert (vault.show(taken.id).preview, vault.preview(taken.id), taken.warnings) == (None, None, ())
    put(tmp_path / "lora" / "preview.jpg")
    assert vault.preview(vault.snapshot(tmp_path / "lora").id) is None


def test_an_unchanged_model_keeps_its_picture(vault: api.Vault, model: SampleModel) -> None:
    painted = put(model.folder / f"{NAME}_preview_SAEHD.jpg")
    first = vault.snapshot(model.folder)
    painted.write_bytes(jpeg(7))
    again = vault.snapshot(model.folder)
    assert vault.preview(again.id) == vault.preview(first.id) == JPEG
    model.train(1)
    model.save()
    assert vault.preview(vault.snapshot(model.folder).id) == jpeg(7)


def test_a_picture_of_the_trainers_is_better_than_samples(vault: api.Vault, model: SampleModel) -> None:
    vault.snapshot(model.folder)
    put(model.folder / f"{NAME}_preview_SAEHD.jpg")
    assert vault.preview(vault.snapshot(model.folder).id) == JPEG


def test_what_was_restored_has_the_picture_that_it_had(vault: api.Vault, model: SampleModel) -> None:
    painted = put(model.folder / f"{NAME}_preview_SAEHD.jpg")
    vault.snapshot(model.folder, name="old")
    model.train(3)
    model.save()
    painted.write_bytes(jpeg(7))
    vault.snapshot(model.folder, name="new")
    vault.restore("old")
    assert painted.read_bytes() == jpeg(7)
    assert vault.preview(vault.snapshot(model.folder).id) == JPEG


def test_a_picture_is_never_restored(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    put(model.folder / f"{NAME}_preview_SAEHD.jpg")
    taken = vault.snapshot(model.folder)
    vault.restore(taken.id, RestoreOptions(to=tmp_path / "elsewhere"))
    files = {name: entry for name, entry in tree(model.folder).items() if "preview" not in name}
    assert tree(tmp_path / "elsewhere") == files


def test_one_that_is_being_written_counts_only_where_there_is_no_other(vault: api.Vault, model: SampleModel) -> None:
    put(model.folder / f"{NAME}_preview_SAEHD.jpg", JPEG[:-2])
    taken = vault.snapshot(model.folder)
    assert vault.preview(taken.id) == JPEG[:-2]
    model.train(1)
    model.save()
    put(model.folder / f"{NAME}_preview_SAEHD masked.jpg", jpeg(2))
    taken = vault.snapshot(model.folder)
    assert (vault.preview(taken.id), taken.warnings) == (jpeg(2), ())


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<html>"])
def test_one_that_is_none_is_left_out_and_told(vault: api.Vault, model: SampleModel, data: bytes) -> None:
    put(model.folder / f"{NAME}_preview_SAEHD.jpg", data)
    put(model.folder / f"{NAME}_preview_SAEHD masked.jpg", jpeg(2))
    taken = vault.snapshot(model.folder)
    assert vault.preview(taken.id) == jpeg(2)
    assert len(taken.warnings) == 1
    assert "SAEHD.jpg is left out" in taken.warnings[0]


def test_a_named_one_that_is_none(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    for named in (tmp_path / "not there.jpg", tmp_path, put(tmp_path / "text.jpg", b"text")):
        taken = vault.snapshot(model.folder, preview=named)
        assert preview_of(vault, taken.id).kind == "samples"
        assert any(f"{named} is left out" in warning for warning in taken.warnings)


def test_whatever_goes_wrong_with_samples_costs_only_the_picture(
    vault: api.Vault, model: SampleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(sheet, "face_sheet", fail)
    taken = vault.snapshot(model.folder)
    assert vault.show(taken.id).preview is None
    assert taken.warnings == ("the picture is left out: MemoryError.",)


def test_a_picture_that_cannot_be_stored(
    vault: api.Vault, model: SampleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise NoSpace("the disk is full.")

    monkeypatch.setattr(Ingest, "blob", full)
    taken = vault.snapshot(model.folder)
    assert vault.show(taken.id).preview is None
    assert taken.warnings == ("the picture is left out: the disk is full.",)
    vault.restore(taken.id, RestoreOptions(to=tmp_path / "back"))


def test_a_lost_picture_is_found_by_verify_healed_and_hinders_no_restore(
    vault: api.Vault, model: SampleModel, tmp_path: Path
) -> None:
    taken = vault.snapshot(model.folder)
    digest = preview_of(vault, taken.id).digest
    path = tmp_path / ".casvault/objects" / digest[:3] / digest
    path.unlink()
    found = vault.verify()
    assert found.affected == (taken.id,)
    assert digest in found.damaged[0]
    vault.restore(taken.id, RestoreOptions(to=tmp_path / "back"))
    again = vault.snapshot(model.folder)
    assert preview_of(vault, again.id).digest == digest
    assert vault.verify(read_data=True).ok


def test_its_bytes_count_as_stored(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    taken = vault.snapshot(model.folder)
    stored = sum(path.stat().st_size for path in (tmp_path / ".casvault/objects").rglob("*") if path.is_file())
    assert taken.stored_bytes_added == stored == vault.stored_size(vault.show(taken.id))
    sizes = {chunk.digest: chunk.size for file in vault.show(taken.id).files for chunk in file.chunks}
    assert taken.new_bytes == sum(sizes.values()) + preview_of(vault, taken.id).size


def test_nothing_is_drawn_and_no_numpy_is_loaded_where_nothing_changed(
    vault: api.Vault, model: SampleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileIdentity, "settled", lambda *_: True)
    first = vault.snapshot(model.folder)
    before = objects(vault)
    code = (
        "import sys, casvault; vault = casvault.open(sys.argv[1]); taken = vault.snapshot(sys.argv[2]);"
        "print(vault.show(taken.id).preview.digest, 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / ".casvault", model.folder],
        env=clean_environment(),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.split() == [preview_of(vault, first.id).digest, "False"]
    vault.objects.forget()
    assert objects(vault) == before
