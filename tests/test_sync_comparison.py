"""Comparing two vaults: told is what push, pull and sync then do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from casvault import api
from casvault.errors import NotFound, NoVault, UsageError
from casvault.manifest.document import write_document
from casvault.manifest.label import Label
from casvault.sync import Comparison
from tests.support.lines import Line

_KINDS = ("only_here", "only_there", "newer_here", "newer_there", "deleted_here", "deleted_there")


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path / "here", threads=1)
    made.grow(4)
    return made


@pytest.fixture
def other(line: Line, tmp_path: Path) -> api.Vault:
    api.init(tmp_path / "there" / ".casvault")
    line.vault.add_remote("home", str(tmp_path / "there"))
    return api.open(tmp_path / "there" / ".casvault", threads=1)


def told(found: Comparison) -> dict[str, list[str]]:
    """Return the ids of each kind that has any."""
    ids = {kind: [head.id for head in getattr(found, kind)] for kind in _KINDS}
    return {kind: each for kind, each in ids.items() if each}


def test_what_is_only_here(line: Line, other: api.Vault) -> None:
    found = line.vault.compare_remote("home")
    assert told(found) == {"only_here": sorted(line.saves, reverse=True)}
    assert (found.remote, found.uuid, found.both, found.same) == ("home", other.config.uuid, 0, False)
    assert found.bytes_to_send is None
    told_first = line.vault.compare_remote("home", sizes=True)
    sent = line.vault.push("home")
    assert (told_first.bytes_to_send, told_first.bytes_to_receive) == (sent.object_bytes, 0)
    after = line.vault.compare_remote("home", sizes=True)
    assert (after.same, after.both, after.bytes_to_send) == (True, 4, 0)


def test_each_kind_is_told_and_a_sync_ends_all_but_deletions(line: Line, other: api.Vault) -> None:
    first, second, third, fourth = sorted(line.saves)
    line.vault.push("home", first, second, third)
    line.vault.edit(first, name="newer here")
    other.edit(second, name="newer there")
    other.delete(third)
    found = line.vault.compare_remote("home")
    assert told(found) == {
        "only_here": [fourth],
        "newer_here": [first],
        "newer_there": [second],
        "deleted_there": [third],
    }
    assert (found.refused, found.conflicts) == ({}, {})
    line.vault.sync("home")
    assert told(line.vault.compare_remote("home")) == {"deleted_there": [third]}
    assert line.vault.find("newer there").id == second
    other.gc()
    assert told(line.vault.compare_remote("home")) == {"deleted_there": [third]}
    line.vault.sync("home", delete=True)
    assert line.vault.compare_remote("home").same


def test_what_is_refused_and_what_is_a_conflict(line: Line, other: api.Vault) -> None:
    first, second, *_ = sorted(line.saves)
    line.vault.push("home")
    line.vault.edit(first, name="grown old", notes="of the same time")
    (label,) = (Path(str(line.vault.path)) / "labels").glob(f"{first}.*.json")
    changed = write_document(Label(first, name="another").to_json())
    (Path(str(other.path)) / "labels" / label.name).write_bytes(changed)
    (Path(str(other.path)) / "snapshots" / f"{second}.json").write_bytes(b"{}")
    found = line.vault.compare_remote("home")
    assert found.unreadable == (second,)
    assert set(found.conflicts) == {first, second}
    assert not found.same
    assert json.loads(json.dumps(found.to_json()))["unreadable"] == [second]


def test_what_cannot_be_compared(line: Line, other: api.Vault, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="compared with another one"):
        line.vault.compare_remote(str(line.vault.path))
    with pytest.raises(NotFound):
        line.vault.compare_remote("nas")
    with pytest.raises(NoVault):
        line.vault.compare_remote(str(tmp_path / "gone"))
