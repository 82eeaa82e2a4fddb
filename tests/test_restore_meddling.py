"""Restores that meet what nobody planned for: saves in between, moved projects, coarse clocks, strangers, folders."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from casvault import Patience, RestoreOptions, api
from casvault.demo.model import SampleModel
from casvault.errors import AmbiguousError, CasvaultError, IncompleteSave, NotFound, TrainerRunning, UsageError
from casvault.files.identity import FileIdentity
from casvault.restore import journal as journal_module
from casvault.restore import restore as restore_function
from casvault.vault.live import LiveRecord
from tests.support.trainer import NAME, contents, make_model

restore_module: Any = sys.modules[restore_function.__module__]


class Stop(BaseException):
    """The end of the process, as far as the code under test can tell."""


def project(folder: Path) -> tuple[api.Vault, SampleModel, dict[str, bytes]]:
    """Return a vault with the snapshot ``first`` of a model that trained on since, and the bytes of that snapshot."""
    model = make_model(folder / "workspace/model")
    vault = api.init(folder / ".casvault")
    vault.snapshot(model.folder / NAME, name="first")
    first = contents(model.folder)
    model.train(3)
    model.save()
    return vault, model, first


def crash_after(steps: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Do ``work`` and let it end after so many files were put in place."""
    done = journal_module.Workplace._do
    count = [0]

    def counted(place: journal_module.Workplace, step: journal_module.Step) -> None:
        if count[0] == steps:
            raise Stop
        count[0] += 1
        done(place, step)

    with monkeypatch.context() as patched:
        patched.setattr(journal_module.Workplace, "_do", counted)
        with pytest.raises(Stop):
            work()


@pytest.mark.parametrize("number", range(8))
def test_a_save_while_files_are_put_in_place_never_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    vault, model, first = project(tmp_path)
    done = journal_module.Workplace._do
    count = [0]

    def with_a_save(place: journal_module.Workplace, step: journal_module.Step) -> None:
        if count[0] == number:
            model.train(1)
            model.save()
        count[0] += 1
        done(place, step)

    with monkeypatch.context() as patched:
        patched.setattr(journal_module.Workplace, "_do", with_a_save)
        try:
            vault.restore("first")
        except CasvaultError:
            pass
        else:
            assert contents(model.folder) == first or count[0] <= number
    vault.restore("first")
    assert contents(model.folder) == first
    vault.snapshot(model.folder / NAME)


@pytest.mark.parametrize("moment", ["_stage", "_backup", "_journal"])
def test_a_save_before_the_journal_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    vault, model, _ = project(tmp_path)
    real = getattr(restore_module, moment)

    def then_a_save(*arguments: Any) -> Any:
        result = real(*arguments)
        model.train(1)
        model.save()
        return result

    monkeypatch.setattr(restore_module, moment, then_a_save)
    with pytest.raises(TrainerRunning, match="Nothing was changed"):
        vault.restore("first")
    monkeypatch.undo()
    assert f"Current iteration: {model.iteration}" in (model.folder / f"{NAME}_summary.txt").read_text()
    assert not list(model.folder.glob(".casvault*"))
    vault.snapshot(model.folder / NAME)


def test_a_project_that_was_moved_after_a_crash_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault, _, first = project(tmp_path / "old")
    crash_after(2, monkeypatch, lambda: vault.restore("first"))
    os.rename(tmp_path / "old", tmp_path / "new")
    (told,) = api.open(tmp_path / "new/.casvault").finish_interrupted()
    assert "finished the restore" in told
    assert contents(tmp_path / "new/workspace/model") == first


def test_a_folder_that_is_away_for_a_while_is_finished_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, model, first = project(tmp_path)
    crash_after(2, monkeypatch, lambda: vault.restore("first"))
    os.rename(tmp_path / "workspace", tmp_path / "away")
    for _ in range(2):
        (told,) = vault.finish_interrupted()
        assert "once that folder is there again" in told
    os.rename(tmp_path / "away", tmp_path / "workspace")
    vault.finish_interrupted()
    assert contents(model.folder) == first


def test_a_restore_that_never_began_leaves_no_pointer(tmp_path: Path) -> None:
    vault, _, _ = project(tmp_path)
    journal_module.Workplace.begin(vault, tmp_path / "new", "new\nx_SAEHD")
    shutil.rmtree(tmp_path / "new")
    assert vault.finish_interrupted() == []
    assert list((tmp_path / ".casvault/tmp").glob("restore-*")) == []


