"""Verify: all damage is found, named, and traced to the snapshots that it hits; nothing else is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from casvault import api
from casvault.codecs import Layout
from casvault.digest import digest_of
from casvault.errors import Cancelled, UsageError
from casvault.manifest.label import Label
from casvault.progress import Progress
from tests.support.damage import lean_on, path_of
from tests.support.deltas import install, store_delta
from tests.support.history import make_drifting, stored
from tests.support.lines import Line
from tests.support.trainer import NAME, contents, make_model


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    """A vault with two snapshots that share one file's chunks."""
    vault = api.init(tmp_path / ".casvault")
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "shared.bin").write_bytes(bytes(range(256)) * 40)
    for number in range(2):
        (folder / "own.bin").write_bytes(bytes([number, 7, 9]) * 500)
        vault.snapshot(folder, name=f"s{number}")
    return vault


def object_of(vault: api.Vault, snapshot: str, path: str) -> Path:
    assert vault.path is not None
    (file,) = [file for file in vault.show(snapshot).files if file.path == path]
    digest = file.chunks[0].digest
    return vault.path / "objects" / digest[:3] / digest


def test_a_whole_vault(vault: api.Vault) -> None:
    for read_data in (False, True):
        found = vault.verify(read_data=read_data)
        assert (found.ok, found.objects_checked, found.damaged, found.affected) == (True, 3, (), ())
    assert vault.verify().bytes_checked == 0
    assert vault.path is not None
    stored = sum(path.stat().st_size for path in (vault.path / "objects").rglob("*") if path.is_file())
    assert vault.verify(read_data=True).bytes_checked == stored


def test_verify_changes_nothing_but_what_is_derived(vault: api.Vault, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / ".casvault" / "cache")
    before = contents(tmp_path)
    vault.verify(read_data=True)
    vault.verify(sample=0.5)
    shutil.rmtree(tmp_path / ".casvault" / "cache")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("how", ["missing", "empty", "a header's size"])
def test_an_object_that_is_not_there_is_found_without_reading(vault: api.Vault, how: str) -> None:
    path = object_of(vault, "s0", "own.bin")
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 0 if how == "empty" else 96])
    found = vault.verify()
    assert not found.ok
    assert len(found.damaged) == 1
    assert path.name in found.damaged[0]
    assert found.affected == (vault.find("s0").id,)


def test_what_both_snapshots_need_hits_both(vault: api.Vault) -> None:
    object_of(vault, "s0", "shared.bin").unlink()
    assert vault.verify().affected == (vault.find("s0").id, vault.find("s1").id)


def _damages(data: bytes) -> Iterator[bytes]:
    for position in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            yield data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]
    for length in range(0, len(data), 3):
        yield data[:length]
    yield data + b"\0"


def test_every_wrong_bit_and_every_cut_of_an_object_is_found(vault: api.Vault) -> None:
    path = object_of(vault, "s1", "own.bin")
    data = path.read_bytes()
    assert len(data) < 400
    hit = (vault.find("s1").id,)
    for damaged in _damages(data):
        path.write_bytes(damaged)
        found = vault.verify(read_data=True)
        assert found.affected == hit
        assert len(found.damaged) == 1
        assert path.name in found.damaged[0]
    path.write_bytes(data)
    assert vault.verify(read_data=True).ok


def test_an_object_under_another_name_is_found(vault: api.Vault) -> None:
    one, two = object_of(vault, "s0", "own.bin"), object_of(vault, "s1", "own.bin")
    one.write_bytes(two.read_bytes())
    found = vault.verify(read_data=True)
    assert found.affected == (vault.find("s0").id,)


def test_damage_that_no_snapshot_needs_is_damage_and_hits_nobody(vault: api.Vault) -> None:
    path = object_of(vault, "s0", "own.bin")
    vault.write_label(Label(vault.find("s0").id, deleted=True))
    path.write_bytes(path.read_bytes()[:-1])
    found = vault.verify(read_data=True)
    assert not found.ok
    assert found.affected == ()
    path.unlink()
    assert vault.verify(read_data=True).ok


def test_thinned_files_are_not_missed(vault: api.Vault) -> None:
    object_of(vault, "s0", "own.bin").unlink()
    vault.write_label(Label(vault.find("s0").id, thinned=("own.bin",)))
    assert vault.verify(read_data=True).ok


@pytest.mark.parametrize("folder", ["snapshots", "labels"])
def test_every_wrong_bit_of_a_document_is_found(vault: api.Vault, folder: str) -> None:
    assert vault.path is not None
    id = vault.find("s1").id
    (path,) = (vault.path / folder).glob(f"{id}*")
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x20]) + data[position + 1 :])
        found = vault.verify()
        assert not found.ok, position
        assert found.affected == (id,)
    path.write_bytes(data)
    assert vault.verify().ok


