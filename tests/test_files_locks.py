"""Locks between processes: shared together, alone alone, a turn for gc, and nothing left by the dead."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from casvault.errors import Locked, StorageError
from casvault.files import locks
from casvault.files.locks import FolderLocks, Locks
from tests.support.holders import Holder

WAITS = (locks.SHARED_WAIT, locks.ALONE_WAIT)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    return tmp_path


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SHARED_WAIT", 0.1)
    monkeypatch.setattr(locks, "ALONE_WAIT", 0.1)
    monkeypatch.setattr(locks, "_POLL", 0.01)


def cards(root: Path) -> list[str]:
    return [path.name for path in (root / "tmp").glob("holder-*")]


def test_gc_gives_up_before_newcomers_do() -> None:
    assert WAITS == (60.0, 30.0)


def test_shared_together(root: Path) -> None:
    with Holder(root, "shared", "snapshot") as one, Holder(root, "shared", "restore") as two:
        one.inside()
        two.inside()
        with FolderLocks(root).shared("verify"), FolderLocks(root).shared("verify"):
            assert len(cards(root)) >= 4
        one.leave()
        two.leave()
    assert cards(root) == []


def test_alone_waits_for_shared_and_names_the_holder(root: Path) -> None:
    with Holder(root, "shared", "snapshot") as holder:
        holder.inside()
        with pytest.raises(Locked, match=rf"in use by `snapshot` \(process {holder.pid} on ") as caught:
            FolderLocks(root).alone("gc").__enter__()
        assert str(root) in str(caught.value)
        with FolderLocks(root).shared("list"):
            pass
        holder.leave()
    with FolderLocks(root).alone("gc"):
        pass


def test_shared_waits_for_alone_and_names_the_holder(root: Path) -> None:
    with Holder(root, "alone", "gc") as holder:
        holder.inside()
        for kind in ("shared", "alone"):
            with pytest.raises(Locked, match=rf"`gc` \(process {holder.pid} on "):
                getattr(FolderLocks(root), kind)("other").__enter__()
        holder.leave()
    with FolderLocks(root).shared("snapshot"):
        pass


def test_who_gave_up_holds_nothing(root: Path) -> None:
    with FolderLocks(root).shared("snapshot"):
        for _ in range(3):
            with pytest.raises(Locked):
                FolderLocks(root).alone("gc").__enter__()
            with Holder(root, "shared", "another", wait=5) as other:
                other.inside().leave()
    with FolderLocks(root).alone("gc"):
        pass


def refusal(root: Path) -> str:
    """Come in again and again until gc, which is on its way to the gate, has closed it; return what is said then."""
    while True:
        try:
            with FolderLocks(root).shared("newcomer"):
                pass
        except Locked as error:
            return str(error)


def test_a_turn_for_gc_while_newcomers_wait(root: Path) -> None:
    with Holder(root, "shared", "first").inside() as first, Holder(root, "alone", "gc") as sweep:
        assert "`first`" in refusal(root)
        with Holder(root, "shared", "second") as second:
            first.leave()
            sweep.inside()
            with pytest.raises(Locked, match="`gc`"):
                FolderLocks(root).shared("newcomer").__enter__()
            sweep.leave()
            second.inside()
            second.leave()


@pytest.mark.parametrize("kind", ["shared", "alone", "model"])
def test_a_killed_holder_holds_nothing(root: Path, kind: str) -> None:
    with Holder(root, kind, "the model") as holder:
        holder.inside()
        holder.kill()
        with FolderLocks(root).alone("gc"), FolderLocks(root).model("the model", "restore", 0.1):
            pass


def test_a_killed_waiter_leaves_the_gate(root: Path) -> None:
    with Holder(root, "shared", "snapshot").inside(), Holder(root, "alone", "gc") as waiter:
        refusal(root)
        waiter.kill()
        with FolderLocks(root).shared("newcomer"):
            pass


def test_the_dead_are_not_named(root: Path) -> None:
    (root / "tmp" / "holder-000-junk.json").write_bytes(b"not json")
    (root / "tmp" / "holder-000-list.json").write_bytes(b"[]")
    with Holder(root, "shared", "dead") as dead, Holder(root, "shared", "alive") as alive:
        dead.inside()
        alive.inside()
        dead.kill()
        assert len(cards(root)) >= 4, "the dead one's card is still there"
        with pytest.raises(Locked, match="`alive`"):
            FolderLocks(root).alone("gc").__enter__()


def test_a_holder_without_a_card_is_still_somebody(root: Path) -> None:
    with Holder(root, "shared", "snapshot") as holder:
        holder.inside()
        for path in (root / "tmp").glob("holder-*.json"):
            path.unlink()
        with pytest.raises(Locked, match="in use by another casvault command"):
            FolderLocks(root).alone("gc").__enter__()


def test_the_card_can_be_read_while_its_holder_lives(root: Path) -> None:
    with FolderLocks(root).shared("snapshot"):
        (path,) = (root / "tmp").glob("holder-*.json")
        card = json.loads(path.read_bytes())
        assert card["pid"] == os.getpid()
        assert card["what"] == "snapshot"
    assert cards(root) == []


def test_a_vault_without_room_for_cards_can_be_locked(root: Path) -> None:
    (root / "tmp").rmdir()
    with FolderLocks(root).shared("snapshot"), pytest.raises(Locked, match="another casvault command"):
        FolderLocks(root).alone("gc").__enter__()


def test_a_model_is_held_by_one(root: Path) -> None:
    with Holder(root, "model", "workspace/model/new_SAEHD") as holder:
        holder.inside()
        with pytest.raises(Locked, match="this model"):
            FolderLocks(root).model("workspace/model/new_SAEHD", "restore", 0.0).__enter__()
        with FolderLocks(root).model("workspace/model/other_SAEHD", "restore", 0.0):
            pass
        with FolderLocks(root).shared("snapshot"):
            pass
        holder.leave()
    with FolderLocks(root).model("workspace/model/new_SAEHD", "restore", 0.0):
        pass


def test_an_error_inside_releases(root: Path) -> None:
    for kind in ("shared", "alone"):
        with pytest.raises(ZeroDivisionError), getattr(FolderLocks(root), kind)("work"):
            raise ZeroDivisionError
        with FolderLocks(root).alone("gc"):
            pass
    assert cards(root) == []


def test_a_vault_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot lock the vault"):
        FolderLocks(tmp_path / "absent").shared("snapshot").__enter__()


@pytest.mark.skipif(os.name == "nt", reason="POSIX only")
def test_a_vault_that_can_only_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lock", "gate"):
        (root / name).touch()
    real = open

    def refusing(path: Path, mode: str, **options: int) -> object:
        if "r" not in mode:
            raise OSError(30, "Read-only file system")
        return real(path, mode, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(locks, "open", refusing, raising=False)
    with FolderLocks(root).shared("list"), pytest.raises(Locked):
        FolderLocks(root).alone("gc").__enter__()


def test_a_vault_in_memory_is_always_free() -> None:
    free = Locks()
    with free.alone("gc"), free.shared("snapshot"), free.model("m", "restore"), free.alone("gc"):
        pass


def test_one_does_what_only_one_may(root: Path) -> None:
    made = FolderLocks(root)
    busy = pytest.raises(Locked, match=r"does the same \(gc\)")
    with made.one("gc"), made.one("labels"), made.shared("verify"), busy:
        FolderLocks(root).one("gc", 0.05).__enter__()
    with FolderLocks(root).one("gc"):
        pass


def test_only_the_cards_of_the_dead_are_cleared(root: Path) -> None:
    with Holder(root, "shared", "snapshot") as dead:
        dead.inside()
        dead.kill()
    (root / "tmp" / "holder-of-a-card-only.json").write_text("{}")
    with FolderLocks(root).shared("verify"):
        mine = [name for name in cards(root) if f"-{os.getpid()}-" in name]
        assert len(cards(root)) == 5
        FolderLocks(root).clear_cards()
        assert sorted(cards(root)) == sorted([*mine, "holder-of-a-card-only.json"])
    Locks().clear_cards()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", ["shared", "alone", "one"])
def test_a_child_that_was_forked_meanwhile_keeps_no_lock(root: Path, kind: str) -> None:
    made = FolderLocks(root)
    reader, writer = os.pipe()
    with getattr(made, kind)("gc"):
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    try:
        with getattr(FolderLocks(root), "one" if kind == "one" else "alone")("gc"):
            pass
        with FolderLocks(root).shared("verify"):
            pass
    finally:
        os.close(writer)
        os.waitpid(child, 0)
        os.close(reader)


def test_where_no_lock_file_can_be_made_one_that_is_there_serves(root: Path) -> None:
    (root / "vault.json").write_text("{}")
    (root / "tmp").rmdir()
    (root / "tmp").write_text("in the way")
    with FolderLocks(root).one("gc"), pytest.raises(Locked):
        FolderLocks(root).one("gc", 0.05).__enter__()


def test_what_was_done_counts_where_a_lock_cannot_be_given_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing the file gives it back then; the next one need not wait."""

    def failing(file: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("casvault.files.locks._release", failing)
    with FolderLocks(root).shared("snapshot"), FolderLocks(root).model("key", "snapshot"):
        pass
    with FolderLocks(root).alone("gc"), FolderLocks(root).one("gc"):
        pass
