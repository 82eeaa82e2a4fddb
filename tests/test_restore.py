"""Restore: exact, where it was asked for, touching nothing else, with a backup first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from casvault import api
from casvault.capture import Patience
from casvault.demo.model import SampleModel
from casvault.errors import (
    Cancelled,
    CasvaultError,
    DamageError,
    IncompleteSave,
    NoSpace,
    NotFound,
    StorageError,
    UsageError,
)
from casvault.manifest.label import Label
from casvault.progress import Progress
from casvault.restore import RestoreOptions
from tests.support.trainer import NAME, contents, make_model, make_neighbours, tree, wreck


class Bench(NamedTuple):
    """A vault with the snapshots "first" and "second" of a model, which has trained on since."""

    root: Path
    vault: api.Vault
    model: SampleModel
    first: dict[str, Any]
    second: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.model.folder

    @property
    def place(self) -> Path:
        return self.model.folder / NAME


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace" / "model", size=100_000)
    os.chmod(model.folder / f"{NAME}_encoder.npy", 0o600)
    states = []
    for name in ("first", "second"):
        vault.snapshot(model.folder / NAME, name=name)
        states.append(tree(model.folder))
        model.train(5)
        model.save()
    return Bench(tmp_path, vault, model, *states)


def test_it_comes_back_with_bytes_modes_and_times(bench: Bench) -> None:
    result = bench.vault.restore("first")
    assert tree(bench.folder) == bench.first
    assert result.backup is not None
    assert not result.backup_existed
    assert result.plan.folder == bench.folder


def test_a_half_deleted_model_is_brought_back_by_one_restore(bench: Bench) -> None:
    wreck(bench.model)
    bench.vault.restore("second")
    assert tree(bench.folder) == bench.second


def test_a_model_of_which_nothing_is_left(bench: Bench) -> None:
    shutil.rmtree(bench.folder)
    result = bench.vault.restore("second")
    assert tree(bench.folder) == bench.second
    assert result.backup is None


def test_files_that_are_right_already_are_left_alone(bench: Bench) -> None:
    bench.vault.restore("first")
    path = bench.folder / f"{NAME}_decoder.npy"
    path.write_bytes(b"broken")
    inodes = {p.name: p.stat().st_ino for p in bench.folder.iterdir() if p != path and not p.name.endswith("data.dat")}
    result = bench.vault.restore("first")
    actions = {change.path: change.action for change in result.plan.changes}
    assert actions.pop(path.name) == "replace"
    assert set(actions.values()) == {"keep"}
    assert {name: (bench.folder / name).stat().st_ino for name in inodes} == inodes
    assert tree(bench.folder) == bench.first


def test_a_model_that_is_right_already_costs_nothing(bench: Bench) -> None:
    bench.vault.restore("first")
    count = len(bench.vault.snapshots())
    result = bench.vault.restore("first")
    assert result.plan.nothing_to_do
    assert result.backup is None
    assert len(bench.vault.snapshots()) == count


# The automatic backup


def test_the_backup_holds_what_was_there_and_says_why(bench: Bench) -> None:
    wreck(bench.model)
    before = tree(bench.folder)
    backup = bench.vault.restore("first").backup
    assert backup is not None
    assert (backup.kind, backup.incomplete) == ("auto-backup", True)
    assert backup.name == "Before restoring 'first' (iter 5)"
    bench.vault.restore(backup.id, RestoreOptions(to=bench.root / "back", allow_incomplete=True))
    assert tree(bench.root / "back") == before


def test_nothing_is_stored_where_a_snapshot_has_the_same_contents(bench: Bench) -> None:
    bench.vault.restore("second", RestoreOptions(backup=False))
    before = contents(bench.root, ".casvault/objects") | contents(bench.root, ".casvault/snapshots")
    result = bench.vault.restore("first")
    assert result.backup_existed
    assert result.backup is not None
    assert result.backup.name == "second"
    assert contents(bench.root, ".casvault/objects") | contents(bench.root, ".casvault/snapshots") == before


@pytest.mark.parametrize("how", ["deleted", "thinned", "damaged"])
def test_a_snapshot_that_cannot_be_relied_on_is_no_backup(bench: Bench, how: str) -> None:
    second = bench.vault.find("second")
    bench.vault.restore("second", RestoreOptions(backup=False))
    if how == "damaged":
        lost = bench.vault.show("second").files[1].chunks[0].digest
        (bench.root / f".casvault/objects/{lost[:3]}/{lost}").unlink()
    else:
        thinned = (f"{NAME}_src_dst_opt.npy",) if how == "thinned" else ()
        bench.vault.write_label(Label(second.id, "second", deleted=how == "deleted", thinned=thinned))
    result = bench.vault.restore("first")
    assert result.backup is not None
    assert result.backup.id != second.id
    assert not result.backup_existed
    bench.vault.undo(bench.place)
    assert tree(bench.folder) == bench.second


def test_without_a_backup_there_is_none(bench: Bench) -> None:
    count = len(bench.vault.snapshots())
    result = bench.vault.restore("first", RestoreOptions(backup=False))
    assert result.backup is None
    assert len(bench.vault.snapshots()) == count
    assert tree(bench.folder) == bench.first
    with pytest.raises(NotFound, match="nothing to undo"):
        bench.vault.undo(bench.place)


def test_a_backup_is_not_the_latest(bench: Bench) -> None:
    bench.vault.restore("first")
    assert bench.vault.find("latest").name == "second"
    assert bench.vault.find("latest~1").name == "first"


# What it must not touch


def test_neighbours_are_never_touched(bench: Bench) -> None:
    make_neighbours(bench.folder)
    wreck(bench.model)
    own = set(bench.first) | {f"{NAME}_inter_B.npy.tmp"}
    others = {name: entry for name, entry in tree(bench.folder).items() if name not in own}
    bench.vault.restore("first")
    assert tree(bench.folder) == bench.first | others
    bench.vault.undo(bench.place)
    assert {name: entry for name, entry in tree(bench.folder).items() if name not in own} == others
    taken = bench.vault.show(bench.vault.snapshots()[-1].id)
    assert {file.path for file in taken.files} <= own


def test_files_that_the_snapshot_lacks_are_removed_and_backed_up(bench: Bench) -> None:
    bench.model.weights["GAN"] = bench.model.weights["encoder"]
    bench.model.save()
    assert (bench.folder / f"{NAME}_GAN.npy").exists()
    bench.vault.restore("first")
    assert tree(bench.folder) == bench.first
    bench.vault.undo(bench.place)
    assert (bench.folder / f"{NAME}_GAN.npy").exists()


def test_what_is_in_the_way_and_is_no_file_is_not_replaced(bench: Bench) -> None:
    (bench.folder / f"{NAME}_decoder.npy").unlink()
    (bench.folder / f"{NAME}_decoder.npy").mkdir()
    before = tree(bench.folder)
    with pytest.raises(CasvaultError, match=r"decoder\.npy"):
        bench.vault.restore("first")
    assert tree(bench.folder) == before


def test_data_dat_goes_first_and_comes_last(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    moves = []
    replace = os.replace

    def noted(source: Any, target: Any) -> None:
        if bench.folder in (Path(source).parent, Path(target).parent):
            moves.append((Path(source).name, Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    bench.vault.restore("first")
    assert len(moves) == 8
    assert moves[0][0] == f"{NAME}_data.dat"
    assert moves[-1][1] == f"{NAME}_data.dat"


def test_data_dat_is_out_of_the_way_even_where_it_is_right_already(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.vault.restore("first")
    (bench.folder / f"{NAME}_decoder.npy").write_bytes(b"broken")
    there = []
    replace = os.replace

    def noted(source: Any, target: Any) -> None:
        if Path(target).name == f"{NAME}_decoder.npy":
            there.append((bench.folder / f"{NAME}_data.dat").exists())
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    bench.vault.restore("first")
    assert there == [False]
    assert tree(bench.folder) == bench.first


# Where to


def test_to_a_new_folder(bench: Bench) -> None:
    before = tree(bench.folder)
    bench.vault.restore("first", RestoreOptions(to=bench.root / "deep" / "new"))
    assert tree(bench.root / "deep" / "new") == bench.first
    assert tree(bench.folder) == before


def test_to_a_folder_with_another_model(bench: Bench) -> None:
    other = make_model(bench.root / "other", "other_SAEHD", 30_000)
    before = tree(other.folder)
    bench.vault.restore("first", RestoreOptions(to=other.folder))
    assert tree(other.folder) == before | bench.first


def test_over_another_model_of_the_same_type(bench: Bench) -> None:
    other = make_model(bench.root / "other", "other_SAEHD", 30_000)
    result = bench.vault.restore("first", RestoreOptions(to=other.folder / "other_SAEHD"))
    assert result.plan.live.name == "other_SAEHD"
    renamed = {name.replace(NAME, "other_SAEHD"): entry for name, entry in bench.first.items()}
    assert tree(other.folder) == renamed
    bench.vault.undo(other.folder / "other_SAEHD")
    assert contents(other.folder) != {name: entry.data for name, entry in renamed.items()}


def test_over_a_model_of_another_type_is_refused(bench: Bench) -> None:
    folder = bench.root / "other"
    folder.mkdir()
    (folder / "x_Quick96_data.dat").write_bytes(b"data")
    with pytest.raises(UsageError, match="Quick96"):
        bench.vault.restore("first", RestoreOptions(to=folder / "x_Quick96"))
    assert contents(folder) == {"x_Quick96_data.dat": b"data"}


def test_as_another_name(bench: Bench) -> None:
    before = tree(bench.folder)
    bench.vault.restore("first", RestoreOptions(as_name="old"))
    renamed = {name.replace(NAME, "old_SAEHD"): entry for name, entry in bench.first.items()}
    assert tree(bench.folder) == before | renamed


@pytest.mark.parametrize("name", ["../x", "a/b", "CON", "x_Quick96", ".hidden", "", "x" * 300])
def test_names_that_cannot_be(bench: Bench, name: str) -> None:
    before = tree(bench.root)
    if name == "":
        assert bench.vault.plan_restore("first", RestoreOptions(as_name=name)).live.name == NAME
        return
    with pytest.raises(UsageError):
        bench.vault.restore("first", RestoreOptions(as_name=name))
    assert tree(bench.root, "workspace") == {n: e for n, e in before.items() if n.startswith("workspace")}


def test_to_a_file_is_refused(bench: Bench) -> None:
    (bench.root / "file").write_bytes(b"x")
    with pytest.raises(CasvaultError):
        bench.vault.restore("first", RestoreOptions(to=bench.root / "file"))
    assert (bench.root / "file").read_bytes() == b"x"


def test_a_source_that_is_not_on_this_machine(bench: Bench, tmp_path: Path) -> None:
    shutil.rmtree(bench.root / "workspace")
    with pytest.raises(UsageError, match="--to"):
        bench.vault.restore("first")
    bench.vault.restore("first", RestoreOptions(to=bench.folder))
    assert tree(bench.folder) == bench.first


def _generic(bench: Bench) -> Path:
    folder = bench.root / "runs" / "lora"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "a.bin").write_bytes(os.urandom(100_000))
    (folder / "b.json").write_bytes(b"{}")
    bench.vault.snapshot(folder, name="lora")
    return folder


def test_a_generic_folder_comes_back_exactly(bench: Bench) -> None:
    folder = _generic(bench)
    wanted = tree(folder)
    (folder / "unet" / "a.bin").write_bytes(b"broken")
    (folder / "new.bin").write_bytes(b"made since")
    (folder / "b.json").unlink()
    before = tree(folder)
    bench.vault.restore("lora")
    assert tree(folder) == wanted
    bench.vault.undo(folder)
    assert tree(folder) == before


def test_a_generic_folder_is_not_restored_over_strangers(bench: Bench) -> None:
    _generic(bench)
    stranger = bench.root / "photos"
    stranger.mkdir()
    (stranger / "me.jpg").write_bytes(b"me")
    with pytest.raises(UsageError, match=r"me\.jpg"):
        bench.vault.restore("lora", RestoreOptions(to=stranger))
    assert contents(stranger) == {"me.jpg": b"me"}
    (bench.root / "empty").mkdir()
    bench.vault.restore("lora", RestoreOptions(to=bench.root / "empty"))
    assert tree(bench.root / "empty") == tree(bench.root / "runs" / "lora")


# What it refuses


def test_an_incomplete_snapshot_wants_to_be_asked_for(bench: Bench) -> None:
    (bench.folder / f"{NAME}_decoder.npy").unlink()
    head = bench.vault.snapshot(bench.place, patience=Patience(0.0, allow_incomplete=True)).head
    before = tree(bench.folder)
    with pytest.raises(IncompleteSave, match="--allow-incomplete"):
        bench.vault.restore(head.id, RestoreOptions(to=bench.root / "back"))
    assert not (bench.root / "back").exists()
    bench.vault.restore(head.id, RestoreOptions(to=bench.root / "back", allow_incomplete=True))
    assert tree(bench.root / "back") == before


def test_a_thinned_file_is_left_out(bench: Bench) -> None:
    optimizer = f"{NAME}_src_dst_opt.npy"
    first = bench.vault.find("first")
    bench.vault.write_label(Label(first.id, "first", thinned=(optimizer,)))
    bench.vault.restore("first", RestoreOptions(to=bench.root / "back"))
    wanted = dict(bench.first)
    del wanted[optimizer]
    assert tree(bench.root / "back") == wanted


@pytest.mark.parametrize("damage", ["missing", "flipped", "empty", "swapped"])
def test_a_damaged_object_never_reaches_the_model(bench: Bench, damage: str) -> None:
    manifest = bench.vault.show("first")
    objects = [bench.root / f".casvault/objects/{c.digest[:3]}/{c.digest}" for c in manifest.chunks()]
    target, other = objects[-1], objects[0]
    data = bytearray(target.read_bytes())
    if damage == "missing":
        target.unlink()
    elif damage == "flipped":
        data[-1] ^= 1
        target.write_bytes(data)
    elif damage == "empty":
        target.write_bytes(b"")
    else:
        target.write_bytes(other.read_bytes())
    before = tree(bench.folder)
    with pytest.raises(DamageError) as caught:
        bench.vault.restore("first")
    assert caught.value.exit_code == 20
    assert tree(bench.folder) == before
    assert len(bench.vault.snapshots()) == 2


def test_a_disk_that_has_no_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(bench.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    size = bench.vault.find("first").size
    with pytest.raises(NoSpace, match=rf"{size:,} bytes in .* and 16,777,216 to spare, where 1 are free"):
        bench.vault.restore("first")
    assert tree(bench.folder) == before


def test_room_for_the_restore_but_not_for_the_backup(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(bench.folder)
    size = sum(len(entry.data) for entry in before.values())
    free = size + (16 << 20) + size // 2
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, free))
    with pytest.raises(NoSpace, match="--no-backup") as caught:
        bench.vault.restore("first")
    assert f"{size:,} bytes" in str(caught.value)
    assert tree(bench.folder) == before
    bench.vault.restore("first", RestoreOptions(backup=False))
    assert tree(bench.folder) == bench.first


def test_a_backup_that_exists_needs_no_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.vault.restore("second", RestoreOptions(backup=False))
    size = bench.vault.find("second").size
    free = size + (16 << 20) + size // 2
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, free))
    assert bench.vault.restore("first").backup_existed


@pytest.mark.parametrize("task", ["comparing", "restoring", "storing"])
def test_cancelling_leaves_everything_as_it_was(bench: Bench, task: str) -> None:
    class Impatient(Progress):
        def start(self, what: str, total: int | None) -> None:
            if what == task:
                self.cancel()

    before = tree(bench.folder)
    with pytest.raises(Cancelled):
        bench.vault.restore("first", progress=Impatient())
    assert tree(bench.folder) == before
    assert len(bench.vault.snapshots()) == 2
    assert not list((bench.root / ".casvault/tmp").glob("restore-*"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_that_may_not_be_written(bench: Bench) -> None:
    bench.folder.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="nothing was changed"):
            bench.vault.restore("first")
    finally:
        bench.folder.chmod(0o700)
    assert len(bench.vault.snapshots()) == 2


def test_a_plan_changes_nothing(bench: Bench) -> None:
    wreck(bench.model)
    before = tree(bench.root)
    plan = bench.vault.plan_restore("first")
    assert tree(bench.root) == before
    actions = {change.path.removeprefix(f"{NAME}_"): change.action for change in plan.changes}
    assert actions == {
        "data.dat": "add",
        "decoder.npy": "add",
        "encoder.npy": "replace",
        "inter_AB.npy": "replace",
        "inter_B.npy": "replace",
        "src_dst_opt.npy": "replace",
        "summary.txt": "replace",
        "inter_B.npy.tmp": "remove",
    }
    assert plan.staged_bytes == sum(len(entry.data) for entry in bench.first.values())


@pytest.mark.parametrize(
    "make", [lambda path: path.symlink_to("elsewhere"), getattr(os, "mkfifo", None)], ids=["link", "fifo"]
)
def test_odd_things_under_the_models_names_are_refused(bench: Bench, make: Callable[[Path], None]) -> None:
    path = bench.folder / f"{NAME}_decoder.npy"
    path.unlink()
    try:
        make(path)
    except (OSError, TypeError):
        pytest.skip("not on this system")
    with pytest.raises(UsageError, match=r"decoder\.npy") as caught:
        bench.vault.restore("first")
    assert "\n" not in str(caught.value)
