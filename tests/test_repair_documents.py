"""Damaged manifests and labels: healed from a vault that has the same document, and from no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from casvault import api
from casvault.manifest.document import same_document, write_document
from casvault.manifest.label import Label
from tests.support.damage import flip, of_file, path_of, quarantined
from tests.support.lines import Line, copy_of
from tests.support.trainer import tree


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path)
    for name in ("first", "second"):
        made.snapshot(name)
    return made


@pytest.fixture
def other(line: Line, tmp_path: Path) -> Path:
    made = copy_of(line.vault, tmp_path / "other").path
    assert made is not None
    return made


def document(line: Line, folder: str, number: int = 0) -> Path:
    (path,) = (line.root / ".casvault" / folder).glob(f"{list(line.saves)[number]}*")
    return path


def _damages(data: bytes) -> Iterator[bytes]:
    for position in (0, 1, len(data) // 2, len(data) - 81, len(data) - 80, len(data) - 40, len(data) - 1):
        yield data[:position] + bytes([data[position] ^ 0x20]) + data[position + 1 :]
    yield from (data[:100], b"", bytes(len(data)), data[:90] + bytes(len(data) - 90))


@pytest.mark.parametrize("folder", ["snapshots", "labels"])
def test_it_comes_back_byte_for_byte(line: Line, other: Path, folder: str) -> None:
    path = document(line, folder)
    whole, there = path.read_bytes(), tree(other)
    for number, wrong in enumerate(_damages(whole), 1):
        path.write_bytes(wrong)
        plan = line.vault.plan_repair(other)
        assert (plan.documents_healed, plan.ok, path.read_bytes()) == ((path.stem,), True, wrong)
        found = line.vault.repair(other)
        assert (found.documents_healed, found.ok) == ((path.stem,), True)
        assert path.read_bytes() == whole
        assert len(quarantined(line.vault)) == number
        assert (line.root / ".casvault/quarantine" / quarantined(line.vault)[-1]).read_bytes() == wrong
    assert tree(other) == there
    line.check(line.vault)
    assert [head.name for head in line.vault.snapshots()] == ["first", "second"]


def test_chunks_of_a_manifest_that_comes_back_are_healed_with_it(line: Line, other: Path) -> None:
    digest = line.vault.show("first").files[-1].chunks[0].digest
    path_of(line.vault, digest).unlink()
    flip(document(line, "snapshots"), 700)
    plan = line.vault.plan_repair(other)
    found = line.vault.repair(other)
    assert found.ok
    assert digest in found.healed
    assert plan.healed == found.healed
    line.check(line.vault)


def test_what_a_manifest_that_comes_back_was_thinned_of_is_not_missed(line: Line, other: Path) -> None:
    id = next(iter(line.saves))
    digest = of_file(line.vault, id, "log.bin")[0]
    line.vault.write_label(Label(id, thinned=("log.bin",)))
    for place in (line.root / ".casvault", other):
        (place / "objects" / digest[:3] / digest).unlink()
    flip(document(line, "snapshots"), 700)
    assert line.vault.plan_repair(other).ok
    assert line.vault.repair(other).ok


def test_without_another_vault_it_is_told_and_left(line: Line) -> None:
    path = document(line, "snapshots")
    flip(path, 700)
    wrong = path.read_bytes()
    found = line.vault.repair()
    assert (found.ok, set(found.documents), path.read_bytes()) == (False, {path.stem}, wrong)
    assert not quarantined(line.vault)


def test_a_damaged_label_is_settled_by_an_edit(line: Line) -> None:
    flip(document(line, "labels"), 60)
    assert not line.vault.repair().ok
    line.vault.edit(next(iter(line.saves)), name="again")
    assert line.vault.repair().ok


def test_another_document_of_that_name_is_refused(line: Line, other: Path) -> None:
    """One that holds together, but is not the one that was damaged."""
    ours = document(line, "snapshots")
    theirs = api.open(other)
    manifest = theirs.show("first")
    (other / "snapshots" / ours.name).write_bytes(replace(manifest, iteration=77).to_bytes())
    flip(ours, 700)
    wrong = ours.read_bytes()
    found = line.vault.repair(other)
    assert (found.documents_healed, set(found.documents)) == ((), {ours.stem})
    assert ours.read_bytes() == wrong


def test_another_label_of_that_name_is_refused(line: Line, other: Path) -> None:
    ours = document(line, "labels")
    (other / "labels" / ours.name).write_bytes(Label(ours.name[:27], name="wrong", deleted=True).to_bytes())
    flip(ours, 60)
    assert not line.vault.repair(other).ok
    assert line.vault.find(ours.name[:27]).label.deleted is False


@pytest.mark.parametrize("what", ["damaged", "another id", "no manifest", "empty", "a folder"])
def test_what_does_not_hold_together_is_refused(line: Line, other: Path, what: str) -> None:
    ours = document(line, "snapshots")
    theirs = other / "snapshots" / ours.name
    if what == "damaged":
        flip(theirs, 900)
    elif what == "another id":
        theirs.write_bytes(document(line, "snapshots", 1).read_bytes())
    elif what == "a folder":
        theirs.unlink()
        theirs.mkdir()
    else:
        theirs.write_bytes(write_document({"format": 1}) if what == "no manifest" else b"")
    ours.write_bytes(bytes(ours.stat().st_size))
    found = line.vault.repair(other)
    assert (found.documents_healed, set(found.documents)) == ((), {ours.stem})


def test_what_is_left_of_a_document_tells_which_it_was() -> None:
    whole, other = write_document({"id": "a" * 200}), write_document({"id": "b" * 200})
    assert all(same_document(wrong, whole) for wrong in _damages(whole) if wrong)
    assert not any(same_document(wrong, whole) for wrong in (other, flipped(other, 10), flipped(other, -20)))
    assert not same_document(whole + b"more" + other, whole)


def flipped(data: bytes, position: int) -> bytes:
    position %= len(data)
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
