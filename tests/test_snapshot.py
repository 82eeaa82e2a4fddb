"""Snapshots: exact, small, never mixed, and cheap where nothing changed."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from casvault import api
from casvault.capture import Patience
from casvault.demo.model import SampleModel
from casvault.errors import AmbiguousError, Cancelled, IncompleteSave, UsageError
from casvault.files import identity
from casvault.files.source import FileSource
from casvault.progress import Progress
from casvault.restore import RestoreOptions
from casvault.snapshot.ingest import Ingest
from casvault.snapshot.scope import doubt
from casvault.vault.head import Head
from tests.support.command import clean_environment
from tests.support.trainer import NAME, contents, copy_as_it_comes, make_model, tree

AT_ONCE = Patience(0.0)
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")


class Counted:
    """How many bytes were read of files, the small ones that are read at once aside."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        read_at = FileSource.read_at

        def counted(source: FileSource, offset: int, length: int) -> bytes:
            data = read_at(source, offset, length)
            if source.size > 64 << 10:
                self.bytes += len(data)
            return data

        monkeypatch.setattr(FileSource, "read_at", counted)


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    return make_model(tmp_path / "workspace" / "model")


def place(model: SampleModel) -> Path:
    return model.folder / model.name


def test_three_saves_in_place_are_three_snapshots_each_exact(vault: api.Vault, tmp_path: Path) -> None:
    model = SampleModel(tmp_path / "workspace" / "model", NAME, 3_000_000)
    saves = []
    for number in range(3):
        model.train(5)
        model.save()
        os.chmod(model.folder / f"{NAME}_encoder.npy", 0o640 + number)
        taken = vault.snapshot(place(model), name=f"save {number}", patience=AT_ONCE)
        saves.append((taken, tree(model.folder)))
    assert [head.name for head in vault.snapshots()] == ["save 0", "save 1", "save 2"]
    assert [head.iteration for head in vault.snapshots()] == [5, 10, 15]
    for number, (taken, wanted) in enumerate(saves):
        vault.restore(taken.head.id, RestoreOptions(to=tmp_path / f"back {number}"))
        assert tree(tmp_path / f"back {number}") == wanted
        logical = sum(len(entry.data) for entry in wanted.values())
        assert taken.head.size == logical
        assert 0.5 * logical < taken.stored_bytes_added <= 0.86 * logical
        manifest = vault.show(taken.head.id)
        assert manifest.parent == (saves[number - 1][0].head.id if number else None)
    found = vault.verify(read_data=True)
    assert found.ok
    assert found.objects_checked == len(
        [path for path in (tmp_path / ".casvault/objects").rglob("*") if path.is_file()]
    )


