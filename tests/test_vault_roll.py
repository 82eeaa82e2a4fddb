"""The roll: a snapshot whose manifest vanishes is missed, and nobody else is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from casvault import api
from casvault.digest import digest_of
from casvault.errors import DamageError, NotFound, StorageError
from casvault.sync import SyncOptions, push
from casvault.sync.local import LocalRemote
from casvault.vault.roll import missing
from tests.support.command import call
from tests.support.lines import Line


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path / "here", threads=1)
    made.grow(3)
    return made


def manifest_of(line: Line, id: str) -> Path:
    return line.root / ".casvault/snapshots" / f"{id}.json"


def test_what_vanishes_after_a_verify_is_missed_until_it_is_back_or_given_up(line: Line, tmp_path: Path) -> None:
    first, second, _ = line.saves
    other = api.init(tmp_path / "other")
    with LocalRemote(line.vault) as here, LocalRemote(other) as there:
        push(here, there, SyncOptions())
    assert line.vault.verify().ok
    for id in (first, second):
        manifest_of(line, id).unlink()
    for _ in range(2):
        found = api.open(line.root / ".casvault").verify()
        assert (found.ok, found.missing, found.affected) == (False, (first, second), (first, second))
    assert found.damaged[0] == (
        f"the manifest of snapshot {first} is gone, and nobody deleted it; `casvault pull` brings it back from a vault "
        f"that has it, `casvault delete {first}` gives it up."
    )
    outcome = call(line.root, "verify")
    assert outcome.code == DamageError.exit_code
    assert f"hit: snapshot '?' ({first})" in outcome.out
    # What they need stays meanwhile.
    refused = call(line.root, "gc")
    assert refused.code == DamageError.exit_code
    assert refused.err == f"casvault: what snapshot {first} needs is not known: {found.damaged[0]}\n"
    assert call(line.root, "pull", tmp_path / "other", first).code == 0
    assert call(line.root, "verify", "--read-data", "--json").json()["missing_snapshots"] == [second]
    assert call(line.root, "delete", second, "-y").code == 0
    assert call(line.root, "verify", "--read-data").code == 0
    assert api.open(line.root / ".casvault").gc().deleted_objects >= 0
    assert call(line.root, "verify", "--read-data").code == 0
    line.check(api.open(line.root / ".casvault"), [first])


def test_a_label_that_vanishes_is_missed_until_another_is_written(line: Line) -> None:
    first, second, third = line.saves
    line.vault.edit(first, notes="old")
    line.vault.edit(second, pinned=True)
    line.vault.edit(third, name="kept")
    line.vault.edit(first, notes="new")
    line.vault.gc()
    assert line.vault.verify().ok
    labels = line.root / ".casvault/labels"
    for id in (first, second):
        for path in labels.glob(f"{id}.*"):
            path.unlink()
    for _ in range(2):
        vault = api.open(line.root / ".casvault")
        found = vault.verify()
        assert (found.ok, found.missing, found.affected) == (False, (), (first, second))
    assert found.damaged[0].startswith(f"the newest label of snapshot {first} is gone, and an older one holds, or none")
    vault.edit(first, notes="new")
    assert vault.verify().affected == (second,)
    vault.delete(second, gc=True)
    assert vault.verify().ok


def test_what_a_live_record_refers_to_is_missed_without_the_roll(line: Line) -> None:
    first = next(iter(line.saves))
    (line.folder / "log.bin").write_bytes(b"trained on")
    backup = line.vault.restore(first).backup
    assert backup is not None
    shutil.rmtree(line.root / ".casvault/cache")
    for id in (first, backup.id):
        manifest_of(line, id).unlink()
    assert api.open(line.root / ".casvault").verify().missing == (first, backup.id)


def test_who_was_deleted_or_never_verified_is_not_missed(line: Line) -> None:
    first, second, _ = line.saves
    line.vault.verify()
    line.vault.delete(first, gc=True)
    assert line.vault.verify().ok
    line.vault.delete(second)
    assert line.vault.verify().ok
    manifest_of(line, second).unlink()
    assert line.vault.verify().ok


def test_whatever_is_wrong_with_the_roll_counts_as_nothing(line: Line) -> None:
    first = next(iter(line.saves))
    line.vault.verify()
    path = line.root / ".casvault/cache/roll"
    whole = path.read_bytes()
    manifest_of(line, first).unlink()
    vault = api.open(line.root / ".casvault")
    assert missing(vault.backend, vault.index).snapshots == [first]
    strange = b"casvault roll 1\n../../treasure -"
    for data in (
        *(whole[:length] for length in range(len(whole))),
        *(whole[:at] + b"\xff" + whole[at + 1 :] for at in range(len(whole))),
        digest_of(strange).encode() + b"\n" + strange,
        digest_of(b"").encode() + b"\n",
    ):
        path.write_bytes(data)
        assert missing(vault.backend, vault.index) == ([], [])


def test_a_roll_that_cannot_be_kept_hinders_nothing(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = api.open(line.root / ".casvault")

    def refuse(*arguments: object, **options: object) -> None:
        raise StorageError("the disk is broken.")

    monkeypatch.setattr(vault.backend, "write", refuse)
    assert vault.verify().ok
    with pytest.raises(NotFound):
        vault.delete("20261124T031500.123Z-1f3c9a")
