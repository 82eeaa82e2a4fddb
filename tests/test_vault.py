"""Making a vault, and the order in which a snapshot becomes real."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from casvault.backends.memory import MemoryBackend
from casvault.errors import BadManifest, NotFound, StorageError, UsageError
from casvault.files.identity import FileIdentity
from casvault.manifest.label import Label
from casvault.vault import config as config_module
from casvault.vault.config import VaultConfig
from casvault.vault.live import LiveRecord
from casvault.vault.vault import Vault, default_threads, is_workspace, open_vault
from tests.support.vaults import ID, make_manifest, make_vault, memory_vault, stamp, store

FOLDERS = {"objects", "snapshots", "labels", "live", "pending", "tmp", "cache"}


def check_vault(path: Path) -> None:
    """Check that the vault at ``path`` is whole and empty."""
    names = {entry.name for entry in path.iterdir()}
    assert names == {*FOLDERS, "vault.json", "lock", "gate", "README.txt"}
    assert all((path / name).is_dir() for name in FOLDERS)
    backend, config = open_vault(path)
    vault = Vault(backend, config, path)
    assert vault.heads() == []
    with vault.locks.alone("test"):
        pass


def test_making(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / ".casvault"
    assert Vault.create_at(path)
    check_vault(path)
    before = (path / "vault.json").read_bytes()
    assert not Vault.create_at(path)
    assert (path / "vault.json").read_bytes() == before


def test_two_vaults_are_two(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Vault.create_at(tmp_path / name)
    assert open_vault(tmp_path / "a")[1].uuid != open_vault(tmp_path / "b")[1].uuid


def test_places_that_are_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "workspace" / "model").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    for place in (tmp_path / "empty", tmp_path / ".casvault", Path("..") / "vault", tmp_path / "myworkspace" / "v"):
        assert Vault.create_at(place)
    check_vault(tmp_path / "vault")


def tree(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


PLACES = {
    "in the workspace": ("workspace/.casvault", "beside"),
    "the workspace itself": ("workspace", "beside"),
    "deep in the workspace": ("workspace/model/a/b", "beside"),
    "a workspace in capitals": ("other/Workspace/vault", "beside"),
    "in a model's folder": ("models/vault", "holds a model"),
    "in a new folder of a model's": ("models/new/vault", "holds a model"),
    "a model's folder": ("models", "not empty"),
    "a folder with something in it": ("stuff", "not empty"),
    "a file": ("file", "is a file"),
}


@pytest.mark.parametrize("what", PLACES)
def test_places_that_are_refused(tmp_path: Path, what: str) -> None:
    for folder in ("workspace", "other/Workspace", "models", "stuff"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("new_SAEHD_data.dat", "new_SAEHD_encoder.npy"):
        (tmp_path / "models" / name).write_bytes(b"x")
    (tmp_path / "stuff" / "notes.txt").write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"x")
    before = tree(tmp_path)
    place, words = PLACES[what]
    with pytest.raises(UsageError, match=words):
        Vault.create_at(tmp_path / place)
    assert tree(tmp_path) == before


class Killed(BaseException):
    """The process ends here."""


def interrupt(monkeypatch: pytest.MonkeyPatch, step: int) -> list[str]:
    """Let the call number ``step`` of those that change a disk be the last one."""
    done: list[str] = []

    def wrap(owner: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if len(done) == step:
                raise Killed
            done.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    for owner, names in ((os, ("open", "write", "fsync", "replace")), (Path, ("mkdir", "touch"))):
        for name in names:
            wrap(owner, name)
    return done


def test_an_interrupted_making_can_be_repeated_at_every_step(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        total = interrupt(patch, -1)
        Vault.create_at(tmp_path / "whole")
    assert {"mkdir", "touch", "write", "replace"} <= set(total)
    for step in range(len(total)):
        path = tmp_path / f"v{step}"
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, step)
            with pytest.raises(Killed):
                Vault.create_at(path)
        finished = (path / "vault.json").is_file()
        if finished:
            check_vault(path)
        elif path.is_dir():
            # A process that is killed leaves its temporary file as well.
            (path / ".0123456789abcdef.tmp").write_bytes(b"half")
        assert Vault.create_at(path) is not finished
        (path / ".0123456789abcdef.tmp").unlink(missing_ok=True)
        check_vault(path)


def test_the_configuration_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = VaultConfig.to_bytes
    there: set[str] = set()

    def look(self: VaultConfig) -> bytes:
        there.update(entry.name for entry in (tmp_path / "v").iterdir())
        return real(self)

    monkeypatch.setattr(config_module.VaultConfig, "to_bytes", look)
    Vault.create_at(tmp_path / "v")
    assert there == {*FOLDERS, "lock", "gate", "README.txt"}


def test_a_disk_that_takes_no_vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match="Read-only file system"):
        Vault.create_at(tmp_path / "v")


def test_commit_writes_the_label_first_and_the_manifest_last(monkeypatch: pytest.MonkeyPatch) -> None:
    vault = memory_vault()
    written: list[tuple[str, bool]] = []
    real = MemoryBackend._write

    def write(self: MemoryBackend, name: str, data: bytes, durable: bool) -> None:
        written.append((name, durable))
        real(self, name, data, durable)

    monkeypatch.setattr(MemoryBackend, "_write", write)
    manifest = make_manifest()
    vault.commit(manifest, Label(manifest.id, name="x"))
    assert written.pop() == ("cache/heads-recent", False)
    assert len(written) == 2
    assert written[0][0].startswith(f"labels/{manifest.id}.")
    assert written[1] == (f"snapshots/{manifest.id}.json", True)
    assert written[0][1]
    assert vault.manifest(manifest.id) == manifest
    assert vault.head(manifest.id).name == "x"


def test_a_snapshot_without_a_label_needs_none() -> None:
    vault = memory_vault()
    vault.commit(make_manifest(), Label(make_manifest().id))
    assert list(vault.backend.list("labels")) == []
    assert vault.heads()[0].name is None


def test_what_is_not_there() -> None:
    vault = memory_vault()
    with pytest.raises(NotFound, match=stamp(1)):
        vault.head(stamp(1))
    with pytest.raises(NotFound):
        vault.manifest(stamp(1))
    with pytest.raises(StorageError):
        vault.manifest("../../etc/passwd")


def test_a_damaged_manifest_is_not_acted_upon() -> None:
    vault = memory_vault()
    manifest = make_manifest()
    vault.backend.write(f"snapshots/{manifest.id}.json", manifest.to_bytes()[:-1])
    with pytest.raises(BadManifest):
        vault.manifest(manifest.id)
    vault.backend.write(f"snapshots/{stamp(3)}.json", manifest.to_bytes())
    with pytest.raises(BadManifest):
        vault.manifest(stamp(3))


def test_labels_win_by_the_order_of_writing_also_where_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    vault = memory_vault()
    id = make_manifest().id
    vault.commit(make_manifest(), Label(id))
    vault.backend.write(f"labels/{id}.29991231T235959.999Z-ffffff.json", Label(id, name="from the future").to_bytes())
    assert vault.heads()[0].name == "from the future"
    for number in range(5):
        vault.write_label(Label(id, name=f"name {number}"))
        assert vault.heads()[0].name == f"name {number}"


def test_ids_are_later_than_every_other() -> None:
    vault = memory_vault()
    assert vault.new_id() < "2999"
    future = "29991231T235959.999Z-ffffff"
    vault.backend.write(f"snapshots/{future}.json", make_manifest(future).to_bytes())
    assert vault.new_id() > future


def test_deleted_snapshots_are_shown_when_asked_for() -> None:
    vault = memory_vault()
    for number in (1, 2):
        vault.commit(make_manifest(stamp(number)), Label(stamp(number), deleted=number == 1))
    assert [head.id for head in vault.heads()] == [stamp(2)]
    assert [head.id for head in vault.heads(deleted=True)] == [stamp(1), stamp(2)]
    vault.write_label(Label(stamp(1)))
    assert [head.id for head in vault.heads()] == [stamp(1), stamp(2)]


def test_stored_size_counts_each_object_once() -> None:
    vault = memory_vault()
    one, two = store(vault.backend, b"one" * 100), store(vault.backend, b"two!")
    manifest = make_manifest(files={"a": b"one" * 100, "b": b"one" * 100, "c": b"two!", "d": b"not there"})
    assert vault.stored_size(manifest) == one.size + two.size


def test_sources_are_relative_to_the_vaults_parent(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    assert vault.home == tmp_path
    assert vault.source_of(tmp_path / "workspace" / "model") == "workspace/model"
    assert vault.source_of(tmp_path) == "."
    outside = tmp_path.parent / "elsewhere"
    assert vault.source_of(outside) == outside.as_posix()


def test_the_live_record_goes_through_the_vault(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    record = LiveRecord(stamp(1), files={"a": FileIdentity(1, 2, 3, 4, 5)})
    assert vault.live("key") is None
    vault.remember("key", record)
    assert make_vault(tmp_path).live("key") == record


@pytest.mark.parametrize(("text", "threads"), [("1", 1), ("7", 7), ("1000", 64)])
def test_threads_that_were_asked_for(monkeypatch: pytest.MonkeyPatch, text: str, threads: int) -> None:
    monkeypatch.setenv("CASVAULT_THREADS", text)
    assert default_threads() == threads


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "\u00b2", "9" * 5000])
def test_threads_by_the_number_of_cores(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CASVAULT_THREADS", text)
    assert 1 <= default_threads() <= 16


def test_what_could_not_be_read_again_is_not_committed(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    manifest = replace(make_manifest(), iteration=1 << 63)
    with pytest.raises(UsageError, match="cannot be recorded"):
        vault.commit(manifest, Label(manifest.id, "name"))
    assert vault.heads() == []
    assert list(vault.backend.list("labels")) == []


def test_a_disk_that_is_mounted_at_workspace_is_no_workspace_by_its_name() -> None:
    assert not is_workspace(Path("/workspace"))
    assert is_workspace(Path("/data/workspace"))


def test_a_label_is_changed_from_what_it_is_now(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    vault.commit(make_manifest(), Label(ID, "one"))
    other = make_vault(tmp_path)
    other.relabel(ID, "edit", lambda label: replace(label, notes="of another"))
    assert vault.relabel(ID, "edit", lambda label: replace(label, pinned=True)) == Label(
        ID, "one", "of another", pinned=True
    )
    count = len(vault.backend.list("labels"))
    vault.relabel(ID, "edit", lambda label: label)
    assert len(vault.backend.list("labels")) == count


def test_many_at_once_change_a_label_and_nothing_is_lost(tmp_path: Path) -> None:
    make_vault(tmp_path).commit(make_manifest(), Label(ID, "one"))

    def add(number: int) -> None:
        make_vault(tmp_path).relabel(ID, "edit", lambda label: replace(label, tags=(*label.tags, str(number))))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(16)))
    assert sorted(make_vault(tmp_path).head(ID).label.tags, key=int) == [str(number) for number in range(16)]
