"""What moved between two saves, against what numpy says of the same arrays."""

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
from casvault.diff.pairs import Pair, spans
from casvault.diff.report import TensorChange
from casvault.errors import NotFound
from casvault.files.source import MemorySource
from casvault.formats import Region
from casvault.manifest.label import Label
from casvault.manifest.manifest import ChunkRef
from casvault.objects import ObjectStore
from casvault.restore import RestoreOptions
from casvault.subject import SubjectFile
from tests.support.breakage import put
from tests.support.command import call
from tests.support.trainer import NAME, make_model, wreck

WEIGHT, BIAS = "conv0/weight:0", "conv0/bias:0"


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    api.init(tmp_path / ".casvault")
    return api.open(tmp_path / ".casvault", threads=2)


@pytest.fixture
def model(vault: api.Vault, tmp_path: Path) -> SampleModel:
    """A model that trained on from "one" to "two", all but its encoder; its biases moved by half a tenth each."""
    made = make_model(tmp_path / "workspace" / "model", size=3_000_000)
    for number, group in enumerate(made.weights.values()):
        group[BIAS][...] = np.linspace(1 + number, 2, group[BIAS].size, dtype=np.float32)
    made.save()
    vault.snapshot(made.folder, name="one")
    frozen = {name: array.copy() for name, array in made.weights["encoder"].items()}
    made.train(20)
    made.weights["encoder"] = frozen
    made.options |= {"batch_size": 4, "lr_dropout": "y"}
    made.save()
    vault.snapshot(made.folder, name="two")
    return made


def by_name(tensors: tuple[TensorChange, ...]) -> dict[tuple[str, str], TensorChange]:
    found = {(tensor.role, tensor.name): tensor for tensor in tensors}
    assert len(found) == len(tensors)
    return found


def arrays(vault: api.Vault, snapshot: str, place: Path) -> dict[tuple[str, str], Any]:
    """Return the tensors of a snapshot as a person would look at them: restored, and loaded by the trainer's means."""
    vault.restore(snapshot, RestoreOptions(to=place))
    found = {}
    for path in place.glob("*.npy"):
        for name, array in np.load(path, allow_pickle=True).items():
            if isinstance(array, np.ndarray):
                found[path.name.removeprefix(f"{NAME}_"), name] = array.astype(np.float64)
    return found


# Two snapshots


@pytest.mark.parametrize("threads", [1, 2])
def test_each_tensor_moved_as_far_as_numpy_says(model: SampleModel, tmp_path: Path, threads: int) -> None:
    vault = api.open(tmp_path / ".casvault", threads=threads)
    found = vault.diff("one", "two")
    one, two = (arrays(vault, name, tmp_path / name) for name in ("one", "two"))
    tensors = by_name(found.tensors)
    assert one.keys() == {key for key, tensor in tensors.items() if tensor.part != "records"}
    for key, old in one.items():
        new, tensor = two[key], tensors[key]
        assert tensor.change == ("same" if (old == new).all() else "changed")
        if tensor.change == "same":
            assert (tensor.relative, tensor.differing) == (0.0, 0)
            continue
        rms, moved = (float(np.sqrt((array**2).mean())) for array in (old, new - old))
        assert tensor.differing == (old != new).sum()
        assert tensor.rms_a == pytest.approx(rms, rel=1e-9)
        assert tensor.rms_difference == pytest.approx(moved, rel=1e-9)
        assert tensor.relative == (pytest.approx(moved / rms, rel=1e-9) if rms else None)
    changed = [tensor.relative for tensor in found.tensors if tensor.change == "changed"]
    ranks = [math.inf if relative is None else relative for relative in changed]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks


