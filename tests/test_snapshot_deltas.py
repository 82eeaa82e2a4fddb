"""Deltas from end to end: a line of training restores to the last bit, and what goes wrong hurts little."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casvault import api
from casvault.backends import Batch
from casvault.capture import Patience
from casvault.chunking.chunks import Chunk
from casvault.chunking.parameters import ChunkingParameters
from casvault.codecs import CODEC_IDS, Layout
from casvault.demo.model import SampleModel
from casvault.errors import CasvaultError, DamageError
from casvault.objects import Frame, ObjectName
from casvault.restore import RestoreOptions
from casvault.snapshot.bases import Bases
from casvault.vault.config import VaultConfig
from casvault.vault.head import Head
from casvault.vault.vault import Vault


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def objects_of(vault: api.Vault) -> list[ObjectName]:
    vault.objects.forget()
    return list(vault.objects.every())


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    made = SampleModel(tmp_path / "workspace" / "model", "new_SAEHD", size=2_500_000)
    made.train(10)
    made.save()
    return made


@pytest.fixture
def vault(tmp_path: Path, model: SampleModel) -> api.Vault:
    return api.init(tmp_path / ".casvault")


def train_and_snapshot(vault: api.Vault, model: SampleModel, name: str, iterations: int = 20) -> dict[str, bytes]:
    model.train(iterations)
    model.save()
    vault.snapshot(model.folder, name=name)
    return contents(model.folder)


def test_a_line_of_training(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    saves = {f"save {n}": train_and_snapshot(vault, model, f"save {n}") for n in range(20)}
    heads = vault.snapshots()
    assert [head.document["since_key"] for head in heads] == [*range(16), 0, 1, 2, 3]
    assert vault.verify(read_data=True).ok
    names = objects_of(vault)
    based = {name.digest: name.base for name in names if name.base}
    assert len(based) > 200
    assert not any(based.get(based.get(base, "")) for base in based.values() if base in based)
    for name, wanted in saves.items():
        back = tmp_path / "back" / name.replace(" ", "-")
        vault.restore(name, RestoreOptions(to=back))
        assert contents(back) == wanted
    stored = [result_size(vault, head.id) for head in heads]
    assert all(size < 0.97 * stored[0] for size in stored[1:16])


def result_size(vault: api.Vault, id: str) -> int:
    """Return the bytes of a snapshot's objects that no earlier one has: here all but a few are of one snapshot only."""
    return sum(vault.objects.encodings(digest)[0].size for digest in {c.digest for c in vault.manifest(id).chunks()})


@pytest.mark.parametrize(("iterations", "forgotten"), [(20, False), (150, True)])
def test_first_moments_of_long_ago_are_no_base(
    vault: api.Vault, model: SampleModel, monkeypatch: pytest.MonkeyPatch, iterations: int, forgotten: bool
) -> None:
    train_and_snapshot(vault, model, "first")
    based: set[str] = set()
    of = Bases.of

    def noted(bases: Bases, role: str, chunk: Chunk) -> str | None:
        base = of(bases, role, chunk)
        if base is not None and chunk.region is not None:
            based.add(chunk.region[:3])
        return base

    monkeypatch.setattr(Bases, "of", noted)
    train_and_snapshot(vault, model, "second", iterations)
    assert "vs_" in based
    assert ("ms_" in based) is not forgotten


def test_a_branch_after_going_back(vault: api.Vault, model: SampleModel) -> None:
    first = train_and_snapshot(vault, model, "first")
    train_and_snapshot(vault, model, "second")
    vault.restore("first")
    assert contents(model.folder) == first
    branch = train_and_snapshot(vault, model, "branch")
    head = vault.find("branch")
    assert head.document["parent"] == vault.find("first").id
    vault.restore("second")
    vault.restore("branch")
    assert contents(model.folder) == branch
    assert vault.verify(read_data=True).ok