def test_the_cache_is_not_believed(vault: api.Vault) -> None:
    assert vault.path is not None
    vault.snapshots()
    (path,) = (vault.path / "snapshots").glob(f"{vault.find('s1').id}*")
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    assert not vault.verify().ok


def test_what_is_damaged_is_stored_again_by_the_next_snapshot(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace/model", size=60_000)
    vault.snapshot(model.folder / NAME)
    shutil.rmtree(tmp_path / ".casvault/objects")
    assert not vault.verify().ok
    vault.snapshot(model.folder / NAME)
    assert vault.verify(read_data=True).ok


def test_one_thread_and_many_agree(vault: api.Vault) -> None:
    assert vault.path is not None
    object_of(vault, "s0", "own.bin").write_bytes(b"x" * 200)
    results = [api.open(vault.path, threads=threads).verify(read_data=True) for threads in (1, 4)]
    assert replace(results[1], last_checked=results[0].last_checked) == results[0]
    assert not results[0].ok


def test_a_missing_base_is_told_once_and_hits_all_that_lean_on_it(tmp_path: Path) -> None:
    line = Line(tmp_path)
    ids = line.grow(3)
    base = lean_on(line.vault)[0]
    path_of(line.vault, base).unlink()
    for read_data in (False, True):
        found = line.vault.verify(read_data=read_data)
        assert [sentence for sentence in found.damaged if base in sentence] == list(found.damaged)
        assert found.damaged == (f"chunk {base} has no object in the vault, and others lean on it.",)
        assert found.affected == tuple(ids)


def test_a_circle_of_bases_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = install(monkeypatch)
    vault = api.init(tmp_path / ".casvault")
    folder = tmp_path / "run"
    folder.mkdir()
    one, two = bytes(range(200)), bytes(range(1, 201))
    (folder / "a.bin").write_bytes(one)
    vault.snapshot(folder)
    path_of(vault, digest_of(one)).unlink()
    store_delta(vault.backend, digest_of(one), digest_of(two), codec.encode(one, Layout(), two))
    store_delta(vault.backend, digest_of(two), digest_of(one), codec.encode(two, Layout(), one))
    for read_data in (False, True):
        found = vault.verify(read_data=read_data)
        assert found.damaged == (f"chunk {digest_of(one)} leans on itself, by an endless chain of bases.",)


def test_what_is_stranded_and_not_needed_is_no_damage(vault: api.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    store_delta(vault.backend, digest_of(b"not needed"), digest_of(b"gone"), b"xxxxxxxxxx")
    assert vault.verify(read_data=True).ok


def test_samples_go_through_all_that_was_not_checked_for_longest(vault: api.Vault) -> None:
    assert vault.verify().last_checked[:3] == (3, 3, None)
    never = []
    for _ in range(3):
        found = vault.verify(sample=0.01)
        assert found.objects_read == 1
        never.append(found.last_checked.never)
    assert never == [2, 1, 0]
    assert vault.verify().oldest_check is not None
    assert vault.verify(sample=1.0).objects_read == 3


def test_a_sample_has_at_least_the_share_of_bytes_that_was_asked_for(tmp_path: Path) -> None:
    vault, _ = make_drifting(tmp_path, 3)
    for share in (0.05, 0.3, 0.8):
        found = vault.verify(sample=share)
        assert found.bytes_checked >= share * stored(vault)
        assert found.objects_read < found.objects_checked or share == 0.8


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan")])
def test_a_sample_that_is_none(vault: api.Vault, share: float) -> None:
    with pytest.raises(UsageError, match="sample"):
        vault.verify(sample=share)


def test_what_is_damaged_counts_as_never_checked_and_is_found_by_every_sample(vault: api.Vault) -> None:
    vault.verify(read_data=True)
    path = object_of(vault, "s0", "own.bin")
    path.write_bytes(path.read_bytes()[:-1])
    assert vault.verify(read_data=True).last_checked.never == 1
    for _ in range(3):
        assert not vault.verify(sample=0.0001).ok


@pytest.mark.parametrize("threads", [1, 3])
def test_what_was_checked_before_it_was_stopped_counts(vault: api.Vault, threads: int) -> None:
    class Stops(Progress):
        def advance(self, amount: int) -> None:
            self.cancel()
            super().advance(amount)

    assert vault.path is not None
    with pytest.raises(Cancelled):
        api.open(vault.path, threads=threads).verify(read_data=True, progress=Stops())
    assert vault.verify().last_checked.never == 2


def test_it_can_be_cancelled(vault: api.Vault) -> None:
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        vault.verify(read_data=True, progress=progress)
