"""Labels that cannot be read: nothing is given up for them, and a change starts from what is safe."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from casvault import api
from casvault.backends.local import LocalBackend
from casvault.errors import StorageError
from casvault.prune import Rules
from casvault.usage.holdings import HoldingsReader
from tests.support.lines import Line


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path, threads=1)
    for name in ("first", "second", "third"):
        made.snapshot(name)
    return made


def newest_label(line: Line, id: str) -> Path:
    return max((line.root / ".casvault" / "labels").glob(f"{id}.*"))


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)


def given_back(line: Line) -> tuple[api.Vault, str]:
    """Delete a snapshot and take that back; return the vault, opened anew, and the id."""
    id = line.vault.find("second").id
    line.vault.delete(id)
    line.vault.undelete(id)
    line.vault.heads()
    return api.open(line.root / ".casvault", threads=1), id


def test_an_edit_beside_a_damaged_label_revives_no_deletion(line: Line) -> None:
    vault, id = given_back(line)
    damage(newest_label(line, id))
    vault.edit(id, name="my best model")
    assert vault.find("my best model").id == id
    assert vault.gc().forgotten_snapshots == ()
    line.check(vault)


def test_an_edit_beside_a_damaged_label_settles_it(line: Line) -> None:
    vault, id = given_back(line)
    damage(newest_label(line, id))
    vault.edit(id, notes="")
    (head,) = [head for head in api.open(line.root / ".casvault").heads() if head.id == id]
    assert (head.doubtful, head.label.deleted, head.name) == (False, False, "second")


def test_an_edit_revives_no_thinning(line: Line) -> None:
    id = line.vault.find("second").id
    line.vault.relabel(id, "thin", lambda label: type(label)(id, label.name, thinned=("log.bin",)))
    line.vault.unthin(id)
    damage(newest_label(line, id))
    vault = api.open(line.root / ".casvault", threads=1)
    vault.edit(id, notes="fine")
    assert vault.find(id).label.thinned == ()
    vault.gc()
    line.check(vault)


def test_a_label_that_cannot_be_read_for_a_moment_is_not_replaced(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    vault, id = given_back(line)
    vault.edit(id, pinned=True)
    read, newest = LocalBackend._read, newest_label(line, id).name

    def failing(self: LocalBackend, name: str, limit: int | None) -> bytes:
        if name.endswith(newest):
            raise OSError(errno.EIO, "Input/output error", name)
        return read(self, name, limit)

    with monkeypatch.context() as patch:
        patch.setattr(LocalBackend, "_read", failing)
        with pytest.raises(StorageError):
            vault.edit(id, tag=["keep"])
    vault.edit(id, tag=["keep"])
    label = vault.find(id).label
    assert (label.pinned, label.tags, label.deleted) == (True, ("keep",), False)


def test_nothing_is_given_up_while_manifest_and_label_cannot_be_read(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, id = given_back(line)
    for path in (line.root / ".casvault" / "cache").iterdir():
        path.unlink()
    read = LocalBackend._read

    def failing(self: LocalBackend, name: str, limit: int | None) -> bytes:
        if id in name and name != f"labels/{min((line.root / '.casvault/labels').glob(f'{id}.*')).name}":
            raise OSError(errno.EIO, "Input/output error", name)
        return read(self, name, limit)

    monkeypatch.setattr(LocalBackend, "_read", failing)
    with pytest.raises(StorageError):
        vault.gc()
    monkeypatch.undo()
    assert vault.gc().forgotten_snapshots == ()
    line.check(vault)


def test_a_snapshot_whose_pin_may_be_lost_is_left_alone_by_rules(line: Line) -> None:
    id = line.vault.find("first").id
    line.vault.edit(id, pinned=True)
    damage(newest_label(line, id))
    vault = api.open(line.root / ".casvault", threads=1)
    plan = vault.prune(Rules(last=1), include_manual=True, gc=True)
    assert len(plan.goes) == 1
    assert id in [head.id for head in vault.heads()]
    (verdict,) = [verdict for verdict in plan.verdicts if verdict.head.id == id]
    assert "damaged label" in verdict.reasons


def test_threads_do_not_take_each_others_word_for_damage(line: Line) -> None:
    vault, id = given_back(line)
    damage(newest_label(line, id))
    (line.root / ".casvault" / "cache" / "heads").unlink(missing_ok=True)
    stop, wrong = threading.Event(), []

    def listing() -> None:
        while not stop.is_set():
            vault.heads()

    threads = [threading.Thread(target=listing) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        wrong += [one for one in HoldingsReader(vault).read().doomed if one == id]
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert HoldingsReader(api.open(line.root / ".casvault")).read().doomed == ()
