"""Export: every byte of the model in a zip that anybody can open, or no file at all."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import zipfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from unittest import mock

import pytest

from casvault import Progress
from casvault.errors import Cancelled, DamageError, NoSpace, NotFound, StorageError, UsageError
from casvault.export import export
from casvault.manifest.label import Label
from casvault.vault.vault import Vault
from tests.support.history import History, snapshot_of
from tests.support.trainer import contents
from tests.support.vaults import make_entry, make_manifest, memory_vault, store

OPTIMIZER = "new_SAEHD_src_dst_opt.npy"


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path, 1)


def unzipped(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


def test_the_bytes_are_those_of_the_model(history: History, tmp_path: Path) -> None:
    wanted = contents(history.model.folder)
    result = history.vault.export("latest", tmp_path / "a.zip")
    assert unzipped(tmp_path / "a.zip") == wanted
    assert (sorted(result.files), result.left_out) == (sorted(wanted), ())
    assert result.size == (tmp_path / "a.zip").stat().st_size
    assert result.faces == ("new_SAEHD_data.dat",)
    assert result.to_json()["holds_face_images"] == ["new_SAEHD_data.dat"]


@pytest.mark.skipif(shutil.which("unzip") is None, reason="needs unzip")
def test_another_program_opens_it(history: History, tmp_path: Path) -> None:
    history.vault.export("latest", tmp_path / "a.zip")
    done = subprocess.run(["unzip", "-t", tmp_path / "a.zip"], capture_output=True, text=True, check=True)
    assert "No errors detected" in done.stdout
    subprocess.run(["unzip", "-q", tmp_path / "a.zip", "-d", tmp_path / "out"], check=True)
    assert contents(tmp_path / "out") == contents(history.model.folder)


def test_modes_and_times_are_kept(history: History, tmp_path: Path) -> None:
    path = history.model.folder / "new_SAEHD_encoder.npy"
    moment = datetime(2024, 5, 6, 7, 8, 10)
    os.utime(path, (moment.timestamp(), moment.timestamp()))
    path.chmod(0o640)
    snapshot_of(history.vault, history.model.folder)
    history.vault.export("latest", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        info = archive.getinfo("new_SAEHD_encoder.npy")
    assert info.date_time == (2024, 5, 6, 7, 8, 10)
    if os.name != "nt":
        assert stat.filemode(info.external_attr >> 16) == "-rw-r-----"


def test_without_optimizers(history: History, tmp_path: Path) -> None:
    wanted = contents(history.model.folder)
    del wanted[OPTIMIZER]
    result = history.vault.export("latest", tmp_path / "a.zip", weights_only=True)
    assert unzipped(tmp_path / "a.zip") == wanted
    assert result.left_out == (OPTIMIZER,)


@pytest.mark.parametrize("collected", [False, True])
def test_what_was_thinned_is_left_out(history: History, tmp_path: Path, collected: bool) -> None:
    wanted = contents(history.model.folder)
    del wanted[OPTIMIZER]
    history.vault.thin("latest", gc=collected)
    result = history.vault.export("latest", tmp_path / "a.zip")
    assert unzipped(tmp_path / "a.zip") == wanted
    assert result.left_out == (OPTIMIZER,)


def test_any_folder_with_folders_in_it(history: History, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for name, data in (("a.bin", b"a" * 1000), ("deep/er/b.bin", b"b"), ("empty", b""), ("übung €.txt", b"c")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    history.vault.export(snapshot_of(history.vault, folder), tmp_path / "a.zip", weights_only=True)
    assert unzipped(tmp_path / "a.zip") == contents(folder)


# Where it may not go


def test_what_is_there_is_not_replaced_unless_asked(history: History, tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    target.write_bytes(b"mine")
    with pytest.raises(UsageError, match="is there already"):
        history.vault.export("latest", target)
    assert target.read_bytes() == b"mine"
    history.vault.export("latest", target, overwrite=True)
    assert unzipped(target) == contents(history.model.folder)


def test_folders_and_what_lies_nowhere_are_refused(history: History, tmp_path: Path) -> None:
    for target, words in (
        (tmp_path, "is a folder; say a file in it"),
        (tmp_path / "nowhere" / "a.zip", "there is no folder"),
        (history.model.paths()[0] / "a.zip", "there is no folder"),
    ):
        for overwrite in (False, True):
            before = sorted(tmp_path.rglob("*"))
            with pytest.raises(UsageError, match=words):
                history.vault.export("latest", target, overwrite=overwrite)
            assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user who may not write everywhere")
def test_where_nothing_may_be_written(history: History, tmp_path: Path) -> None:
    folder = tmp_path / "shut"
    folder.mkdir(mode=0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        history.vault.export("latest", folder / "a.zip")


def test_a_path_may_be_relative(history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = history.vault.export("latest", "a.zip")
    assert result.path == tmp_path / "a.zip"


def test_no_snapshot(history: History, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        history.vault.export("no such", tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


# Where it cannot be finished


def objects_of(history: History) -> list[Path]:
    assert history.vault.path is not None
    return sorted(path for path in (history.vault.path / "objects").rglob("*") if path.is_file())


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_damaged_object_ends_it_and_leaves_what_was_there(history: History, tmp_path: Path, overwrite: bool) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if overwrite:
        (out / "a.zip").write_bytes(b"mine")
    for path in objects_of(history)[-3:]:
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
    with pytest.raises(DamageError, match="damaged") as error:
        history.vault.export("latest", out / "a.zip", overwrite=overwrite)
    assert str(error.value).count("\n") == 0
    assert contents(out) == ({"a.zip": b"mine"} if overwrite else {})


def test_a_missing_object_ends_it(history: History, tmp_path: Path) -> None:
    objects_of(history)[0].unlink()
    with pytest.raises(DamageError):
        history.vault.export("latest", tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip"))
    assert not list(tmp_path.glob(".*.tmp"))


def made_up(mtime_ns: int = 0, digest: str | None = None) -> tuple[Vault, str]:
    """Return a vault with one snapshot of one small file, whose entry says this."""
    vault = memory_vault()
    store(vault.backend, b"weights")
    manifest = make_manifest(files={"new_SAEHD_encoder.npy": b"weights"})
    entry = make_entry("new_SAEHD_encoder.npy", b"weights")
    changed = replace(entry, mtime_ns=mtime_ns, digest=digest or entry.digest)
    made = replace(manifest, files=(changed,))
    vault.commit(made, Label(made.id))
    return vault, made.id


def test_a_file_that_is_not_what_its_digest_says_ends_it(tmp_path: Path) -> None:
    vault, id = made_up(digest="ab" * 32)
    with pytest.raises(DamageError, match="does not come out of the vault as it went in"):
        export(vault, vault.head(id), tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mtime_ns", "expected"),
    [
        (0, (1980, 1, 1, 0, 0, 0)),
        (-(10**18), (1980, 1, 1, 0, 0, 0)),
        (-(2**63) + 1, (1980, 1, 1, 0, 0, 0)),
        (2**63 - 1, (2107, 12, 31, 23, 59, 58)),
        (5 * 10**18, (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_times_that_no_zip_can_say(tmp_path: Path, mtime_ns: int, expected: tuple[int, ...]) -> None:
    vault, id = made_up(mtime_ns)
    export(vault, vault.head(id), tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.infolist()[0].date_time == expected
    assert unzipped(tmp_path / "a.zip") == {"new_SAEHD_encoder.npy": b"weights"}


class Stop(Progress):
    """Counts what it is told, and stops after so many bytes."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after, self.done, self.total = after, 0, 0

    def start(self, task: str, total: int | None) -> None:
        assert task == "exporting"
        self.total = total or 0

    def advance(self, amount: int) -> None:
        self.done += amount
        if self.done >= self.after:
            self.cancel()
        super().advance(amount)


def test_it_can_be_stopped_and_leaves_nothing(history: History, tmp_path: Path) -> None:
    progress = Stop(20_000)
    with pytest.raises(Cancelled):
        history.vault.export("latest", tmp_path / "out.zip", progress=progress)
    assert progress.done < progress.total
    assert not list(tmp_path.glob("*.zip"))
    assert not list(tmp_path.glob(".*.tmp"))


def test_progress_comes_to_its_total(history: History, tmp_path: Path) -> None:
    progress = Stop(10**12)
    history.vault.export("latest", tmp_path / "out.zip", progress=progress)
    assert progress.done == progress.total == sum(map(len, contents(history.model.folder).values()))


def test_a_full_disk_ends_it_and_leaves_nothing(history: History, tmp_path: Path) -> None:
    full = OSError(28, os.strerror(28))
    with mock.patch("casvault.export.sync_descriptor", side_effect=full), pytest.raises(NoSpace, match="disk is full"):
        history.vault.export("latest", tmp_path / "out.zip")
    assert not list(tmp_path.glob("*.zip"))
    assert not list(tmp_path.glob(".*.tmp"))