def test_renamed_folders_of_a_generic_model(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    random = np.random.default_rng(1)
    weights = (random.standard_normal((200, 300)) * 0.05).astype(np.float32)
    for step in (500, 1000):
        folder = tmp_path / "runs" / "lora"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / f"checkpoint-{step}").mkdir(parents=True)
        noise = random.standard_normal(weights.shape).astype(np.float32) * np.float32(0.0005)
        np.savez(folder / f"checkpoint-{step}" / "model.npz", weight=weights + noise, step=np.arange(step))
        vault.snapshot(folder, model_name="lora", name=f"at {step}", patience=Patience(0.0))
    assert [name.base is not None for name in objects_of(vault)].count(True) == 1
    vault.restore("at 1000", RestoreOptions(to=tmp_path / "back"))
    assert contents(tmp_path / "back") == contents(tmp_path / "runs" / "lora")


def test_one_damaged_object_is_told_and_hurts_only_what_leans_on_it(
    vault: api.Vault, model: SampleModel, tmp_path: Path
) -> None:
    for number in range(18):
        train_and_snapshot(vault, model, f"save {number}")
    names = objects_of(vault)
    key = next(name.base for name in names if name.base and not any(n.digest == name.base and n.base for n in names))
    (alone,) = [name for name in names if name.digest == key]
    path = tmp_path / ".casvault" / alone.blob
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    report = vault.verify(read_data=True)
    assert not report.ok
    assert [alone.blob in sentence for sentence in report.damaged] == [True]
    hit = set(report.to_json()["affected_snapshots"])
    everyone = {head.id: head.title for head in vault.snapshots()}
    assert hit
    assert hit < set(everyone)
    for id in everyone:
        back = tmp_path / "back" / id
        if id in hit:
            with pytest.raises(DamageError):
                vault.restore(id, RestoreOptions(to=back))
        else:
            vault.restore(id, RestoreOptions(to=back))
    # The next snapshot does not lean on what is damaged.
    wanted = train_and_snapshot(vault, model, "after")
    vault.restore("after", RestoreOptions(to=tmp_path / "back" / "after"))
    assert contents(tmp_path / "back" / "after") == wanted