def test_what_is_stored_is_what_is_told(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    taken = vault.snapshot(place(model))
    stored = sum(path.stat().st_size for path in (tmp_path / ".casvault/objects").rglob("*") if path.is_file())
    assert taken.stored_bytes_added == stored
    assert taken.new_bytes == taken.read_bytes == taken.head.size
    assert vault.stored_size(vault.show("latest")) == stored


def test_a_copy_costs_nothing(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    vault.snapshot(place(model))
    copy_as_it_comes(sorted(model.folder.iterdir(), reverse=True), tmp_path / "copy", oldest="data.dat")
    taken = vault.snapshot(tmp_path / "copy" / NAME, patience=AT_ONCE)
    assert (taken.new_bytes, taken.stored_bytes_added) == (0, 0)
    assert not taken.head.incomplete


def test_one_thread_makes_the_same_snapshot(tmp_path: Path, model: SampleModel) -> None:
    heads = []
    for threads in (1, 4):
        api.init(tmp_path / f"vault {threads}")
        opened = api.open(tmp_path / f"vault {threads}", threads=threads)
        heads.append(opened.snapshot(place(model)).head)
        assert opened.verify(read_data=True).ok
    assert heads[0].contents == heads[1].contents
    names = [{path.name for path in (tmp_path / f"vault {n}/objects").rglob("*")} for n in (1, 4)]
    assert names[0] == names[1]


def test_the_manifest_tells_the_state(vault: api.Vault, model: SampleModel) -> None:
    head = vault.snapshot(place(model), name=" first ", notes="batch 8\r\nlr 5e-5").head
    rows = model.losses
    assert head.loss == pytest.approx({"src": sum(r[0] for r in rows) / 5, "dst": sum(r[1] for r in rows) / 5})
    assert head.document["loss_last"] == {"src": rows[-1][0], "dst": rows[-1][1]}
    assert head.document["options"]["archi"] == "liae-ud"
    assert head.document["options"]["gan_power"] == 0.0
    assert (head.model_name, head.model_type, head.source) == (NAME, "SAEHD", "workspace/model")
    assert (head.name, head.label.notes) == ("first", "batch 8\nlr 5e-5")
    assert (head.kind, head.incomplete, head.healthy) == ("manual", False, True)
    tensors = {region.name for file in vault.show("first").files for region in file.regions}
    assert "conv0/weight:0" in tensors
    assert "vs_encoder/conv0/weight:0" in tensors


def test_the_run_grows_when_the_iteration_falls(vault: api.Vault, model: SampleModel) -> None:
    first = vault.snapshot(place(model)).head
    model.iteration, model.losses = 1, [[0.5, 0.5]]
    model.save()
    second = vault.snapshot(place(model)).head
    model.train(1)
    model.save()
    assert [first.document["run"], second.document["run"], vault.snapshot(place(model)).head.document["run"]] == [
        0,
        1,
        1,
    ]


def test_after_a_restore_the_restored_snapshot_is_the_parent(vault: api.Vault, model: SampleModel) -> None:
    first = vault.snapshot(place(model)).head
    model.train(5)
    model.save()
    vault.snapshot(place(model))
    vault.restore(first.id)
    model.iteration, model.losses = 6, model.losses[:6]
    model.save()
    third = vault.snapshot(place(model)).head
    assert (third.document["parent"], third.document["restored_from"]) == (first.id, first.id)
    assert third.document["run"] == 0


def test_a_half_saved_model_is_refused_and_leaves_nothing(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    (model.folder / f"{NAME}_decoder.npy").unlink()
    before = contents(tmp_path, ".casvault/objects")
    with pytest.raises(IncompleteSave, match=r"decoder\.npy is not there"):
        vault.snapshot(place(model), patience=AT_ONCE)
    assert vault.snapshots() == []
    assert contents(tmp_path, ".casvault/objects") == before


def test_allow_incomplete_marks_the_snapshot(vault: api.Vault, model: SampleModel) -> None:
    (model.folder / f"{NAME}_decoder.npy").unlink()
    taken = vault.snapshot(place(model), patience=Patience(0.0, allow_incomplete=True))
    assert taken.head.incomplete
    assert any("decoder.npy" in warning for warning in taken.warnings)
    assert vault.show(taken.head.id).incomplete


def test_a_file_written_in_place_while_it_is_read_is_read_again(
    vault: api.Vault, model: SampleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model.folder / f"{NAME}_src_dst_opt.npy"
    old, new = path.read_bytes(), bytearray(path.read_bytes())
    new[-2000:] = bytes(2000)
    written: list[bool] = []
    read_at = FileSource.read_at

    def write_after_reading(source: FileSource, offset: int, length: int) -> bytes:
        data = read_at(source, offset, length)
        if source.size == len(old) and length > 1 << 15 and not written:
            written.append(True)
            with open(path, "r+b") as file:
                file.write(new)
            os.utime(path, (1_700_000_000, 1_700_000_000))
        return data

    monkeypatch.setattr(FileSource, "read_at", write_after_reading)
    taken = vault.snapshot(place(model), patience=AT_ONCE)
    assert written
    assert len(vault.snapshots()) == 1
    vault.restore(taken.head.id, RestoreOptions(to=tmp_path / "back"))
    assert (tmp_path / "back" / path.name).read_bytes() == bytes(new)


def test_a_file_that_never_rests_is_given_up(
    vault: api.Vault, model: SampleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model.folder / f"{NAME}_src_dst_opt.npy"
    size, read_at = path.stat().st_size, FileSource.read_at
    moments = iter(range(1, 1000))

    def touch_after_reading(source: FileSource, offset: int, length: int) -> bytes:
        data = read_at(source, offset, length)
        if source.size == size and length > 1 << 15:
            os.utime(path, (next(moments), 1))
            os.utime(path, (1, next(moments)))
        return data

    monkeypatch.setattr(FileSource, "read_at", touch_after_reading)
    with pytest.raises(IncompleteSave, match=r"src_dst_opt\.npy"):
        vault.snapshot(place(model), patience=AT_ONCE)
    assert vault.snapshots() == []


def test_a_file_cut_short_while_it_is_read_is_read_again(
    vault: api.Vault, model: SampleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model.folder / f"{NAME}_src_dst_opt.npy"
    size, read_at = path.stat().st_size, FileSource.read_at

    def cut(source: FileSource, offset: int, length: int) -> bytes:
        data = read_at(source, offset, length)
        if source.size == size and length > 1 << 15:
            os.truncate(path, 1000)
        return data

    monkeypatch.setattr(FileSource, "read_at", cut)
    taken = vault.snapshot(place(model), patience=AT_ONCE)
    vault.restore(taken.head.id, RestoreOptions(to=tmp_path / "back"))
    assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()
    assert path.stat().st_size == 1000


def test_a_stale_temporary_file_is_not_captured(
    vault: api.Vault, model: SampleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("casvault.capture.capture")
    watch = importlib.import_module("casvault.capture.waiting")
    monkeypatch.setattr(watch, "_SETTLE", 0.05)
    monkeypatch.setattr(module, "_POLL", 0.01)
    (model.folder / f"{NAME}_encoder.npy.tmp").write_bytes(b"half")
    head = vault.snapshot(place(model)).head
    assert not head.incomplete
    assert not any(file.path.endswith(".tmp") for file in vault.show(head.id).files)


def test_an_unchanged_model_is_not_read_again(
    vault: api.Vault, model: SampleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "SETTLE_NS", -1)
    first = vault.snapshot(place(model))
    before = sum(len(data) for data in contents(tmp_path, ".casvault").values())
    counted = Counted(monkeypatch)
    second = vault.snapshot(place(model))
    assert (counted.bytes, second.read_bytes, second.new_bytes) == (0, 0, 0)
    assert second.head.contents == first.head.contents
    assert second.head.iteration == 5
    assert second.head.loss == first.head.loss
    assert sum(len(data) for data in contents(tmp_path, ".casvault").values()) - before < 64 << 10
    vault.restore(second.head.id, RestoreOptions(to=tmp_path / "back"))
    assert tree(tmp_path / "back") == tree(model.folder)


def test_a_file_as_young_as_the_clocks_grain_is_read_again(
    vault: api.Vault, model: SampleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.snapshot(place(model))
    counted = Counted(monkeypatch)
    assert vault.snapshot(place(model)).read_bytes > 0
    assert counted.bytes > 0


@pytest.mark.parametrize("how", ["edited in place, time put back", "touched", "replaced"])
def test_a_file_that_changed_since_is_read_again(
    vault: api.Vault, model: SampleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(identity, "SETTLE_NS", -1)
    vault.snapshot(place(model))
    path = model.folder / f"{NAME}_decoder.npy"
    status, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    if how == "touched":
        os.utime(path, (5, 5))
    elif how == "replaced":
        path.unlink()
        path.write_bytes(data)
        os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    else:
        with open(path, "r+b") as file:
            file.write(data)
        os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    taken = vault.snapshot(place(model))
    assert taken.read_bytes == len(data)
    vault.restore(taken.head.id, RestoreOptions(to=tmp_path / "back"))
    assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()


def test_a_chunk_that_the_vault_lost_is_stored_again(
    vault: api.Vault, model: SampleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "SETTLE_NS", -1)
    vault.snapshot(place(model))
    manifest = vault.show("latest")
    lost, empty = manifest.files[1].chunks[0], manifest.files[0].chunks[0]
    (tmp_path / f".casvault/objects/{lost.digest[:3]}/{lost.digest}").unlink()
    (tmp_path / f".casvault/objects/{empty.digest[:3]}/{empty.digest}").write_bytes(b"")
    assert not vault.verify().ok
    assert vault.snapshot(place(model)).new_bytes == lost.size + empty.size
    assert vault.verify(read_data=True).ok


def test_cancelling_leaves_no_snapshot(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    class Impatient(Progress):
        def advance(self, amount: int) -> None:
            self.cancel()
            super().advance(amount)

    with pytest.raises(Cancelled):
        vault.snapshot(place(model), progress=Impatient())
    assert vault.snapshots() == []
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".tmp")]
    assert vault.snapshot(place(model)).head.size > 0


def test_what_another_thread_has_not_stored_yet_is_not_relied_on(
    vault: api.Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two snapshots at once by one vault object, of folders that share their bytes; the first one comes to nothing."""
    shared = os.urandom(3 << 20)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shared.bin").write_bytes(shared)
    flush = Ingest.flush

    def interrupted(ingest: Ingest) -> None:
        monkeypatch.setattr(Ingest, "flush", flush)
        # The second one began, and looked what is there, before the first had put anything.
        with monkeypatch.context() as patch:
            patch.setattr(vault.objects, "forget", lambda: None)
            vault.snapshot(tmp_path / "second", patience=Patience(0.0, allow_incomplete=True))
        raise Cancelled("the first is cancelled.")

    monkeypatch.setattr(Ingest, "flush", interrupted)
    with pytest.raises(Cancelled):
        vault.snapshot(tmp_path / "first", patience=Patience(0.0, allow_incomplete=True))
    assert len(vault.snapshots()) == 1
    assert vault.verify(read_data=True).ok


def test_data_with_code_in_it_is_stored_and_restored_but_never_run(
    vault: api.Vault, model: SampleModel, tmp_path: Path
) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch '{tmp_path / 'ran'}'",)

    data = pickle.dumps({"iter": 5, "options": {}, "loss_history": [[1.0, 2.0]], "x": Evil()}, 4)
    (model.folder / f"{NAME}_data.dat").write_bytes(data)
    taken = vault.snapshot(place(model), patience=AT_ONCE)
    assert taken.head.iteration is None
    assert any("data.dat cannot be read" in warning for warning in taken.warnings)
    vault.restore(taken.head.id, RestoreOptions(to=tmp_path / "back"))
    assert tree(tmp_path / "back") == tree(model.folder)
    assert not (tmp_path / "ran").exists()


def test_losses_that_are_not_numbers_are_told(vault: api.Vault, model: SampleModel) -> None:
    model.losses[-1] = [float("nan"), 0.5]
    model.save()
    head = vault.snapshot(place(model)).head
    assert head.loss is not None
    assert head.loss["src"] is None
    assert not head.healthy
    json.dumps(head.to_json(), allow_nan=False)


# Models of other trainers


def test_a_generic_folder_with_what_its_owner_knows(vault: api.Vault, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "checkpoint-500"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "weights.bin").write_bytes(os.urandom(150_000))
    (folder / "empty.json").write_bytes(b"")
    taken = vault.snapshot(
        folder, model_name="lora", iteration=500, loss={"loss": 0.25}, meta={"rank": "16"}, name="half way"
    )
    head = taken.head
    assert (head.model_name, head.iteration, head.loss) == ("lora", 500, {"loss": 0.25})
    assert head.document["meta"] == {"rank": "16"}
    assert vault.find("lora@500").id == head.id
    vault.restore(head.id, RestoreOptions(to=tmp_path / "back"))
    assert tree(tmp_path / "back") == tree(folder)


def test_a_generic_name_survives_a_change_of_folder(vault: api.Vault, tmp_path: Path) -> None:
    for step in (500, 1000):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights.bin").write_bytes(os.urandom(100_000))
        vault.snapshot(folder, model_name="lora", iteration=step)
    first, second = vault.snapshots("lora")
    assert second.document["parent"] == first.id


def test_a_single_file(vault: api.Vault, tmp_path: Path) -> None:
    path = tmp_path / "files" / "net.safetensors"
    path.parent.mkdir()
    path.write_bytes(os.urandom(70_000))
    (path.parent / "neighbour.txt").write_text("not mine")
    head = vault.snapshot(path).head
    assert [file.path for file in vault.show(head.id).files] == ["net.safetensors"]
    wanted = tree(path.parent)
    path.write_bytes(b"broken")
    vault.restore(head.id)
    assert tree(path.parent) == wanted


def test_a_folder_with_models_deeper_down_is_doubted(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    (tmp_path / "workspace" / "notes.txt").write_text("x")
    (found,) = vault.models(tmp_path / "workspace")
    assert found.kind == "generic"
    assert "models deeper down" in (doubt(found) or "")
    assert doubt(vault.models(place(model))[0]) is None


def test_a_folder_with_many_files_or_bytes_is_doubted(
    vault: api.Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(201):
        (folder / str(number)).write_bytes(b"x")
    assert "201 files" in (doubt(vault.models(folder)[0]) or "")
    (folder / "200").unlink()
    assert doubt(vault.models(folder)[0]) is None
    monkeypatch.setattr("casvault.snapshot.scope._MANY_BYTES", 199)
    assert "GB" in (doubt(vault.models(folder)[0]) or "")


@posix
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_is_no_file_is_refused_in_one_sentence(vault: api.Vault, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "generic"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"x" * 1000)
    if kind == "link":
        (folder / "odd").symlink_to(tmp_path)
    else:
        os.mkfifo(folder / "odd")
    with pytest.raises(UsageError, match="odd") as caught:
        vault.snapshot(folder)
    assert "\n" not in str(caught.value)
    assert vault.snapshots() == []


def test_names_that_are_one_file_elsewhere_are_refused(vault: api.Vault, tmp_path: Path) -> None:
    folder = tmp_path / "generic"
    folder.mkdir()
    (folder / "Net.bin").write_bytes(b"1")
    (folder / "net.bin").write_bytes(b"2")
    if len(list(folder.iterdir())) == 1:
        pytest.skip("this file system knows no case")
    with pytest.raises(UsageError, match=r"net\.bin"):
        vault.snapshot(folder)


def test_several_models_are_listed_and_not_guessed(vault: api.Vault, model: SampleModel) -> None:
    make_model(model.folder, "other_SAEHD", 30_000)
    with pytest.raises(AmbiguousError, match="new_SAEHD") as caught:
        vault.snapshot(model.folder)
    assert "other_SAEHD" in str(caught.value)


# A trainer that saves all the time

_TRAINER = """
import random, sys, time
from pathlib import Path
import numpy as np
from casvault.demo.model import SampleModel

model = SampleModel(Path(sys.argv[1]), "new_SAEHD", 60_000)
random.seed(int(sys.argv[2]))
while True:
    model.iteration += 1
    model.losses.append([1.0, 1.0])
    for group in model.weights.values():
        group["mark:0"] = np.array([model.iteration])
    model.save(lambda what: time.sleep(random.choice((0, 0, 0.0005, 0.002))))
    if model.iteration == 1:
        print("saved", flush=True)
    time.sleep(random.choice((0.001, 0.02, 0.04)))
"""


def _iterations(folder: Path) -> set[int]:
    """Return the iterations that the files of a model are of, as each of them tells it."""
    summary = (folder / f"{NAME}_summary.txt").read_text()
    found = {int(line.split(":")[1].strip(" =")) for line in summary.splitlines() if "Current iteration" in line}
    found.add(pickle.loads((folder / f"{NAME}_data.dat").read_bytes())["iter"])
    found.add(int(pickle.loads((folder / f"{NAME}_src_dst_opt.npy").read_bytes())["iters:0"]))
    for role in ("encoder", "inter_AB", "inter_B", "decoder"):
        found.add(int(pickle.loads((folder / f"{NAME}_{role}.npy").read_bytes())["mark:0"][0]))
    return found


def _beside_a_trainer(vault: api.Vault, tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = importlib.import_module("casvault.capture.capture")
    monkeypatch.setattr(module, "_POLL", 0.002)
    folder = tmp_path / "workspace" / "model"
    command = [sys.executable, "-c", _TRAINER, str(folder), str(count)]
    with subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE) as trainer:
        try:
            assert trainer.stdout is not None
            trainer.stdout.readline()
            # As many more as it takes to meet enough saves: a snapshot can be quicker than the next save.
            heads: list[Head] = []
            while len(heads) < count or len({head.iteration for head in heads}) <= count // 3:
                assert trainer.poll() is None
                heads.append(vault.snapshot(folder / NAME).head)
        finally:
            trainer.kill()
    told = []
    for number, id in enumerate(head.id for head in heads):
        back = tmp_path / f"back {number}"
        vault.restore(id, RestoreOptions(to=back))
        iterations = _iterations(back)
        assert len(iterations) == 1
        assert iterations == {vault.find(id).iteration}
        told.append(iterations.pop())
    assert told == sorted(told)
    assert len(set(told)) > count // 3


def test_no_iterations_are_mixed_beside_a_training(
    vault: api.Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _beside_a_trainer(vault, tmp_path, 30, monkeypatch)


@pytest.mark.slow
def test_no_iterations_are_mixed_in_300_snapshots(
    vault: api.Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _beside_a_trainer(vault, tmp_path, 300, monkeypatch)


def test_no_lock_is_held_while_the_trainer_is_waited_for(vault: api.Vault, model: SampleModel) -> None:
    (model.folder / f"{NAME}_decoder.npy").unlink()
    key = vault.live_key(vault.models(model.folder / NAME)[0])
    free = []

    class Waiting(Progress):
        def message(self, text: str) -> None:
            with vault.locks.model(key, "test", wait=0.0), vault.locks.alone("test"):
                free.append(text)
            model.save()

    assert not vault.snapshot(model.folder / NAME, progress=Waiting()).head.incomplete
    assert "decoder.npy" in free[0]


def test_reading_all_does_not_forget_a_restore(vault: api.Vault, model: SampleModel) -> None:
    first = vault.snapshot(model.folder / NAME)
    model.train(1)
    model.save()
    vault.restore(first.id)
    assert vault.snapshot(model.folder / NAME, read_all=True).head.document["restored_from"] == first.id
