"""``casvault import``: what it says, asks, and ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

from casvault.demo.model import SampleModel
from tests.support.backups import back_up, folder_of
from tests.support.command import call
from tests.support.pictures import jpeg
from tests.support.trainer import NAME, make_model, tree


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    for number in range(3):
        model.train(5)
        model.save()
        back_up(model, jpeg(number))
    assert call(tmp_path, "init").code == 0
    return model


def test_it_tells_what_it_did(model: SampleModel, tmp_path: Path) -> None:
    done = call(tmp_path, "import", "workspace/model")
    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0].split() == ["FOLDER", "MODEL", "ITERATION", "LOSS", "SAVED", "STORED", "ID"]
    assert [line.split()[0][-2:] for line in lines[1:4]] == ["03", "02", "01"]
    assert [line.split()[3] for line in lines[1:4]] == ["10", "15", "20"]
    assert lines[4] == f"{NAME} belongs to {model.folder}."
    assert lines[5].startswith("3 imported in ")
    assert "of copies take" in lines[5]
    assert "[imported]" in call(tmp_path, "list").out
    again = call(tmp_path, "import", "workspace/model")
    assert (again.code, again.out.splitlines()[0]) == (0, "Nothing was imported.")
    assert again.out.count("was imported before") == 3


def test_a_dry_run_changes_nothing(model: SampleModel, tmp_path: Path) -> None:
    before = tree(tmp_path)
    told = call(tmp_path, "import", "workspace/model", "--dry-run")
    assert told.code == 0
    assert "To import: 3; imported before: 0; broken: 0." in told.out
    document = call(tmp_path, "import", "workspace/model", "--dry-run", "--json").json()
    assert [(one["iteration"], one["fate"]) for one in document["copies"]] == [
        (10, "import"),
        (15, "import"),
        (20, "import"),
    ]
    assert document["copies"][0]["folder"] == str(folder_of(model) / "03")
    assert tree(tmp_path) == before


def test_json(model: SampleModel, tmp_path: Path) -> None:
    document = call(tmp_path, "import", "workspace/model", "--json").json()
    assert [one["iteration"] for one in document["imported"]] == [10, 15, 20]
    assert [one["kind"] for one in document["imported"]] == ["imported"] * 3
    assert document["logical_bytes"] == sum(one["logical_bytes"] for one in document["imported"])
    assert document["stored_bytes_added"] == sum(one["stored_bytes_added"] for one in document["imported"])
    ids = [one["id"] for one in document["imported"]]
    assert [one["snapshot"] for one in call(tmp_path, "import", "workspace/model", "--json").json()["there"]] == ids


def test_some_that_fail_end_with_3_and_all_with_1(model: SampleModel, tmp_path: Path) -> None:
    (folder_of(model) / "02" / f"{NAME}_decoder.npy").unlink()
    (folder_of(model) / "04").mkdir()
    done = call(tmp_path, "import", "workspace/model", "--json")
    assert done.code == 3
    assert "decoder.npy" in done.err
    assert [one["folder"] for one in done.json()["failed"]] == [str(folder_of(model) / "02")]
    assert done.json()["empty"] == [str(folder_of(model) / "04")]
    text = call(tmp_path, "import", "workspace/model")
    assert text.code == 3
    assert f"Not imported: {NAME}_autobackups/02: it is not one whole save: decoder.npy is not there\n" in text.out
    assert "Empty: 04\n" in text.out
    assert call(tmp_path, "import", folder_of(model) / "02").code == 1
    assert call(tmp_path, "import", "nothing").code == 1
    assert call(tmp_path, "import", tmp_path / ".casvault").code == 1


def test_originals_are_asked_about_first(model: SampleModel, tmp_path: Path) -> None:
    before = tree(tmp_path)
    refused = call(tmp_path, "import", "workspace/model", "--delete-originals")
    assert refused.code == 2
    assert "To import: 3" in refused.err
    assert tree(tmp_path) == before
    done = call(tmp_path, "import", "workspace/model", "--delete-originals", "-y")
    assert done.code == 0
    assert done.out.count("Removed: ") == 3
    assert list(folder_of(model).iterdir()) == []
    assert call(tmp_path, "verify", "--read-data").code == 0


def test_what_stays_ends_with_3(model: SampleModel, tmp_path: Path) -> None:
    (folder_of(model) / "02" / "mine\x1b[31m.txt").write_text("x")
    done = call(tmp_path, "import", "workspace/model", "--delete-originals", "-y")
    assert done.code == 3
    assert "mine?[31m.txt is in there too" in done.out
    assert "\x1b" not in done.out + done.err


def test_the_place_of_the_model_can_be_named(model: SampleModel, tmp_path: Path) -> None:
    call(tmp_path, "import", "workspace/model", "--source", tmp_path / "moved")
    assert call(tmp_path, "list", "--json").json()["snapshots"][0]["model"]["source"] == "moved"
