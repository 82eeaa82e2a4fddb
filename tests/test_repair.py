"""Repair: what is damaged goes aside, what can be had comes back, and nothing else is touched."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from casvault import api
from casvault.codecs import CODEC_IDS, Layout
from casvault.digest import digest_of
from casvault.errors import Cancelled, DamageError, Locked, NoSpace, NoVault, StorageError, UsageError
from casvault.files import locks
from casvault.manifest.label import Label
from casvault.objects import Frame, ObjectName
from casvault.progress import Progress
from casvault.repair import heal, quarantine, repair
from casvault.restore import RestoreOptions
from tests.support.damage import flip, lean_on, object_files, of_file, path_of, quarantined
from tests.support.lines import Line, copy_of
from tests.support.trainer import NAME, contents, make_model, tree


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A line of four snapshots, whose model is still in its place."""
    made = Line(tmp_path, threads=2)
    made.grow(4)
    return made


def own(line: Line, number: int) -> Path:
    """Return the object of what only one snapshot of the line has, which leans on nothing."""
    id = list(line.saves)[number]
    return path_of(line.vault, of_file(line.vault, id, "log.bin")[0])


def check_all(line: Line) -> None:
    """Assert that all is well and every snapshot gives what was captured."""
    vault = api.open(line.root / ".casvault")
    assert vault.verify(read_data=True).ok
    line.check(vault)


def test_a_whole_vault_is_left_as_it_is(line: Line) -> None:
    line.vault.verify(read_data=True)
    before = tree(line.root)
    for found in (line.vault.plan_repair(), line.vault.repair()):
        assert found.ok
        assert found.nothing_to_do
    after = tree(line.root)
    assert {name: entry for name, entry in after.items() if "/cache/" not in name and "/tmp/" not in name} == {
        name: entry for name, entry in before.items() if "/cache/" not in name and "/tmp/" not in name
    }


def test_what_the_live_model_has_is_healed_from_it(line: Line) -> None:
    path = own(line, -1)
    plain = path.read_bytes()
    flip(path)
    plan, wrong = line.vault.plan_repair(), path.read_bytes()
    assert (plan.quarantined, plan.lost, plan.ok) == ((path.name,), (), True)
    assert not quarantined(line.vault)
    found = line.vault.repair()
    assert (found.healed, found.hit) == (plan.healed, {list(line.saves)[-1]: ("log.bin",)})
    assert found.healed == {path.name: "the live model line"}
    (kept,) = quarantined(line.vault)
    assert (line.root / ".casvault/quarantine" / kept).read_bytes() == wrong
    assert path.read_bytes() == plain
    check_all(line)


@pytest.mark.parametrize("gone", [False, True])
def test_bases_of_earlier_snapshots_are_healed_from_the_live_model(line: Line, gone: bool) -> None:
    bases = [base for base in lean_on(line.vault) if len(path_of(line.vault, base).name) == 64]
    assert len(bases) >= 2
    for base in bases:
        path = path_of(line.vault, base)
        path.unlink() if gone else flip(path)
    assert len(line.vault.verify(read_data=True).affected) == 4
    found = line.vault.repair()
    assert found.ok
    assert found.healed.keys() == set(bases)
    check_all(line)


