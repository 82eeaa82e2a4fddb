"""Collecting: exactly what was predicted is freed, everything else comes out as it went in, whatever interrupts it."""

from __future__ import annotations

import os
import random
import shutil
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from casvault import api
from casvault.backends.local import LocalBackend
from casvault.capture import Patience
from casvault.errors import BadManifest, Cancelled, Locked, NoSpace, StorageError
from casvault.files.locks import FolderLocks
from casvault.gc import collect
from casvault.manifest.label import Label
from casvault.progress import Progress
from casvault.vault.pending import LIFETIME, Pending
from tests.support.faults import count_calls, spread, trial
from tests.support.holders import Holder
from tests.support.lines import Line, copy_of, objects_on_disk

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A line of 20 snapshots, two keys among them; tests work on copies."""
    made = Line(tmp_path_factory.mktemp("line"), threads=2)
    made.grow(20)
    return made


@pytest.fixture
def vault(line: Line, tmp_path: Path) -> api.Vault:
    return copy_of(line.vault, tmp_path)


def stored(vault: api.Vault) -> int:
    return sum(objects_on_disk(vault).values())


def check_all(line: Line, vault: api.Vault) -> None:
    line.check(vault)
    assert vault.verify(read_data=True).ok


def test_what_was_predicted_for_random_sets_is_freed(line: Line, tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    ids = list(line.saves)
    for _ in range(8):
        vault = copy_of(line.vault, tmp_path)
        gone = chance.sample(ids, chance.randint(1, len(ids)))
        predicted = vault.usage(*gone).set_bytes
        before = stored(vault)
        assert vault.delete(*gone).frees_bytes == predicted
        assert vault.gc(dry_run=True).freed_bytes == predicted
        assert stored(vault) == before
        plain = vault.gc(recode=False)
        assert plain.freed_bytes == before - stored(vault) == predicted
        assert plain.remaining_bytes == stored(vault)
        more = vault.gc()
        assert more.freed_bytes == plain.remaining_bytes - stored(vault) >= 0
        assert more.freed_bytes == more.recoding_freed_bytes
        assert vault.usage().vault.base_bytes == more.base_bytes
        check_all(line, vault)


@pytest.mark.slow
def test_what_was_predicted_for_a_hundred_sets(line: Line, tmp_path: Path) -> None:
    chance = random.Random(5)
    ids = list(line.saves)
    for _ in range(100):
        vault = copy_of(line.vault, tmp_path)
        gone = chance.sample(ids, chance.randint(1, len(ids)))
        predicted, before = vault.usage(*gone).set_bytes, stored(vault)
        vault.delete(*gone)
        assert vault.gc(recode=False).freed_bytes == before - stored(vault) == predicted
        vault.gc()
        assert before - stored(vault) >= predicted
        line.check(vault)


def test_without_the_keys_nothing_is_only_leaned_on(line: Line, vault: api.Vault, tmp_path: Path) -> None:
    ids = list(line.saves)
    keys = [ids[0], ids[16]]
    vault.delete(*keys)
    result = vault.gc()
    assert result.base_bytes == 0
    assert result.recoded_objects > 0
    assert result.recoding_freed_bytes > 0
    check_all(line, vault)
    fresh = Line(tmp_path / "fresh", threads=2)
    for id in ids:
        if id not in keys:
            for name, data in line.saves[id].items():
                (fresh.folder / name).write_bytes(data)
            fresh.vault.snapshot(fresh.folder, patience=Patience(0.0))
    assert stored(vault) <= 1.02 * stored(fresh.vault)


def test_an_untouched_vault_has_nothing_to_free(line: Line, vault: api.Vault) -> None:
    before = objects_on_disk(vault)
    result = vault.gc()
    assert (result.deleted_objects, result.freed_bytes, result.recoded_objects) == (0, 0, 0)
    assert objects_on_disk(vault) == before


def test_a_deleted_snapshot_leaves_its_tombstone_and_cannot_come_back(line: Line, vault: api.Vault) -> None:
    id = list(line.saves)[3]
    vault.edit(id, name="one")
    vault.edit(id, name="two")
    vault.delete(id)
    result = vault.gc()
    assert result.forgotten_snapshots == (id,)
    assert not vault.backend.exists(f"snapshots/{id}.json")
    (label,) = [entry.name for entry in vault.backend.list("labels") if entry.name.startswith(id)]
    assert Label.parse(vault.backend.read(f"labels/{label}"), label[: -len(".json")]).deleted
    assert id not in [head.id for head in vault.heads(deleted=True)]
    assert vault.gc().forgotten_snapshots == ()
    assert vault.backend.exists(f"labels/{label}")


def test_labels_that_count_no_more_go(line: Line, vault: api.Vault) -> None:
    id = list(line.saves)[3]
    for name in ("one", "two", "three"):
        vault.edit(id, name=name)
    never = vault.new_id()
    vault.write_label(Label(never, "of a snapshot that never came to be"))
    vault.gc()
    names = [entry.name for entry in vault.backend.list("labels")]
    assert [name[:27] for name in names] == [id]
    assert vault.find("three").id == id


def test_where_the_newest_label_is_damaged_older_ones_stay(line: Line, vault: api.Vault) -> None:
    id = list(line.saves)[3]
    vault.edit(id, name="one")
    vault.edit(id, name="two")
    newest = max(entry.name for entry in vault.backend.list("labels"))
    vault.backend.write(f"labels/{newest}", b"{}")
    vault.gc()
    assert vault.find("one").id == id


def test_nothing_is_freed_while_a_manifest_cannot_be_read(line: Line, vault: api.Vault) -> None:
    first, second = list(line.saves)[:2]
    vault.delete(first)
    blob = f"snapshots/{second}.json"
    vault.backend.write(blob, vault.backend.read(blob)[:-1])
    before = objects_on_disk(vault)
    for dry_run in (True, False):
        with pytest.raises(BadManifest, match=f"casvault delete {second}"):
            vault.gc(dry_run=dry_run)
    assert objects_on_disk(vault) == before
    assert vault.backend.exists(f"snapshots/{first}.json")
    assert vault.delete(second).frees_bytes is None
    vault.gc()
    check_all(line, vault)


def test_what_is_on_its_way_is_spared_until_nobody_renews_it(line: Line, vault: api.Vault) -> None:
    ids = list(line.saves)
    needed = tuple(sorted({chunk.digest for chunk in vault.manifest(ids[5]).chunks()}))
    arriving = vault.new_id()
    Pending.write(vault.backend, arriving, needed)
    vault.delete(*ids)
    vault.gc()
    assert all(vault.objects.read(digest) for digest in needed)
    old = "2020-01-01T00:00:00.000Z"
    blob = f"pending/{arriving}.json"
    from casvault.manifest.document import write_document

    vault.backend.write(blob, write_document({"format": 1, "id": arriving, "renewed": old, "digests": list(needed)}))
    assert LIFETIME.days == 0
    vault.gc()
    assert objects_on_disk(vault) == {}
    assert not vault.backend.exists(blob)


def test_only_what_was_pruned_is_given_up(line: Line, vault: api.Vault) -> None:
    ids = list(line.saves)
    vault.delete(ids[18], ids[19])
    vault.write_label(Label(ids[17], thinned=("log.bin",)))
    collect(vault, only={ids[19]})
    assert vault.undelete(ids[18]).id == ids[18]
    assert vault.unthin(ids[17]).label.thinned == ()
    assert len(vault.snapshots()) == 19
    check_all(line, vault)


def test_a_second_object_of_a_chunk_goes_once_the_first_was_decoded(line: Line, vault: api.Vault) -> None:
    id = list(line.saves)[1]
    digests = [c.digest for c in vault.manifest(id).chunks() if vault.objects.encodings(c.digest)[0].base]
    assert len(digests) == 2
    alone = [_stand_alone(vault, digest) for digest in digests]
    before = stored(vault)
    assert vault.gc(dry_run=True).deleted_objects == 2
    result = vault.gc()
    assert result.deleted_objects == 2
    assert result.freed_bytes == before - stored(vault)
    assert all((vault.path / name).exists() for name in alone if vault.path is not None)
    check_all(line, vault)


def test_a_second_object_stays_with_its_base_where_the_first_is_damaged(line: Line, vault: api.Vault) -> None:
    ids = list(line.saves)
    digest = next(c.digest for c in vault.manifest(ids[1]).chunks() if vault.objects.encodings(c.digest)[0].base)
    alone = _stand_alone(vault, digest)
    assert vault.path is not None
    data = bytearray((vault.path / alone).read_bytes())
    data[200] ^= 1
    (vault.path / alone).write_bytes(data)
    vault.delete(ids[0])
    vault.gc(recode=False)
    line.check(vault)


def _stand_alone(vault: api.Vault, digest: str) -> str:
    """Write a chunk once more, as an object that leans on none; return its blob."""
    from tests.support.vaults import store

    plain = bytes(vault.objects.read(digest))
    name = store(vault.backend, plain)
    vault.objects.forget()
    return name.blob


def test_what_the_dead_left_goes(line: Line, vault: api.Vault) -> None:
    assert vault.path is not None
    left = [
        "objects/abc/.0123456789abcdef.tmp",
        "snapshots/.0123456789abcdef.tmp",
        "labels/.0123456789abcdef.tmp",
        "pending/.0123456789abcdef.tmp",
        "cache/.0123456789abcdef.tmp",
        "tmp/holder-1-01234567.json",
        "tmp/holder-1-01234567.lock",
    ]
    kept = ["cache/.00000000000000ff.tmp", "objects/abc/.mine.tmp", "tmp/model-0123456789abcdef.lock"]
    for folder in ("objects/abc", "pending"):
        (vault.path / folder).mkdir(exist_ok=True)
    for name in (*left, *kept):
        (vault.path / name).write_bytes(b"left")
    os.utime(vault.path / "cache/.0123456789abcdef.tmp", (1, 1))
    before = stored(vault)
    assert vault.gc(dry_run=True).freed_bytes == 4
    assert vault.gc().freed_bytes == before - stored(vault) == 4
    assert [name for name in left if (vault.path / name).exists()] == []
    assert [name for name in kept if not (vault.path / name).exists()] == []


@posix
@pytest.mark.parametrize("fault", ["kill", "EIO", "ENOSPC"])
def test_interrupted_anywhere_it_is_harmless_and_the_next_one_finishes(line: Line, tmp_path: Path, fault: str) -> None:
    ids = list(line.saves)
    gone = [ids[0], ids[4], ids[7], ids[16]]
    vault = copy_of(line.vault, tmp_path)
    vault.delete(*gone)
    work = copy_of(vault, tmp_path / "work")
    wanted = collect(work).remaining_bytes
    total = count_calls(lambda: collect(copy_of(vault, tmp_path / "work")))
    copying = count_calls(lambda: copy_of(vault, tmp_path / "work"))
    for number in spread(total - copying, 12):
        place = tmp_path / "trial"
        copy = copy_of(vault, place)
        work = api.open(place / ".casvault", threads=1)
        ended = trial(number, fault, lambda work=work: collect(work))  # type: ignore[misc]
        assert ended.killed or ended.code in (0, 1), ended
        after = api.open(place / ".casvault", threads=2)
        after_ids = {head.id for head in after.snapshots()}
        assert after_ids == set(ids) - set(gone)
        line.check(after)
        assert after.gc().remaining_bytes == stored(copy)
        assert stored(copy) <= wanted * 1.01
        assert after.usage().vault.base_bytes == 0
        line.check(after)
        assert after.verify().ok


def test_it_works_without_room_and_says_that_re_coding_did_not(
    line: Line, vault: api.Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise NoSpace("the disk is full.")

    ids = list(line.saves)
    vault.delete(ids[0])
    predicted = vault.gc(dry_run=True).freed_bytes
    monkeypatch.setattr("casvault.backends.local_batch.SeparateBatch._put", full)
    result = vault.gc()
    assert result.unfinished == "the disk is full."
    assert (result.freed_bytes, result.recoded_objects) == (predicted, 0)
    check_all(line, vault)
    monkeypatch.undo()
    assert vault.gc().unfinished is None


def test_cancelled_it_goes_on_later(line: Line, vault: api.Vault) -> None:
    class Impatient(Progress):
        def start(self, task: str, total: int | None) -> None:
            if task == "re-coding":
                self.cancel()

    vault.delete(next(iter(line.saves)))
    with pytest.raises(Cancelled, match="goes on from here"):
        vault.gc(progress=Impatient())
    check_all(line, vault)
    assert vault.gc().base_bytes == 0


def test_a_snapshot_that_runs_is_waited_for(line: Line, vault: api.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vault.path is not None
    monkeypatch.setattr("casvault.files.locks.ALONE_WAIT", 0.2)
    vault.delete(next(iter(line.saves)))
    with Holder(vault.path, "shared", "snapshot") as other:
        other.inside()
        with pytest.raises(Locked, match="`snapshot`"):
            vault.gc()
        other.leave()
    assert vault.gc().forgotten_snapshots


def test_one_collection_at_a_time(line: Line, vault: api.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["casvault.gc.collect"], "ONE_WAIT", 0.1)
    with vault.locks.one("gc"), pytest.raises(Locked, match="gc"):
        api.open(vault.path or "").gc()


def test_what_cannot_be_removed_keeps_nothing_else(
    line: Line, vault: api.Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = list(line.saves)
    vault.delete(ids[3], ids[7])
    wanted = vault.gc(dry_run=True)
    delete, refused = LocalBackend._delete, list[str]()

    def failing(self: LocalBackend, name: str) -> None:
        if name.startswith("objects/") and not refused:
            refused.append(name)
            raise PermissionError(13, "Permission denied", name)
        delete(self, name)

    monkeypatch.setattr(LocalBackend, "_delete", failing)
    with pytest.raises(StorageError, match="tries again"):
        vault.gc()
    monkeypatch.undo()
    assert vault.gc(dry_run=True).deleted_objects == 1 < wanted.deleted_objects
    vault.gc()
    check_all(line, vault)


def test_a_long_sweep_lets_others_in_between(line: Line, vault: api.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = list(line.saves)
    vault.delete(*ids[1:4])
    wanted = vault.gc(dry_run=True)
    turns, alone = list[str](), FolderLocks.alone

    def counted(self: FolderLocks, what: str) -> AbstractContextManager[None]:
        turns.append(what)
        return alone(self, what)

    monkeypatch.setattr("casvault.gc.sweep._TURN", -1.0)
    monkeypatch.setattr(FolderLocks, "alone", counted)
    result = vault.gc(recode=False)
    assert len(turns) == wanted.deleted_objects
    assert (result.deleted_objects, result.freed_bytes) == (wanted.deleted_objects, wanted.freed_bytes)
    assert result.forgotten_snapshots == wanted.forgotten_snapshots
    check_all(line, vault)


def test_empty_folders_may_be_missing(line: Line, vault: api.Vault) -> None:
    assert vault.path is not None
    for name in ("labels", "pending", "live", "tmp"):
        shutil.rmtree(vault.path / name)
    (vault.path / "objects" / "abc" / ("abc" + "0" * 61)).parent.mkdir(exist_ok=True)
    (vault.path / "objects" / "abc" / ("abc" + "0" * 61)).write_bytes(bytes(500))
    assert vault.gc().freed_bytes == 500
    check_all(line, vault)


def test_names_that_are_no_times_hinder_nothing(line: Line, vault: api.Vault) -> None:
    id = list(line.saves)[2]
    for name in ("snapshots/20269999T000000.000Z-000000.json", f"labels/{id}.99991231T235959.999Z-000000.json"):
        vault.backend.write(name, b"")
    vault.edit(id, name="fine")
    vault.delete(id)
    assert vault.gc().forgotten_snapshots == (id,)
    assert vault.new_id() > id


def test_an_object_that_cannot_be_read_keeps_only_its_own_group(
    line: Line, vault: api.Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = list(line.saves)
    vault.delete(ids[0], ids[16])
    own = next(c.digest for c in vault.manifest(ids[1]).chunks() if vault.objects.encodings(c.digest)[0].base)
    read = LocalBackend._read

    def failing(self: LocalBackend, name: str, limit: int | None) -> bytes:
        if own in name:
            raise OSError(5, "Input/output error", name)
        return read(self, name, limit)

    monkeypatch.setattr(LocalBackend, "_read", failing)
    result = vault.gc()
    assert result.recoded_objects > 0
    assert result.base_bytes > 0
    monkeypatch.undo()
    assert vault.gc().base_bytes == 0
    check_all(line, vault)


def test_what_was_said_is_freed_also_where_chunks_have_several_objects(line: Line, vault: api.Vault) -> None:
    ids = list(line.saves)
    for id in ids[1:6]:
        for chunk in vault.manifest(id).chunks():
            if vault.objects.encodings(chunk.digest)[0].base:
                _stand_alone(vault, chunk.digest)
    gone = [ids[0], ids[2], ids[4]]
    reclaimable, told = vault.usage().vault.reclaimable_bytes, vault.usage(*gone).set_bytes
    vault.delete(*gone)
    assert vault.gc(recode=False).freed_bytes == reclaimable + told
    check_all(line, vault)


def test_a_vault_that_was_opened_before_is_not_misled(line: Line, vault: api.Vault) -> None:
    """Somebody else collects: what was listed before is not there any more, and what took its place is found."""
    assert vault.path is not None
    before = api.open(vault.path)
    ids = [head.id for head in before.snapshots()]
    for id in ids[:6]:
        before.health(id)
    vault.delete(ids[0], ids[4])
    assert vault.gc().recoded_objects > 0
    for id in ids[1:4]:
        assert before.health(id).state == "ok"
        assert not before.diff(id, ids[5]).same
        line.check(before, [id])