def test_going_back_to_older_bytes_makes_no_cycle(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    first = train_and_snapshot(vault, model, "first")
    train_and_snapshot(vault, model, "second")
    (alone, *_) = [
        n for n in objects_of(vault) if n.base is None and any(m.base == n.digest for m in objects_of(vault))
    ]
    # The key is lost; the old bytes come back by hand, and with them the object.
    (tmp_path / ".casvault" / alone.blob).unlink()
    for name, data in first.items():
        (model.folder / name).write_bytes(data)
    vault.snapshot(model.folder, name="again")
    assert vault.verify(read_data=True).ok
    again = [name for name in objects_of(vault) if name.digest == alone.digest]
    assert [name.base for name in again] == [None]


def test_frames_say_what_their_names_say(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    train_and_snapshot(vault, model, "first")
    train_and_snapshot(vault, model, "second")
    codecs = set()
    for name in objects_of(vault):
        frame = Frame.parse((tmp_path / ".casvault" / name.blob).read_bytes(), name.blob)
        assert frame.base == name.base
        assert len(frame.payload) <= frame.plain_size
        codecs.add(frame.codec)
    assert {CODEC_IDS["turned-planes"], CODEC_IDS["delta"]} <= codecs
    assert CODEC_IDS["planes"] not in codecs


class Run:
    """A generic model of two small tensors that drift, and a vault that cuts them finely."""

    def __init__(self, home: Path) -> None:
        self.home = home
        path = home / ".casvault"
        Vault.create_at(path)
        chunking = ChunkingParameters(16_384, 4_096, 1_024, 2_048, 8_192)
        (path / "vault.json").write_bytes(VaultConfig(chunking=chunking).to_bytes())
        self.vault = api.open(path)
        self.random = np.random.default_rng(1)
        self.tensors = {name: self._noise() * np.float32(0.05) for name in ("one", "two")}
        self.folder = home / "runs" / "net"

    def _noise(self) -> Any:
        return self.random.standard_normal((60, 100)).astype(np.float32)

    def train(self) -> None:
        for name, tensor in self.tensors.items():
            self.tensors[name] = tensor + self._noise() * np.float32(1e-4)

    def save(self, file: str = "model.npz") -> dict[str, bytes]:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **self.tensors)
        return contents(self.folder)

    def snapshot(self, name: str) -> Head:
        return self.vault.snapshot(self.folder, model_name="net", name=name, patience=Patience(0.0)).head

    def step(self, name: str) -> dict[str, bytes]:
        self.train()
        wanted = self.save()
        self.snapshot(name)
        return wanted

    def back(self, name: str) -> dict[str, bytes]:
        to = self.home / "back" / name
        self.vault.restore(name, RestoreOptions(to=to))
        return contents(to)

    def objects(self, name: str) -> list[ObjectName]:
        self.vault.objects.forget()
        digests = {chunk.digest for chunk in self.vault.show(name).chunks()}
        return [one for digest in digests for one in self.vault.objects.encodings(digest)]

    def path(self, name: ObjectName) -> Path:
        return self.home / ".casvault" / name.blob


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.mark.parametrize("how", ["damaged", "cut short", "gone"])
def test_a_damaged_or_missing_base_is_not_leaned_on(run: Run, how: str) -> None:
    run.step("before")
    for one in run.objects("before"):
        path = run.path(one)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes({"damaged": bytes(data), "cut short": bytes(data[:-7]), "gone": b""}[how])
    wanted = run.step("after")
    assert not any(one.base for one in run.objects("after"))
    assert run.back("after") == wanted


@pytest.mark.parametrize("how", ["damaged", "gone"])
@pytest.mark.parametrize("lost", [["one"], ["zero", "one"]])
def test_a_parent_that_cannot_be_read_or_is_gone_is_not_leaned_on(
    run: Run, tmp_path: Path, how: str, lost: list[str]
) -> None:
    saves = {name: run.step(name) for name in ("zero", "one")}
    assert any(one.base for one in run.objects("one"))
    theirs = {one.digest for one in run.objects("one")} - {one.digest for one in run.objects("zero")}
    for path in [tmp_path / ".casvault" / "snapshots" / f"{run.vault.find(name).id}.json" for name in lost]:
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-9])
    run.vault = api.open(tmp_path / ".casvault")
    saves["two"] = run.step("two")
    bases = {one.base for one in run.objects("two")}
    assert not bases & theirs
    assert bases == {None} or lost == ["one"]
    for name in saves.keys() - set(lost):
        assert run.back(name) == saves[name]