def test_a_file_system_with_coarse_times_does_not_hinder_finishing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, model, first = project(tmp_path)
    real = os.utime

    def coarse(path: Any, *, ns: tuple[int, int]) -> None:
        real(path, ns=(ns[0] // 2_000_000_000 * 2_000_000_000, ns[1] // 2_000_000_000 * 2_000_000_000))

    monkeypatch.setattr(os, "utime", coarse)
    crash_after(3, monkeypatch, lambda: vault.restore("first"))
    (told,) = vault.finish_interrupted()
    assert "finished" in told
    assert contents(model.folder) == first


def test_a_restore_with_nothing_to_do_settles_what_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, model, first = project(tmp_path)
    crash_after(2, monkeypatch, lambda: vault.restore("first"))
    for name, data in first.items():
        (model.folder / name).write_bytes(data)
    assert "changed since" in vault.finish_interrupted()[0]
    vault.restore("first")
    assert not list(model.folder.glob(".casvault*"))
    assert vault.finish_interrupted() == []
    vault.snapshot(model.folder / NAME)


def test_a_workplace_without_its_pointer_is_settled_by_a_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, model, first = project(tmp_path)
    crash_after(2, monkeypatch, lambda: vault.restore("first"))
    shutil.rmtree(tmp_path / ".casvault/tmp")
    with pytest.raises(IncompleteSave, match="interrupted"):
        vault.snapshot(model.folder / NAME, patience=Patience(0))
    vault.restore("first")
    assert contents(model.folder) == first
    vault.snapshot(model.folder / NAME)


def test_an_interrupted_restore_does_not_hinder_a_neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault, model, _ = project(tmp_path)
    neighbour = make_model(model.folder, name="other_AMP")
    shutil.copy(model.folder / f"{NAME}_encoder.npy", model.folder / "other_SAEHD_encoder.npy")
    crash_after(2, monkeypatch, lambda: vault.restore("first"))
    (model.folder / f"{NAME}_encoder.npy").write_bytes(b"\x80 the trainer's.")
    result = vault.snapshot(neighbour.folder / "other_AMP_data.dat", patience=Patience(0, allow_incomplete=True))
    assert "interrupted" not in " ".join(result.warnings)


def test_a_damaged_snapshot_is_no_backup_and_is_healed_by_one(tmp_path: Path) -> None:
    """The live model is the last whole copy of what a damaged snapshot held: it must not be replaced unsaved."""
    vault, model, first = project(tmp_path)
    vault.snapshot(model.folder / NAME, name="second")
    vault.restore("first")
    theirs = {chunk.digest for chunk in vault.show("second").chunks()}
    mine = next(chunk for chunk in vault.show("first").chunks() if chunk.digest not in theirs)
    path = tmp_path / ".casvault" / vault.objects.encodings(mine.digest)[0].blob
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert vault.verify(read_data=True).affected == (vault.find("first").id,)
    result = vault.restore("second")
    assert result.backup is not None
    assert vault.verify(read_data=True).ok
    vault.undo(model.folder / NAME)
    assert contents(model.folder) == first


# Generic models


def generic(folder: Path, files: dict[str, str]) -> Path:
    """Make the folder ``folder`` with these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_vault_in_a_model_is_refused(tmp_path: Path) -> None:
    folder = generic(tmp_path / "ckpt", {"w": "1"})
    vault = api.init(folder / "vault")
    with pytest.raises(UsageError, match="lies in the model's folder"):
        vault.snapshot(folder)


def test_a_moved_vault_clears_no_strangers_folder(tmp_path: Path) -> None:
    vault = api.init(tmp_path / "one/.casvault")
    vault.snapshot(generic(tmp_path / "one/ckpt", {"w": "1"}), name="one")
    other = generic(tmp_path / "two/ckpt", {"precious": "mine"})
    os.rename(tmp_path / "one/.casvault", tmp_path / "two/.casvault")
    moved = api.open(tmp_path / "two/.casvault")
    with pytest.raises(UsageError, match="does not know the folder"):
        moved.restore("one", RestoreOptions(backup=False))
    assert contents(other) == {"precious": b"mine"}


def test_a_single_file_does_not_replace_a_folder(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    file = generic(tmp_path / "g", {"f": "1"}) / "f"
    vault.snapshot(file, name="one")
    file.unlink()
    generic(tmp_path / "g/f", {"precious": "mine"})
    with pytest.raises(UsageError, match="in the way"):
        vault.restore("one", RestoreOptions(backup=False))
    assert contents(tmp_path / "g") == {"f/precious": b"mine"}


@pytest.mark.parametrize(("before", "after"), [({"s": "1"}, {"s/a": "2"}), ({"s/a": "1"}, {"s": "2"})])
@pytest.mark.parametrize("steps", [0, 1])
def test_a_folder_in_a_files_place_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: dict[str, str], after: dict[str, str], steps: int
) -> None:
    vault = api.init(tmp_path / ".casvault")
    folder = generic(tmp_path / "m", before)
    wanted = contents(folder)
    vault.snapshot(folder, name="one")
    shutil.rmtree(folder)
    folder.mkdir()
    generic(folder, after)
    vault.snapshot(folder, name="two")
    had = contents(folder)
    crash_after(steps, monkeypatch, lambda: vault.restore("one"))
    assert all("finished" in told for told in vault.finish_interrupted())
    assert contents(folder) == wanted
    vault.undo(folder)
    assert contents(folder) == had
    assert [path for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_single_files_backup_is_not_the_snapshot_of_its_folder(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    folder = generic(tmp_path / "F", {"a.bin": "old"})
    vault.snapshot(folder, name="whole")
    generic(folder, {"a.bin": "newer"})
    vault.snapshot(folder / "a.bin", name="single")
    generic(folder, {"a.bin": "old", "b.bin": "precious"})
    vault.restore("single")
    vault.undo(folder / "a.bin")
    assert contents(folder) == {"a.bin": b"old", "b.bin": b"precious"}


def test_a_generic_model_keeps_its_name_and_its_undo(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    folder = generic(tmp_path / "ck-500", {"w": "1"})
    vault.snapshot(folder, name="one", model_name="mym")
    generic(folder, {"w": "22"})
    result = vault.restore("one")
    assert vault.snapshot(folder).head.model_name == "mym"
    vault.undo(result.model_path)
    assert contents(folder) == {"w": b"22"}
    vault.undo("mym")
    assert contents(folder) == {"w": b"1"}


def test_undo_survives_another_snapshot_and_the_cache(tmp_path: Path) -> None:
    vault, model, first = project(tmp_path)
    newer = contents(model.folder)
    vault.restore("first")
    vault.snapshot(model.folder / NAME, read_all=True)
    shutil.rmtree(tmp_path / ".casvault/cache")
    vault.undo(model.folder / NAME)
    assert contents(model.folder) == newer
    shutil.rmtree(tmp_path / ".casvault/live")
    with pytest.raises(NotFound, match="nothing to undo"):
        vault.undo(model.folder / NAME)
    assert contents(model.folder) == newer != first


def test_another_name_alone_is_no_target_for_a_generic_model(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    folder = generic(tmp_path / "m", {"w": "1"})
    vault.snapshot(folder, name="one")
    generic(folder, {"w": "2"})
    with pytest.raises(UsageError, match="--to"):
        vault.restore("one", RestoreOptions(as_name="copy"))
    assert contents(folder) == {"w": b"2"}


def test_a_short_name_among_models_is_that_model(tmp_path: Path) -> None:
    vault, model, first = project(tmp_path)
    vault.restore("first", RestoreOptions(to=model.folder / NAME.rpartition("_")[0]))
    assert contents(model.folder) == first
    with pytest.raises(UsageError, match="would break the trainer"):
        vault.restore("first", RestoreOptions(to=model.folder / "plain"))


def test_bytes_that_change_without_a_time_are_found_with_read_all(tmp_path: Path) -> None:
    """A write through a memory map may move no time stamp; here the times are put back by hand."""
    vault = api.init(tmp_path / ".casvault")
    folder = generic(tmp_path / "m", {"w": "1"})
    first = vault.snapshot(folder)
    (folder / "w").write_text("2")
    identity = FileIdentity.at(folder / "w")
    assert identity is not None
    vault.remember(vault.live_key(vault.models(folder)[0]), LiveRecord(first.id, files={"w": identity}))
    assert vault.snapshot(folder).read_bytes == 0
    told = vault.snapshot(folder, read_all=True)
    assert told.read_bytes == 1
    assert told.head.contents != first.head.contents


def test_several_models_are_told_and_refused(tmp_path: Path) -> None:
    vault, model, _ = project(tmp_path)
    make_model(model.folder, name="other_SAEHD")
    with pytest.raises(AmbiguousError, match="other_SAEHD"):
        vault.snapshot(model.folder)
    results, failures = vault.snapshot_each(vault.models(model.folder))
    assert [one.head.model_name for one in results] == sorted([NAME, "other_SAEHD"])
    assert failures == {}
