"""The demo: it runs, proves its point, cleans up; and its model is like the trainer's."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import pytest

from casvault import api
from casvault.demo.model import SampleModel
from casvault.demo.story import Story
from casvault.errors import DamageError
from tests.support.command import call, spawn
from tests.support.trainer import NAME, make_model


def test_the_demo_runs_and_leaves_nothing(tmp_path: Path) -> None:
    done = spawn(tmp_path, "demo", TMPDIR=str(tmp_path), TEMP=str(tmp_path), TMP=str(tmp_path))
    assert (done.code, done.err) == (0, "")
    for words in (
        "before GAN",
        "Restored 'before GAN'",
        "Proof: all 7 files",
        "All is well",
        "To undo: casvault --vault",
    ):
        assert words in done.out
    assert list(tmp_path.iterdir()) == []


def test_the_demo_in_a_folder_of_its_own_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SampleModel.__init__, "__defaults__", (NAME, 300_000, 1))
    done = call(tmp_path, "demo", "here")
    assert done.code == 0
    vault = api.open(tmp_path / "here" / ".casvault")
    assert [head.name for head in vault.snapshots()] == [
        "first evening", "before GAN", "GAN 0.1", "Before restoring 'before GAN' (iter 1,000)",
    ]  # fmt: skip
    assert vault.verify(read_data=True).ok
    assert str(tmp_path / "here") in done.out


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    done = call(tmp_path, "demo", tmp_path)
    assert done.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_the_proof_can_fail(tmp_path: Path) -> None:
    def run(arguments: list[str]) -> None:
        pass  # nothing is restored

    with pytest.raises(DamageError, match="other bytes"):
        Story(tmp_path, lambda words: None, run).play()


def test_the_demo_needs_no_temporary_folder_of_the_system_for_its_vault(tmp_path: Path) -> None:
    assert Path(tempfile.gettempdir()).is_dir()
    assert call(tmp_path, "list").code == 10


def test_the_sample_saves_in_the_trainers_order(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", size=60_000)
    steps: list[str] = []
    model.save(steps.append)
    roles = ["encoder.npy", "inter_AB.npy", "inter_B.npy", "decoder.npy", "src_dst_opt.npy", "data.dat"]
    assert steps == ["summary"] + [f"{verb} {role}" for role in roles for verb in ("write", "unlink", "rename")]


def test_the_samples_files_are_like_the_trainers(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", size=60_000, iterations=7)
    data = pickle.loads((model.folder / f"{NAME}_data.dat").read_bytes())
    assert list(data) == ["iter", "options", "loss_history", "sample_for_preview", "choosed_gpu_indexes"]
    assert data["iter"] == len(data["loss_history"]) == 7
    moments = pickle.loads((model.folder / f"{NAME}_src_dst_opt.npy").read_bytes())
    weights = pickle.loads((model.folder / f"{NAME}_decoder.npy").read_bytes())
    assert next(iter(moments)) == "iters:0"
    assert {f"ms_decoder/{name}" for name in weights} < set(moments)
    assert {str(array.dtype) for array in weights.values()} == {"float32"}
    assert len(moments) == 1 + 2 * sum(len(group) for group in model.weights.values())
