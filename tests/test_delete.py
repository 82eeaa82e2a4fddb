"""Delete and undelete: told before it happens, undone until gc, and never of what is pinned."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from casvault import api
from casvault.backends.local import LocalBackend
from casvault.errors import Locked, NotFound, StorageError, UsageError
from tests.support.holders import Holder
from tests.support.lines import Line, objects_on_disk


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path)
    for name in ("first", "second", "third"):
        made.snapshot(name)
    return made


def names(vault: api.Vault) -> list[str | None]:
    return [head.name for head in vault.snapshots()]


def test_a_deleted_snapshot_is_gone_and_its_objects_are_there(line: Line) -> None:
    before = objects_on_disk(line.vault)
    result = line.vault.delete("second")
    assert [head.name for head in result.heads] == ["second"]
    assert names(line.vault) == ["first", "third"]
    assert names(api.open(line.root / ".casvault")) == ["first", "third"]
    assert objects_on_disk(line.vault) == before
    with pytest.raises(NotFound):
        line.vault.restore("second")


@pytest.mark.parametrize("chosen", [("first",), ("second",), ("first", "third"), ("first", "second", "third")])
def test_what_gc_frees_is_told_before(line: Line, chosen: tuple[str, ...]) -> None:
    plan = line.vault.plan_delete(*chosen)
    assert names(line.vault) == ["first", "second", "third"]
    assert line.vault.delete(*chosen) == plan
    before = sum(objects_on_disk(line.vault).values())
    line.vault.gc(recode=False)
    after = sum(objects_on_disk(line.vault).values())
    assert plan.frees_bytes == before - after
    assert plan.leaned_bytes == line.vault.usage().vault.base_bytes
    assert plan.reclaimable_bytes == 0


def test_what_was_deleted_before_is_told_besides(line: Line) -> None:
    earlier = line.vault.delete("third")
    assert line.vault.plan_delete("second").reclaimable_bytes == earlier.frees_bytes


def test_twice_named_is_once_deleted(line: Line) -> None:
    id = line.vault.find("second").id
    plan = line.vault.plan_delete("second", id, id[-6:])
    assert [head.id for head in plan.heads] == [id]
    assert plan.frees_bytes == line.vault.plan_delete("second").frees_bytes


def test_it_comes_back_until_gc(line: Line) -> None:
    id = line.vault.find("second").id
    line.vault.edit("second", notes="dear")
    line.vault.delete("second")
    head = line.vault.undelete("second")
    assert (head.id, head.label.notes, head.label.deleted) == (id, "dear", False)
    assert names(line.vault) == ["first", "second", "third"]
    line.check(line.vault)
    line.vault.delete("second", gc=True)
    for reference in (id, "second"):
        with pytest.raises(NotFound):
            line.vault.undelete(reference)
    with pytest.raises(NotFound, match="gc has freed"):
        line.vault.undelete(id)


def test_undelete_of_what_was_not_deleted_changes_nothing(line: Line) -> None:
    id = line.vault.find("second").id
    labels = line.vault.backend.list("labels")
    assert line.vault.undelete(id).id == id
    assert len(line.vault.backend.list("labels")) == len(labels)
    with pytest.raises(NotFound, match="no snapshot"):
        line.vault.undelete(line.vault.new_id())


def test_an_interrupted_sweep_is_too_late_as_well(line: Line) -> None:
    id = line.vault.find("second").id
    line.vault.delete("second")
    own = next(chunk.digest for chunk in line.vault.manifest(id).chunks() if chunk.size == 3_000)
    line.vault.backend.delete(line.vault.objects.encodings(own)[0].blob)
    with pytest.raises(NotFound, match="cannot come back"):
        line.vault.undelete(id)
    assert names(line.vault) == ["first", "third"]


def test_a_pinned_snapshot_is_refused_and_nothing_else_deleted(line: Line) -> None:
    line.vault.edit("second", pinned=True)
    for refused in (line.vault.plan_delete, line.vault.delete):
        with pytest.raises(UsageError, match="'second' is pinned; `casvault edit"):
            refused("first", "second")
    assert names(line.vault) == ["first", "second", "third"]
    line.vault.edit("second", pinned=False)
    line.vault.delete("second")


def test_unknown_snapshots(line: Line) -> None:
    with pytest.raises(NotFound):
        line.vault.delete("nobody")
    with pytest.raises(NotFound):
        line.vault.delete("first", line.vault.new_id())
    assert names(line.vault) == ["first", "second", "third"]


def test_a_snapshot_whose_manifest_is_damaged_can_be_given_up(line: Line) -> None:
    id = line.vault.find("second").id
    path = line.root / ".casvault" / "snapshots" / f"{id}.json"
    path.write_bytes(path.read_bytes()[:-1])
    shutil.rmtree(line.root / ".casvault" / "cache")
    vault = api.open(line.root / ".casvault")
    assert vault.plan_delete("first").frees_bytes is None
    result = vault.delete(id)
    assert (result.heads, result.unreadable, result.frees_bytes) == ((), (id,), None)
    vault.gc()
    assert not path.exists()
    assert names(vault) == ["first", "third"]
    line.check(vault)
    assert vault.verify(read_data=True).ok


def test_the_next_snapshot_leans_on_what_is_left(line: Line) -> None:
    line.vault.delete("third", gc=True)
    id = line.snapshot("fourth")
    assert line.vault.find("fourth").document["parent"] == line.vault.find("second").id
    line.check(line.vault, [id])
    assert line.vault.verify(read_data=True).ok


def test_the_lock_is_waited_for(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.files.locks.SHARED_WAIT", 0.1)
    with Holder(line.root / ".casvault", "alone", "gc") as other:
        other.inside()
        with pytest.raises(Locked, match="`gc`"):
            line.vault.delete("first")
        other.leave()
    assert names(line.vault) == ["first", "second", "third"]


def test_a_manifest_that_cannot_be_read_at_all_keeps_nobody_from_deleting(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = line.vault.find("second").id
    path = line.root / ".casvault" / "snapshots" / f"{id}.json"
    path.write_bytes(b"")
    os.truncate(path, (64 << 20) + 1)
    vault = api.open(line.root / ".casvault")
    with pytest.raises(StorageError, match=f"casvault delete {id}"):
        vault.gc()
    assert vault.delete("first").frees_bytes is None
    assert vault.delete(id).unreadable == (id,)


def test_on_a_full_disk_a_deletion_makes_its_own_room(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    write = LocalBackend._write

    cache = line.root / ".casvault" / "cache"

    def full(self: LocalBackend, name: str, data: bytes, durable: bool) -> None:
        if list(cache.iterdir()):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, name, data, durable)

    assert list(cache.iterdir())
    monkeypatch.setattr(LocalBackend, "_write", full)
    line.vault.delete("second")
    assert "second" not in names(line.vault)