def test_a_frozen_file_is_said_to_be_the_same_and_is_not_decoded(
    vault: api.Vault, model: SampleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = [vault.show(name) for name in ("one", "two")]
    frozen = {c.digest for m in manifests for file in m.files if file.role == "encoder.npy" for c in file.chunks}
    read: list[str] = []
    straight = ObjectStore.read

    def reading(self: ObjectStore, digest: str, size: int | None = None) -> Any:
        read.append(digest)
        return straight(self, digest, size)

    monkeypatch.setattr(ObjectStore, "read", reading)
    found = vault.diff("one", "two")
    assert {file.role: file.change for file in found.files} == {
        "data.dat": "changed",
        "decoder.npy": "changed",
        "encoder.npy": "same",
        "inter_AB.npy": "changed",
        "inter_B.npy": "changed",
        "src_dst_opt.npy": "changed",
        "summary.txt": "changed",
    }
    assert read
    assert not frozen & set(read)
    encoder = [tensor for tensor in found.tensors if tensor.role == "encoder.npy"]
    assert encoder
    assert {tensor.change for tensor in encoder} == {"same"}
    read.clear()
    assert vault.diff("one", "one").same
    # Not more than data.dat, for what it tells of the training.
    assert set(read) <= {
        chunk.digest for file in manifests[0].files if file.role == "data.dat" for chunk in file.chunks
    }


def test_what_the_trainer_tells_is_compared(vault: api.Vault, model: SampleModel) -> None:
    found = vault.diff("one", "two")
    told = {value.key: (value.a, value.b) for value in found.metadata}
    assert told["iteration"] == (5, 25)
    one, two = (vault.find(name) for name in ("one", "two"))
    assert told["loss src"] == (one.loss["src"], two.loss["src"])  # type: ignore[index]
    assert "model" not in told
    assert {value.key: (value.a, value.b) for value in found.options} == {
        "batch_size": (8, 4),
        "lr_dropout": ("n", "y"),
    }
    assert (found.a.snapshot, found.b.snapshot) == (one.id, two.id)
    json.dumps(found.to_json(), allow_nan=False)


def test_files_and_tensors_that_came_went_or_changed_their_shape(vault: api.Vault, model: SampleModel) -> None:
    group = model.weights["decoder"]
    group["extra/weight:0"] = np.ones((3, 40_000), np.float32)
    del group["conv1/bias:0"]
    group[BIAS] = np.zeros(3, np.float32)
    group[WEIGHT] = group[WEIGHT].astype(np.float16)
    model.save()
    model.weights["GAN"] = {"new:0": np.ones(5, np.float32)}
    model._replace("GAN.npy", model.weights["GAN"], 4, lambda what: None)
    (model.folder / f"{NAME}_src_dst_opt.npy").unlink()
    vault.snapshot(model.folder, name="three")
    found = vault.diff("two", "three")
    changes = {key: tensor.change for key, tensor in by_name(found.tensors).items()}
    assert changes["decoder.npy", "extra/weight:0"] == "added"
    assert changes["decoder.npy", "conv1/bias:0"] == "removed"
    assert changes["decoder.npy", BIAS] == "reshaped"
    assert changes["decoder.npy", WEIGHT] == "reshaped"
    assert changes["GAN.npy", "new:0"] == "added"
    assert changes["src_dst_opt.npy", f"ms_decoder/{WEIGHT}"] == "removed"
    assert changes["inter_B.npy", WEIGHT] == "same"
    # What stands behind them in the file is told by its numbers, not by where it lies.
    assert changes["decoder.npy", "conv1/weight:0"] == "same"
    files = {file.role: file.change for file in found.files}
    assert (files["GAN.npy"], files["src_dst_opt.npy"], files["decoder.npy"]) == ("added", "removed", "changed")
    (reshaped,) = [t for t in found.tensors if (t.role, t.name) == ("decoder.npy", BIAS)]
    assert reshaped.to_json()["b"] == {"dtype": "float32", "shape": [3]}
    json.dumps(found.to_json(), allow_nan=False)


def test_a_renamed_model_is_matched_by_its_roles(vault: api.Vault, model: SampleModel) -> None:
    vault.restore("one", RestoreOptions(as_name="older"))
    found = vault.diff("one", model.folder / "older_SAEHD")
    assert found.same
    assert [(value.key, value.a, value.b) for value in found.metadata if value.key == "model"] == [
        ("model", NAME, "older_SAEHD")
    ]


def test_what_is_no_number_is_null_and_comes_first(vault: api.Vault, model: SampleModel) -> None:
    put(model.folder / f"{NAME}_decoder.npy", WEIGHT, [math.nan, math.inf])
    put(model.folder / f"{NAME}_decoder.npy", BIAS, [9.0])
    vault.snapshot(model.folder, name="bad")
    first, second = [tensor for tensor in vault.diff("two", "bad").tensors if tensor.change == "changed"]
    assert (first.name, first.relative, first.rms_difference, first.differing) == (WEIGHT, None, None, 2)
    assert first.rms_a is not None
    assert (second.name, second.differing) == (BIAS, 1)
    json.dumps(vault.diff("bad", "two").to_json(), allow_nan=False)


def test_a_thinned_file_is_told_by_its_digests_alone(vault: api.Vault, model: SampleModel) -> None:
    one = vault.find("one")
    path = f"{NAME}_src_dst_opt.npy"
    kept = {c.digest for file in vault.show("one").files if file.path != path for c in file.chunks}
    assert vault.path is not None
    for chunk in (c for file in vault.show("one").files if file.path == path for c in file.chunks):
        if chunk.digest not in kept:
            for found in (vault.path / "objects").glob(f"*/{chunk.digest}*"):
                found.unlink()
    vault.write_label(Label(one.id, "one", thinned=(path,)))
    opened = api.open(vault.path)
    tensors = by_name(opened.diff("one", "two").tensors)
    moment = tensors["src_dst_opt.npy", f"vs_decoder/{WEIGHT}"]
    assert (moment.change, moment.relative) == ("changed", None)
    assert tensors["decoder.npy", WEIGHT].relative
    assert opened.health("one").thinned == (path,)


# With a live model


def test_with_the_live_model(vault: api.Vault, model: SampleModel) -> None:
    assert vault.diff("two", model.folder).same
    assert vault.diff("two", NAME).same
    put(model.folder / f"{NAME}_inter_B.npy", WEIGHT, [1.0, 2.0, 3.0], 5)
    found = vault.diff("two", model.folder)
    assert [file.role for file in found.files if file.change != "same"] == ["inter_B.npy"]
    (changed,) = [tensor for tensor in found.tensors if tensor.change != "same"]
    assert (changed.role, changed.name, changed.differing) == ("inter_B.npy", WEIGHT, 3)
    assert found.b.snapshot is None
    assert vault.diff(model.folder, "two").a.snapshot is None


def test_with_a_wreck(vault: api.Vault, model: SampleModel) -> None:
    wreck(model)
    found = vault.diff("two", model.folder)
    assert found.b.incomplete is not None
    assert {file.role: file.change for file in found.files}["decoder.npy"] == "removed"


def test_nothing_of_that_name(vault: api.Vault, model: SampleModel) -> None:
    for pair in (("one", "tow"), ("tow", "one"), ("one", "workspace/model/nothing_SAEHD")):
        with pytest.raises(NotFound):
            vault.diff(*pair)


# Cuts


def cut_file(data: bytes, region: Region, sizes: list[int]) -> SubjectFile:
    """Return a file whose parts have these sizes, as often as it takes."""
    parts: list[ChunkRef] = []
    position = 0
    while position < len(data):
        piece = data[position : position + sizes[len(parts) % len(sizes)]]
        parts.append(ChunkRef(f"{hash(piece):x}", len(piece)))
        position += len(piece)
    return SubjectFile("f", "f", len(data), (region,), MemorySource(data), tuple(parts), "")


@pytest.mark.parametrize("one", [[64], [400], [7, 100], [1, 2, 3]])
@pytest.mark.parametrize("other", [[64], [401], [13], [1000]])
def test_unequal_cuts_make_no_difference(one: list[int], other: list[int]) -> None:
    random = np.random.default_rng(1)
    old = random.standard_normal(500).astype("<f4")
    new = old.copy()
    new[100:140] += 1
    a = Region("t", 3, 2000, "float32", (500,))
    b = Region("t", 11, 2000, "float32", (500,))
    pair = Pair(
        cut_file(b"abc" + old.tobytes(), a, one), cut_file(b"0123456789x" + new.tobytes() + b"end", b, other), a, b
    )
    assert not pair.same
    found = pair.moved()
    assert (found.numbers, found.differing) == (500, 40)
    assert found.before == pytest.approx(float((old.astype(float) ** 2).sum()))
    assert found.difference == pytest.approx(float(((new.astype(float) - old.astype(float)) ** 2).sum()))
    for file, region in ((pair.a, a), (pair.b, b)):
        covered = spans(file, region)
        assert [span.start for span in covered] == [0, *(span.stop for span in covered[:-1])]
        assert covered[-1].stop == region.size


def test_the_same_bytes_cut_alike_are_the_same_wherever_they_lie() -> None:
    data = np.arange(512, dtype="<f4").tobytes()
    a, b = Region("t", 0, 2048, "float32", (512,)), Region("t", 64, 2048, "float32", (512,))
    assert Pair(cut_file(data, a, [64]), cut_file(bytes(64) + data, b, [64]), a, b).same
    moved = Pair(cut_file(data, a, [64]), cut_file(bytes(64) + data, b, [60]), a, b)
    assert not moved.same
    assert moved.moved().differing == 0


# The command line


def test_the_command(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    done = call(tmp_path, "diff", "one", "two")
    assert (done.code, done.err) == (0, "")
    assert "iteration" in done.out
    assert "lr_dropout  n -> y" in done.out
    assert "Unchanged, byte for byte: encoder.npy" in done.out
    weights = done.out.split("Weights: ")[1].split("\n\n")[0].splitlines()
    assert weights[1].split() == ["MOVED", "TENSOR", "FILE", "SHAPE"]
    percents = [float(line.split()[0].rstrip("%")) for line in weights[2:] if "%" in line]
    assert percents
    assert percents == sorted(percents, reverse=True)
    assert "same" not in "".join(weights[2:])
    everything = call(tmp_path, "diff", "one", "two", "--all").out
    assert len(everything.splitlines()) > len(done.out.splitlines())
    assert len([line for line in everything.splitlines() if f"{WEIGHT} " in line]) == 4 + 8
    same = call(tmp_path, "diff", "two", model.folder)
    assert same.code == 0
    assert "Nothing changed: all files are the same, byte for byte." in same.out
    told = call(tmp_path, "diff", "one", "two", "--json").json()
    assert told == {"version": 1, **json.loads(json.dumps(vault.diff("one", "two").to_json()))}


def test_the_command_leaves_out_what_is_too_much(vault: api.Vault, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for number in (1, 2):
        folder.mkdir(exist_ok=True)
        arrays = {f"t{name}": np.full(10, number * name, "<f4") for name in range(1, 31)}
        (folder / "w.pkl").write_bytes(pickle.dumps(arrays, 4))
        vault.snapshot(folder, model_name="run", name=str(number), patience=Patience(0.0))
    out = call(tmp_path, "diff", "1", "2").out
    assert "Weights: 30 of 30 tensors changed" in out
    assert out.count("100.00%") == 20
    assert "and 10 more; --all shows them" in out
    assert call(tmp_path, "diff", "1", "2", "--all").out.count("100.00%") == 30