def test_a_base_below_a_base_is_healed(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.grow(6)
    below = {path.name[:64]: path.name[65:] for path in object_files(line.vault) if "." in path.name}
    chains = [base for base in below.values() if base in below]
    assert chains, "no base has a base itself"
    (path_of(line.vault, below[chains[0]])).unlink()
    assert line.vault.repair().ok
    check_all(line)


def test_another_vault_heals_the_rest_and_is_only_read(line: Line, tmp_path: Path) -> None:
    other = copy_of(line.vault, tmp_path / "other")
    for path in object_files(line.vault)[::2]:
        flip(path)
    for path in object_files(line.vault)[1::4]:
        path.unlink()
    alone = line.vault.repair()
    assert not alone.ok
    assert other.path is not None
    before = tree(other.path)
    found = line.vault.repair(other.path)
    assert found.ok
    assert set(found.healed) == {hit.digest for hit in alone.lost}
    assert tree(other.path) == before
    check_all(line)


def test_what_is_lost_is_told_and_the_rest_can_be_restored(line: Line, tmp_path: Path) -> None:
    ids = list(line.saves)
    path = own(line, 1)
    path.unlink()
    found = line.vault.repair()
    assert not found.ok
    (lost,) = found.lost
    assert (lost.digest, lost.snapshots, lost.files) == (path.name, (ids[1],), ("log.bin",))
    assert found.to_json()["lost"] == [{"digest": path.name, "snapshots": [ids[1]], "files": ["log.bin"]}]
    line.check(line.vault, [ids[0], *ids[2:]])


def raw(plain: bytes | memoryview) -> bytes:
    return b"".join(Frame(CODEC_IDS["raw"], Layout(), len(plain), None, plain).pieces())


def test_a_second_encoding_is_enough(line: Line) -> None:
    """Of a damaged base nothing has the bytes but a delta against it, and another object of the delta's chunk."""
    digest = lean_on(line.vault)[0]
    delta = next(path for path in object_files(line.vault) if path.name.endswith(f".{digest}"))
    (delta.parent / delta.name[:64]).write_bytes(raw(line.vault.objects.read(delta.name[:64])))
    path_of(line.vault, digest).write_bytes(raw(bytes(1000)))
    shutil.rmtree(line.folder)
    found = line.vault.repair()
    assert found.ok
    assert found.healed == {digest: "the vault itself"}
    check_all(line)


def test_a_wrong_bit_that_decoding_does_not_use_costs_nothing(line: Line) -> None:
    path = own(line, 0)
    # The checksum itself, and the lower byte of the flags.
    for position in (70, 6):
        flip(path, position)
        assert not line.vault.verify(read_data=True).ok
        found = line.vault.repair()
        assert found.ok
        assert found.healed == {path.name: "what is left of its object"}
        check_all(line)


def test_a_repair_that_stopped_after_moving_goes_on_from_the_quarantine(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own(line, 0)
    flip(path, 70)

    class Stops(Progress):
        def finish(self) -> None:
            self.cancel()
            self.check()

    plan = line.vault.plan_repair()
    with pytest.raises(Cancelled):
        repair(line.vault, None, Stops(), plan)
    assert quarantined(line.vault)
    assert not path.exists()
    assert line.vault.repair().ok
    check_all(line)


def test_damage_that_no_snapshot_needs_goes_aside_and_is_not_healed(line: Line) -> None:
    path = own(line, 0)
    line.vault.write_label(Label(next(iter(line.saves)), deleted=True))
    flip(path)
    found = line.vault.repair()
    assert (found.ok, found.hit, found.healed) == (True, {}, {})
    assert len(found.quarantined) == 1
    assert line.vault.verify(read_data=True).ok


def test_what_is_stranded_stays_where_it_is(line: Line) -> None:
    base = lean_on(line.vault)[0]
    path_of(line.vault, base).unlink()
    leaning = [path for path in object_files(line.vault) if path.name.endswith(base)]
    found = line.vault.repair()
    assert found.quarantined == ()
    assert all(path.exists() for path in leaning)


def test_a_snapshot_heals_what_lies_in_quarantine(line: Line) -> None:
    path = own(line, -1)
    flip(path)
    folder = line.root / "elsewhere"
    line.folder.rename(folder)
    assert not line.vault.repair().ok
    folder.rename(line.folder)
    line.vault.snapshot(line.folder, read_all=True)
    assert line.vault.verify(read_data=True).ok


def test_gc_leaves_the_quarantine_and_dropping_it_is_a_step_of_its_own(line: Line) -> None:
    flip(own(line, -1))
    line.vault.repair()
    line.vault.gc()
    assert len(quarantined(line.vault)) == 1
    assert line.vault.drop_quarantine(dry_run=True).files == 1
    assert len(quarantined(line.vault)) == 1
    dropped = line.vault.drop_quarantine()
    assert (dropped.files, dropped.size > 96) == (1, True)
    assert not quarantined(line.vault)
    assert line.vault.drop_quarantine().files == 0
    check_all(line)


def test_nothing_in_quarantine_is_ever_replaced(line: Line) -> None:
    path = own(line, -1)
    for number in range(1, 4):
        flip(path)
        assert line.vault.repair().ok
        assert len(quarantined(line.vault)) == number


def test_nothing_is_moved_while_somebody_relies_on_objects(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own(line, -1)
    flip(path)
    monkeypatch.setattr(locks, "ALONE_WAIT", 0.2)
    assert line.vault.path is not None
    with api.open(line.vault.path).locks.shared("snapshot"), pytest.raises(Locked, match="snapshot"):
        line.vault.repair()
    assert path.exists()
    assert not quarantined(line.vault)
    assert line.vault.repair().ok


def test_what_was_written_anew_meanwhile_is_not_moved(line: Line) -> None:
    path = own(line, -1)
    data = path.read_bytes()
    flip(path)
    plan = line.vault.plan_repair()
    path.write_bytes(data)
    found = repair(line.vault, plan=plan)
    assert found.quarantined == ()
    assert path.read_bytes() == data
    check_all(line)


def test_what_somebody_relied_on_before_is_told_as_lost(line: Line) -> None:
    """A snapshot that was taken between the look and the move counted on a damaged object by its name."""
    path = own(line, -1)
    flip(path)
    plan = line.vault.plan_repair()
    late = line.vault.snapshot(line.folder, read_all=True).id
    shutil.rmtree(line.folder)
    found = repair(line.vault, plan=plan)
    (lost,) = found.lost
    assert late in lost.snapshots


def test_others_get_their_turn_between_moves(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "_TURN", 0.0)
    for path in object_files(line.vault)[:5]:
        flip(path)
    turns: list[str] = []
    alone = line.vault.locks.alone

    def counted(what: str) -> AbstractContextManager[None]:
        turns.append(what)
        return alone(what)

    monkeypatch.setattr(line.vault.locks, "alone", counted)
    assert len(line.vault.repair().quarantined) == 5
    assert turns == ["repair"] * 5


def test_an_object_that_cannot_be_read_is_left_where_it_is(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own(line, -1)
    real = type(line.vault.backend)._read

    def refuse(self: object, name: str, limit: int | None) -> bytes:
        if name.endswith(path.name):
            raise PermissionError(13, "Permission denied")
        return real(line.vault.backend, name, limit)

    monkeypatch.setattr(type(line.vault.backend), "_read", refuse)
    found = line.vault.repair()
    assert not found.ok
    assert found.quarantined == ()
    assert len(found.unreadable) == 1
    assert path.exists()


def test_what_the_disk_cannot_read_counts_as_damaged(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own(line, -1)
    inode = path.stat().st_ino
    real = type(line.vault.backend)._read

    def fail(self: object, name: str, limit: int | None) -> bytes:
        assert line.vault.path is not None
        if (line.vault.path / name).exists() and (line.vault.path / name).stat().st_ino == inode:
            raise OSError(5, "Input/output error")
        return real(line.vault.backend, name, limit)

    monkeypatch.setattr(type(line.vault.backend), "_read", fail)
    found = line.vault.repair()
    assert found.ok
    assert len(found.quarantined) == 1
    monkeypatch.undo()
    check_all(line)


def test_a_newer_object_is_no_damage(line: Line) -> None:
    path = own(line, -1)
    frame = Frame.parse(path.read_bytes(), "x")
    newer = b"".join(Frame(frame.codec, frame.layout, frame.plain_size, None, frame.payload, flags=0x100).pieces())
    path.write_bytes(newer)
    found = line.vault.repair()
    assert (found.ok, found.quarantined) == (False, ())
    assert "newer casvault" in found.unreadable[0]
    assert path.read_bytes() == newer


def test_thinned_files_are_not_healed(line: Line) -> None:
    path = own(line, 1)
    path.unlink()
    line.vault.write_label(Label(list(line.saves)[1], thinned=("log.bin",)))
    assert line.vault.repair().nothing_to_do


def test_a_model_of_a_trainer_that_is_known_and_one_restored_elsewhere(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace/model", size=60_000)
    vault.snapshot(model.folder / NAME)
    vault.restore("latest", RestoreOptions(to=tmp_path / "away", as_name="other"))
    before = contents(tmp_path / "away")
    shutil.rmtree(model.folder)
    shutil.rmtree(tmp_path / ".casvault/objects")
    found = vault.repair()
    assert found.ok
    assert set(found.healed.values()) == {"the live model other_SAEHD"}
    assert contents(tmp_path / "away") == before
    assert vault.verify(read_data=True).ok


def test_what_another_version_cut_elsewhere_is_found_by_its_place(tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    folder = tmp_path / "run"
    folder.mkdir()
    np.save(folder / "a.npy", np.arange(100_000, dtype="f4").reshape(100, 1000))
    vault.snapshot(folder)
    for path in object_files(vault):
        path.unlink()
    object.__setattr__(vault.config, "chunking", type(vault.config.chunking)(max_chunk=1 << 17))
    assert vault.repair().ok
    assert vault.verify(read_data=True).ok


def test_repairs_that_cannot_be(line: Line, tmp_path: Path) -> None:
    assert line.vault.path is not None
    with pytest.raises(UsageError, match="the vault that is to be repaired"):
        line.vault.repair(line.vault.path)
    with pytest.raises(NoVault, match="no vault"):
        line.vault.repair(tmp_path / "nowhere")
    with pytest.raises(NoVault, match="no vault"):
        line.vault.plan_repair(line.folder)


def test_on_a_full_disk_nothing_is_lost_and_the_next_one_goes_on(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own(line, -1)
    flip(path)
    real = type(line.vault.backend).batch

    def full(self: object, threads: int) -> object:
        batch = real(line.vault.backend, 1)

        def put(name: str, pieces: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(batch, "_put", put)
        return batch

    with monkeypatch.context() as patched:
        patched.setattr(type(line.vault.backend), "batch", full)
        with pytest.raises(NoSpace):
            line.vault.repair()
    assert len(quarantined(line.vault)) == 1
    assert line.vault.repair().ok
    check_all(line)


def test_what_is_written_is_read_back(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(own(line, -1))
    monkeypatch.setattr(heal, "encode_in_pieces", lambda plain, layout: (CODEC_IDS["raw"], [bytes(len(plain))]))
    with pytest.raises(DamageError, match="cannot be read back"):
        line.vault.repair()


def test_one_thread_and_many_agree(line: Line, tmp_path: Path) -> None:
    for path in object_files(line.vault)[::3]:
        flip(path)
    found = []
    for threads in (1, 4):
        copy = api.open(copy_of(line.vault, tmp_path / f"with{threads}").path or "", threads=threads)
        shutil.copytree(line.root / "runs", tmp_path / f"with{threads}" / "runs")
        found.append(copy.repair())
    assert found[0].healed.keys() == found[1].healed.keys()
    assert found[0].lost == found[1].lost


def test_moving_needs_its_target_free(line: Line) -> None:
    name = own(line, 0).relative_to(line.root / ".casvault").as_posix()
    line.vault.backend.write("quarantine/x", b"kept")
    with pytest.raises(StorageError):
        line.vault.backend.move(name, "quarantine/x")
    assert line.vault.backend.read("quarantine/x") == b"kept"
    assert ObjectName(name[-64:], None, 1).blob == name


def test_digests_decide_and_not_who_offers(line: Line) -> None:
    path = own(line, -1)
    flip(path)
    (line.folder / "log.bin").write_bytes(b"\1" * 3000)
    found = line.vault.repair()
    assert [hit.digest for hit in found.lost] == [path.name]
    assert digest_of(b"\1" * 3000) not in line.vault.objects.closure(path.name)


def test_two_at_once_wait_for_each_other(line: Line) -> None:
    flip(own(line, -1))
    other = api.open(line.root / ".casvault")
    started, results = threading.Event(), []

    class Waits(Progress):
        def start(self, task: str, total: int | None) -> None:
            if task == "quarantining" and not started.is_set():
                started.set()
                time.sleep(0.3)

    thread = threading.Thread(target=lambda: results.append(other.repair(progress=Waits())))
    thread.start()
    assert started.wait(30)
    results.append(line.vault.repair())
    thread.join()
    assert sorted(len(each.quarantined) for each in results) == [0, 1]
    check_all(line)