def test_an_incomplete_parent_is_not_leaned_on(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    train_and_snapshot(vault, model, "whole")
    model.train(1)
    model.save()
    (model.folder / "new_SAEHD_decoder.npy").unlink()
    patience = Patience(0.0, allow_incomplete=True)
    assert vault.snapshot(model.folder, name="incomplete", patience=patience).head.incomplete
    wanted = train_and_snapshot(vault, model, "after")
    assert vault.find("after").document["since_key"] == 0
    assert not any(vault.objects.encodings(chunk.digest)[0].base for chunk in vault.show("after").chunks())
    vault.restore("after", RestoreOptions(to=tmp_path / "back"))
    assert contents(tmp_path / "back") == wanted


def test_more_than_eight_branches_from_one_snapshot(run: Run) -> None:
    run.step("root")
    wanted = {}
    for number in range(10):
        run.vault.restore("root")
        with np.load(run.folder / "model.npz") as tensors:
            run.tensors = dict(tensors)
        wanted[f"branch {number}"] = run.step(f"branch {number}")
    leaning = [any(one.base for one in run.objects(name)) for name in wanted]
    assert leaning == [True] * 8 + [False] * 2
    assert {name: run.back(name) for name in wanted} == wanted
    assert run.vault.verify(read_data=True).ok


def test_a_checkpoint_in_a_folder_of_its_own(run: Run, tmp_path: Path) -> None:
    saves = {}
    for step in (500, 1_000, 1_500):
        run.folder = tmp_path / "runs" / f"checkpoint-{step}"
        # The second has a tensor before the others, and a file of another name.
        if step == 1_000:
            run.tensors = {"new": run.tensors["one"] * np.float32(2), **run.tensors}
        run.train()
        saves[f"at {step}"] = run.save(f"model-{step}.npz")
        run.snapshot(f"at {step}")
    assert [sum(one.base is not None for one in run.objects(name)) for name in saves] == [0, 4, 6]
    assert {name: run.back(name) for name in saves} == saves


def test_an_older_value_that_a_base_leans_on_stands_alone(run: Run) -> None:
    first = run.step("first")
    run.step("second")
    leaning = [one for one in run.objects("second") if one.base]
    for one in leaning:
        # What leans also stands alone, and what it leaned on is lost.
        assert one.base is not None
        plain = run.vault.objects.read(one.digest)
        alone = Frame(CODEC_IDS["raw"], Layout(4, 100), len(plain), None, plain).pieces()
        run.vault.backend.write(ObjectName(one.digest, None, 0).blob, b"".join(alone))
        run.vault.backend.delete(ObjectName(one.base, None, 0).blob)
    assert leaning
    with np.load(io.BytesIO(first["model.npz"])) as tensors:
        run.tensors = dict(tensors)
    run.save()
    run.snapshot("again")
    assert {one.base for one in run.objects("again")} == {None}
    assert run.back("again") == run.back("first") == contents(run.folder)
    assert run.vault.verify(read_data=True).ok


def test_every_damaged_byte_of_a_deltas_header_is_told(run: Run) -> None:
    run.step("first")
    wanted = run.step("second")
    one = next(one for one in run.objects("second") if one.base)
    path = run.path(one)
    whole = path.read_bytes()
    for place in range(96):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        run.vault.objects.forget()
        try:
            run.vault.objects.read(one.digest)
        except CasvaultError:
            assert not run.vault.verify(read_data=True).ok
            continue
        # The checksum of bytes that are right by their digest is not looked at.
        assert place >= 64 or place in range(6, 7) or place in range(12, 16)
    path.write_bytes(whole)
    assert run.back("second") == wanted


def test_what_leans_on_a_base_that_is_gone_is_not_relied_on(
    vault: api.Vault, model: SampleModel, tmp_path: Path
) -> None:
    train_and_snapshot(vault, model, "first")
    second = train_and_snapshot(vault, model, "second")
    vault.delete("first", "second")
    # As an interrupted sweep may leave it after a power cut: bases are gone, what leans on them is not.
    for name in objects_of(vault):
        if name.base is None:
            vault.backend.delete(name.blob)
    vault.snapshot(model.folder, name="again")
    assert vault.verify(read_data=False).ok
    vault.restore("again", RestoreOptions(to=tmp_path / "back"))
    assert contents(tmp_path / "back") == second


def test_folders_are_synced_but_for_what_the_parent_vouches_for(
    vault: api.Vault, model: SampleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = Batch.flush

    def flush(batch: Batch, folders: Iterable[str] = ()) -> None:
        synced.extend(folders)
        real(batch, synced)

    monkeypatch.setattr(Batch, "flush", flush)
    train_and_snapshot(vault, model, "one")
    vault.snapshot(model.folder, name="the same")
    assert synced == []
    vault.snapshot(model.folder, name="read again", read_all=True)
    assert synced == []
    # Of a model without a parent nobody vouches for what is there.
    stranger = model.folder.parent / "copy"
    stranger.mkdir()
    shutil.copyfile(model.folder / "new_SAEHD_encoder.npy", stranger / "weights.npy")
    vault.snapshot(stranger, name="a stranger's")
    assert synced
    there = {name.folder for name in objects_of(vault)}
    assert set(synced) <= there
