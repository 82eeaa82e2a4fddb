"""Histories of losses: from a snapshot, from a live model, and where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from casvault import api
from casvault.demo.model import SampleModel
from casvault.errors import NotFound


def test_a_snapshot_and_the_live_model_tell_their_own(tmp_path: Path) -> None:
    model = SampleModel(tmp_path / "workspace" / "model", size=60_000)
    model.train(150)
    model.save()
    vault = api.init(tmp_path / ".casvault")
    taken = vault.snapshot(model.folder)
    model.train(60)
    model.save()
    (live,) = vault.models(model.folder)
    kept, now = vault.losses(taken.id), vault.losses(live)
    assert (kept.names, kept.first, len(kept)) == (("src", "dst"), 1, 150)
    assert (now.names, now.first, len(now)) == (("src", "dst"), 1, 210)
    assert now.values[:300] == kept.values
    mean = {name: values[-1] for name, values in kept.to_json()["smoothed"].items()}
    assert mean == pytest.approx(taken.head.loss)


def test_who_notes_no_losses_has_no_history(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "weights.bin").write_bytes(bytes(1000))
    vault = api.init(tmp_path / ".casvault")
    taken = vault.snapshot(tmp_path / "run")
    with pytest.raises(NotFound, match="holds no history of losses"):
        vault.losses(taken.id)
    (live,) = vault.models(tmp_path / "run")
    with pytest.raises(NotFound, match="run has no history of losses"):
        vault.losses(live)
