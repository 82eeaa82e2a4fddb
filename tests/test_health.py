"""Models in bad health: still snapshotted, marked, told in plain words, and found by `health` wherever they are."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casvault import api
from casvault.capture import Patience
from casvault.demo.model import SampleModel
from casvault.errors import AmbiguousError, DamageError, IncompleteSave, NotFound
from casvault.progress import Progress
from casvault.restore import RestoreOptions
from tests.support.breakage import put, region_of, with_losses
from tests.support.command import call
from tests.support.trainer import NAME, make_model

AT_ONCE = Patience(0.0, allow_incomplete=True)
WEIGHT, BIAS = "conv0/weight:0", "conv0/bias:0"


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    api.init(tmp_path / ".casvault")
    return api.open(tmp_path / ".casvault", threads=2)


@pytest.fixture
def model(vault: api.Vault, tmp_path: Path) -> SampleModel:
    """A model with tensors that are cut into chunks of their own, and small ones; healthy as "good"."""
    made = make_model(tmp_path / "workspace" / "model", size=3_000_000)
    vault.snapshot(made.folder, name="good")
    return made


def file(model: SampleModel, role: str) -> Path:
    return model.folder / f"{NAME}_{role}"


def odd(found: Any) -> list[tuple[str, str, int, int, bool]]:
    return [
        (t.path, t.name, t.nan, t.inf, t.constant) for t in found.tensors if not t.ordinary and "bias" not in t.name
    ]


def document(vault: api.Vault, id: str) -> dict[str, Any]:
    assert vault.path is not None
    parsed: dict[str, Any] = json.loads((vault.path / "snapshots" / f"{id}.json").read_bytes())
    return parsed


# Tensors


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("role", ["decoder.npy", "src_dst_opt.npy"])
def test_one_nan_is_named_by_file_and_tensor(tmp_path: Path, threads: int, role: str) -> None:
    api.init(tmp_path / ".casvault")
    vault = api.open(tmp_path / ".casvault", threads=threads)
    model = make_model(tmp_path / "workspace" / "model", size=3_000_000)
    name = WEIGHT if role == "decoder.npy" else f"vs_decoder/{WEIGHT}"
    region = region_of(file(model, role), name)
    assert region.size > vault.config.chunking.min_region
    put(file(model, role), name, [math.nan], region.size // 4 - 1)
    wanted = [(f"{NAME}_{role}", name, 1, 0, False)]
    assert odd(vault.health(model.folder)) == wanted
    taken = vault.snapshot(model.folder)
    assert taken.head.document["health"] == {
        "state": "broken",
        "findings": [f"{NAME}_{role}: the tensor {name} has 1 NaN."],
    }
    assert taken.warnings == (f"{NAME}_{role}: the tensor {name} has 1 NaN.",)
    found = vault.health(taken.id)
    assert (found.state, found.findings, odd(found)) == ("broken", taken.warnings, wanted)


def test_a_small_tensor_in_a_bundle_counts_too(vault: api.Vault, model: SampleModel) -> None:
    assert region_of(file(model, "decoder.npy"), BIAS).size < vault.config.chunking.min_region
    put(file(model, "decoder.npy"), BIAS, [math.inf, -math.inf, math.nan], 2)
    taken = vault.snapshot(model.folder)
    assert taken.warnings == (f"{NAME}_decoder.npy: the tensor {BIAS} has 1 NaN and 2 Inf.",)
    (entry,) = [entry for entry in document(vault, taken.id)["files"] if "faults" in entry]
    assert entry["faults"] == [{"name": BIAS, "nan": 1, "inf": 2}]
    (tensor,) = [t for t in vault.health(taken.id).tensors if t.nan]
    assert (tensor.name, tensor.nan, tensor.inf, tensor.rms) == (BIAS, 1, 2, None)


def test_a_file_full_of_nan_is_told_in_a_few_sentences_and_wholly_in_the_manifest(
    vault: api.Vault, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    arrays = {f"t{number}": np.full((3, 5), np.nan, "<f8") for number in range(40)}
    (folder / "w.pkl").write_bytes(pickle.dumps(arrays, 4))
    taken = vault.snapshot(folder, model_name="run")
    named = ", ".join(f"t{number} (15 NaN)" for number in range(3))
    assert taken.warnings == (f"w.pkl: 40 tensors have NaN or Inf: {named} and 37 more.",)
    assert len(document(vault, taken.id)["files"][0]["faults"]) == 40


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_every_float_of_another_trainer(vault: api.Vault, tmp_path: Path, dtype: str) -> None:
    values = np.ones((4, 50_000), dtype)
    values[2, 777] = np.nan
    np.save(tmp_path / "lora.npy", values)
    taken = vault.snapshot(tmp_path / "lora.npy")
    assert len(taken.warnings) == 1
    assert "has 1 NaN" in taken.warnings[0]


def test_black_pictures_in_data_dat_are_nobodys_fault(vault: api.Vault, model: SampleModel) -> None:
    model._previews[0][...] = np.nan
    model._previews[1][...] = 0
    model.train(1)
    model.save()
    assert vault.snapshot(model.folder).head.healthy
    assert {tensor.role for tensor in vault.health(model.folder).tensors} == {
        "encoder.npy", "inter_AB.npy", "inter_B.npy", "decoder.npy", "src_dst_opt.npy",
    }  # fmt: skip


def test_the_figures_are_those_of_numpy(vault: api.Vault, model: SampleModel) -> None:
    tensors = {(tensor.role, tensor.name): tensor for tensor in vault.health("good").tensors}
    assert len(tensors) == sum(map(len, model.weights.values())) + len(model.first) + len(model.second)
    for role, group in model.weights.items():
        for name, array in group.items():
            found = tensors[f"{role}.npy", name]
            assert (found.numbers, found.shape, found.dtype) == (array.size, array.shape, "float32")
            assert found.rms == pytest.approx(float(np.sqrt((array.astype(float) ** 2).mean())), rel=1e-9)
    for name, array in model.second.items():
        assert tensors["src_dst_opt.npy", name].rms == pytest.approx(
            float(np.sqrt((array.astype(float) ** 2).mean())), rel=1e-9
        )


def test_a_weight_that_dies_is_suspect_and_stays_so(vault: api.Vault, model: SampleModel) -> None:
    count = region_of(file(model, "encoder.npy"), WEIGHT).size // 4
    put(file(model, "encoder.npy"), WEIGHT, [0.0] * count)
    told = f"{NAME}_encoder.npy: the tensor {WEIGHT} has died: all numbers are the same, which they were not in an "
    for _ in range(3):
        taken = vault.snapshot(model.folder)
        assert taken.head.health == "suspect"
        assert taken.warnings == (told + "earlier snapshot.",)
        # Another file changes, so that nothing can be taken over from the snapshot before as a whole.
        put(file(model, "decoder.npy"), BIAS, np.random.default_rng().standard_normal(8))
        put(file(model, "encoder.npy"), BIAS, np.random.default_rng().standard_normal(8))
        found = vault.health(model.folder)
        assert (found.state, found.findings) == ("suspect", taken.warnings)
    put(file(model, "encoder.npy"), WEIGHT, np.random.default_rng().standard_normal(count))
    assert vault.snapshot(model.folder).head.healthy


def test_several_that_die_are_one_sentence(vault: api.Vault, model: SampleModel) -> None:
    for name in (WEIGHT, "conv1/weight:0"):
        put(file(model, "decoder.npy"), name, [0.5] * (region_of(file(model, "decoder.npy"), name).size // 4))
    (warning,) = vault.snapshot(model.folder).warnings
    assert warning == (
        f"{NAME}_decoder.npy: 2 tensors have died: all numbers are the same, which they were not in an earlier "
        f"snapshot: {WEIGHT}, conv1/weight:0."
    )


def test_what_is_zero_from_the_start_and_moments_that_are_are_no_fault(vault: api.Vault, tmp_path: Path) -> None:
    model = SampleModel(tmp_path / "workspace" / "model", NAME, 3_000_000)
    model.save()
    first = vault.snapshot(model.folder)
    assert first.head.document["health"] is None
    found = vault.health(first.id)
    assert found.ok
    assert {tensor.name.partition("_")[0] for tensor in found.tensors if tensor.zero} >= {"ms", "vs", "conv0/bias:0"}
    model.train(5)
    model.save()
    assert vault.snapshot(model.folder).head.healthy
    # An optimizer that begins anew is no harm: the trainer makes one where none is there.
    for moments in (*model.first.values(), *model.second.values()):
        moments[...] = 0
    model.train(0)
    model._replace("src_dst_opt.npy", {**model.first, **model.second}, 4, lambda what: None)
    assert vault.snapshot(model.folder).head.healthy


def test_a_new_run_is_not_held_against_the_one_before(vault: api.Vault, model: SampleModel) -> None:
    model.train(200)
    for group in model.weights.values():
        group[BIAS][...] = 0.25 + np.arange(group[BIAS].size)
    model.save()
    vault.snapshot(model.folder)
    for group in model.weights.values():
        group[BIAS][...] = 0
    model.iteration, model.losses = 0, []
    model.save()
    assert vault.snapshot(model.folder).head.healthy


def test_a_healthy_manifest_has_no_word_of_it(vault: api.Vault, model: SampleModel) -> None:
    told = document(vault, vault.find("good").id)
    assert told["health"] is None
    assert all("faults" not in entry for entry in told["files"])


def test_a_parent_that_cannot_be_read_any_more_is_not_compared_with(vault: api.Vault, model: SampleModel) -> None:
    assert vault.path is not None
    for path in (vault.path / "objects").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    count = region_of(file(model, "encoder.npy"), WEIGHT).size // 4
    put(file(model, "encoder.npy"), WEIGHT, [0.0] * count)
    assert api.open(vault.path).snapshot(model.folder).head.healthy


def test_an_unchanged_model_is_as_it_was(vault: api.Vault, model: SampleModel) -> None:
    put(file(model, "decoder.npy"), WEIGHT, [math.nan])
    taken = [vault.snapshot(model.folder) for _ in range(2)]
    assert taken[0].warnings == taken[1].warnings
    assert [one.head.health for one in taken] == ["broken", "broken"]


# Losses


def test_a_jump_of_the_losses_is_suspect_with_the_options_that_changed(vault: api.Vault, model: SampleModel) -> None:
    with_losses(model, (1000, 0.21, 0.3))
    assert vault.snapshot(model.folder).head.healthy
    model.options |= {"lr_dropout": "y", "gan_power": 0.1}
    with_losses(model, (1000, 0.21, 0.3), (100, 3.4, 0.3))
    wanted = (
        "src loss jumped 0.21 -> 3.4 after iteration 1,000; options changed since the parent snapshot: "
        "gan_power 0.0 -> 0.1, lr_dropout n -> y."
    )
    found = vault.health(model.folder)
    assert (found.state, found.findings) == ("suspect", (wanted,))
    assert found.loss_best == pytest.approx({"src": 0.21, "dst": 0.3})
    assert vault.status(model.folder).doubts == ("src loss jumped 0.21 -> 3.4 after iteration 1,000.",)
    taken = vault.snapshot(model.folder)
    assert taken.head.document["health"] == {"state": "suspect", "findings": [wanted]}
    assert vault.health(taken.id).findings == (wanted,)
    assert vault.find("latest").iteration == 1000


def test_a_jump_without_a_changed_option_says_so(vault: api.Vault, model: SampleModel) -> None:
    with_losses(model, (300, 0.21, 0.3), (100, 3.4, 0.3))
    (warning,) = vault.snapshot(model.folder).warnings
    assert warning.endswith("after iteration 300; no option changed since the parent snapshot.")
    with_losses(model, (300, 0.21, 0.3), (110, 3.4, 0.3))
    # Of a parent that had jumped already that would say nothing.
    (warning,) = vault.snapshot(model.folder).warnings
    assert warning.endswith("after iteration 300.")


def test_a_loss_of_zero_is_suspect_and_one_that_is_not_a_number_broken(vault: api.Vault, model: SampleModel) -> None:
    with_losses(model, (300, 0.21, 0.0))
    assert vault.health(model.folder).state == "suspect"
    with_losses(model, (300, 0.21, math.nan))
    found = vault.health(model.folder)
    assert found.state == "broken"
    assert "'dst' is not a finite number" in found.findings[0]
    json.dumps(found.to_json(), allow_nan=False)


# Files


@pytest.mark.parametrize("end", [b"", b"."])
def test_a_truncated_weight_file_is_broken_whatever_it_ends_with(
    vault: api.Vault, model: SampleModel, end: bytes
) -> None:
    path = file(model, "inter_B.npy")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] + end)
    found = vault.health(model.folder)
    assert found.state == "broken"
    assert found.findings[0].startswith("inter_B.npy ")
    for _ in range(2):
        taken = vault.snapshot(model.folder)
        assert (taken.head.health, taken.warnings) == ("broken", found.findings)
        # So that the file is taken over and the model is not.
        put(file(model, "decoder.npy"), BIAS, np.random.default_rng().standard_normal(8))
    assert vault.health(taken.id).findings == found.findings


def test_a_data_dat_that_cannot_be_read_is_broken(vault: api.Vault, model: SampleModel) -> None:
    path = file(model, "data.dat")
    path.write_bytes(path.read_bytes()[:-30])
    taken = vault.snapshot(model.folder, patience=AT_ONCE)
    assert taken.head.health == "broken"
    for found in (vault.health(model.folder), vault.health(taken.id)):
        assert (found.state, len(found.findings)) == ("broken", 1)
        assert "data.dat cannot be read" in found.findings[0]


def test_a_weight_file_that_is_missing_is_broken_and_told_once(vault: api.Vault, model: SampleModel) -> None:
    file(model, "inter_AB.npy").unlink()
    wanted = ("inter_AB.npy is not there, so the trainer would start it afresh.",)
    taken = vault.snapshot(model.folder, patience=AT_ONCE)
    assert (taken.head.incomplete, taken.head.health, taken.warnings) == (True, "broken", wanted)
    for found in (vault.health(model.folder), vault.health(taken.id)):
        assert (found.state, found.findings) == ("broken", wanted)
        assert found.incomplete


def test_a_model_without_its_optimizer_is_in_good_health(vault: api.Vault, model: SampleModel) -> None:
    file(model, "src_dst_opt.npy").unlink()
    assert vault.snapshot(model.folder).head.healthy
    assert vault.health(model.folder).ok


def test_a_damaged_vault_is_damage_and_no_verdict(vault: api.Vault, model: SampleModel) -> None:
    assert vault.path is not None
    path = max((path for path in (vault.path / "objects").rglob("*") if path.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamageError):
        api.open(vault.path).health("good")


def test_a_file_that_is_written_to_meanwhile_is_no_verdict(vault: api.Vault, tmp_path: Path) -> None:
    path = tmp_path / "weights.npy"
    np.save(path, np.ones((100, 100)))

    class Meddler(Progress):
        def finish(self) -> None:
            with open(path, "ab") as target:
                target.write(b"more")

    with pytest.raises(IncompleteSave, match=r"weights\.npy was changed while it was read"):
        vault.health(path, progress=Meddler())


# What is meant


def test_a_path_is_a_live_model_and_a_text_a_snapshot_first(vault: api.Vault, model: SampleModel) -> None:
    assert vault.health("good").snapshot == vault.find("good").id
    assert vault.health(str(model.folder)).snapshot is None
    assert vault.health(model.folder / NAME).snapshot is None
    assert vault.health(NAME).snapshot is None
    with pytest.raises(NotFound, match="did you mean 'good'"):
        vault.health("goog")
    with pytest.raises(NotFound):
        vault.health("workspace/nothing")
    make_model(model.folder, "other_SAEHD", size=30_000)
    with pytest.raises(AmbiguousError):
        vault.health(model.folder)


def test_examining_changes_nothing_but_reads_it_all(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    vault.restore("good", RestoreOptions(to=tmp_path / "copy"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "copy").iterdir()}
    found = vault.health(tmp_path / "copy")
    assert found.size == sum(path.stat().st_size for path in before)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "copy").iterdir()} == before


# The command line


def test_the_command_in_good_health(model: SampleModel, tmp_path: Path) -> None:
    for what in (model.folder, "good"):
        done = call(tmp_path, "health", what)
        assert (done.code, done.err) == (0, "")
        assert done.out.splitlines()[0].endswith(": ok")
        assert "none of them NaN or infinite" in done.out
        told = call(tmp_path, "health", what, "--json")
        assert told.code == 0
        assert (told.json()["state"], told.json()["findings"]) == ("ok", [])


def test_the_command_in_bad_health(model: SampleModel, tmp_path: Path) -> None:
    put(file(model, "decoder.npy"), WEIGHT, [math.nan, math.nan], 7)
    sentence = f"{NAME}_decoder.npy: the tensor {WEIGHT} has 2 NaN."
    taken = call(tmp_path, "snapshot", model.folder, "--name", "bad")
    assert taken.code == 0
    assert taken.err == f"Warning: {sentence}\nIt is kept and marked broken; `latest` passes it over.\n"
    assert taken.out.splitlines()[0].endswith(", broken.")
    for what in (model.folder, "bad"):
        done = call(tmp_path, "health", what)
        assert (done.code, done.err) == (1, f"casvault: {NAME} is broken: {sentence}\n")
        assert sentence in done.out
        told = call(tmp_path, "health", what, "--json")
        assert (told.code, told.err) == (1, "")
        assert next(t["name"] for t in told.json()["tensors"] if t["nan"]) == WEIGHT
    assert "[unhealthy]" in call(tmp_path, "list").out
    assert f"broken: {sentence}" in call(tmp_path, "show", "bad").out
    assert f"which is broken: {sentence}" in call(tmp_path, "status").out
    planned = call(tmp_path, "restore", "bad", "--dry-run", "--to", "elsewhere")
    assert f"not in good health: {sentence}" in planned.out
    assert call(tmp_path, "restore", "latest", "-y").code == 0
    assert call(tmp_path, "health", model.folder).code == 0
