"""The losses of live models and of snapshots, and which snapshots are on the curve."""

from __future__ import annotations

import json
import pickle
import threading
from pathlib import Path

import pytest

import casvault
from casvault import history
from casvault.api import Vault
from casvault.demo.model import SampleModel
from casvault.errors import NotFound, UsageError
from tests.support.trainer import NAME, make_model


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    return make_model(tmp_path / "workspace" / "model", size=60_000, iterations=150)


@pytest.fixture
def vault(tmp_path: Path, model: SampleModel) -> Vault:
    made = casvault.init(tmp_path / ".casvault")
    made.snapshot(model.folder / NAME, name="first")
    model.train(150)
    model.save()
    made.snapshot(model.folder / NAME, name="second")
    return made


def on_curve(found: history.LossHistory) -> dict[str | None, bool]:
    return {mark.head.name: mark.on_curve for mark in found.marks}


def test_the_live_model_has_every_row_and_its_snapshots_along_it(vault: Vault, model: SampleModel) -> None:
    model.train(20)
    model.save()
    found = vault.losses(NAME)
    assert (found.first, found.last, found.reason, found.snapshot) == (1, 320, None, None)
    assert found.iterations == tuple(range(1, 321))
    assert [curve.name for curve in found.curves] == ["src", "dst"]
    assert list(found.curves[0].low) == [row[0] for row in model.losses]
    assert list(found.curves[1].high) == [row[1] for row in model.losses]
    assert on_curve(found) == {"first": True, "second": True}
    # The mean of the curve where a snapshot is, is the loss of that snapshot.
    for mark in found.marks:
        assert mark.head.iteration is not None
        assert mark.head.loss is not None
        for curve in found.curves:
            assert curve.mean[mark.head.iteration - 1] == mark.head.loss[curve.name]


def test_a_snapshot_has_the_history_up_to_it(vault: Vault) -> None:
    found = vault.losses("first")
    assert (found.last, found.title) == (150, "snapshot 'first'")
    assert found.snapshot == vault.find("first").id
    assert on_curve(found) == {"first": True, "second": False}


def test_what_was_trained_on_from_an_earlier_save_is_beside_the_snapshots_of_the_other_line(
    vault: Vault, model: SampleModel
) -> None:
    model.losses = model.losses[:150]
    model.iteration = 150
    model.train(300)
    model.save()
    assert on_curve(vault.losses(NAME)) == {"first": True, "second": False}


def test_a_part_of_it_is_drawn_closer(vault: Vault, model: SampleModel) -> None:
    found = vault.losses(NAME, first=100, last=109)
    assert found.iterations == tuple(range(100, 110))
    assert (found.first, found.last) == (1, 300)
    assert list(found.curves[0].low) == [row[0] for row in model.losses[99:109]]
    assert vault.losses(NAME, first=5_000).iterations == ()
    assert vault.losses(NAME, first=20, last=10).iterations == ()
    assert vault.losses(NAME, last=3, points=2).iterations == (1, 3)


def test_a_history_that_begins_late_is_told_with_the_right_iterations(vault: Vault, model: SampleModel) -> None:
    model.losses = model.losses[-50:]
    model.save()
    found = vault.losses(NAME)
    assert (found.first, found.last) == (251, 300)
    # The mean of 100 iterations of the second snapshot cannot be had of 50.
    assert on_curve(found) == {"first": False, "second": False}


def test_only_the_record_is_read(vault: Vault, model: SampleModel) -> None:
    for path in model.paths():
        if not path.name.endswith("data.dat"):
            path.unlink()
    assert vault.losses(NAME).last == 300


def test_a_record_that_is_just_replaced_is_waited_for(vault: Vault, model: SampleModel) -> None:
    record = model.folder / f"{NAME}_data.dat"
    away = record.with_name(record.name + ".tmp")
    record.rename(away)
    timer = threading.Timer(0.1, lambda: away.rename(record))
    timer.start()
    assert vault.losses(NAME).last == 300
    timer.join()


def test_a_record_that_stays_away_is_told(vault: Vault, model: SampleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_TRIES", 2)
    (model.folder / f"{NAME}_data.dat").unlink()
    found = vault.losses(NAME)
    assert found.reason == "data.dat is not there."
    assert (found.curves, found.first) == ((), None)
    assert on_curve(found) == {"first": False, "second": False}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\x80\x04 nonsense", "data.dat cannot be read"),
        (pickle.dumps([1], 4), "it is not a dictionary"),
        (pickle.dumps({"iter": 3}, 4), "The loss history in data.dat is empty."),
        (pickle.dumps({"iter": 3, "loss_history": []}, 4), "The loss history in data.dat is empty."),
        (pickle.dumps({"iter": 3, "loss_history": [["a"]]}, 4), "the loss history in data.dat cannot be read"),
        (pickle.dumps({"iter": 3, "loss_history": [[0.5] * 500] * 5}, 4), "500 columns"),
    ],
)
def test_a_record_without_losses_says_why(vault: Vault, model: SampleModel, record: bytes, reason: str) -> None:
    (model.folder / f"{NAME}_data.dat").write_bytes(record)
    found = vault.losses(NAME)
    assert found.reason is not None
    assert reason in found.reason
    assert found.curves == ()


def test_hostile_numbers_become_json(vault: Vault, model: SampleModel) -> None:
    rows = [[float("nan"), 1e308], [float("inf"), 1e308], [0.123456789, -5e-324]] * 40
    record = {"iter": 10, "options": {}, "loss_history": rows}
    (model.folder / f"{NAME}_data.dat").write_bytes(pickle.dumps(record, 4))
    found = vault.losses(NAME)
    # There are more rows than iterations, which is not possible: they are counted from 1.
    assert (found.first, found.last) == (1, 120)
    told = json.dumps(found.to_json(), allow_nan=False)
    assert "0.123457" in told


def test_a_model_of_an_unknown_trainer_has_the_losses_of_its_snapshots_only(tmp_path: Path, vault: Vault) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes(5000))
    vault.snapshot(folder, model_name="voice", iteration=5, loss={"train": 0.5})
    found = vault.losses(folder)
    assert found.reason is not None
    assert "not known" in found.reason
    assert [(mark.head.iteration, mark.head.loss, mark.on_curve) for mark in found.marks] == [
        (5, {"train": 0.5}, False)
    ]


def test_wrong_questions_are_refused(vault: Vault) -> None:
    for points, window in ((0, 1), (10_001, 1), (10, 0), (10, 10_001)):
        with pytest.raises(UsageError, match="a curve has"):
            vault.losses(NAME, points=points, window=window)
    with pytest.raises(NotFound):
        vault.losses("nothing of that name")
