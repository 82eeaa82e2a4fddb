"""Usage: exact against the disk, for snapshots, models, sets and the vault."""

from __future__ import annotations

from pathlib import Path

import pytest

from casvault.errors import BadManifest, NotFound
from casvault.vault.pending import Pending
from tests.support.lines import Line, copy_of, objects_on_disk


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path)
    made.grow(5)
    return made


def on_disk(line: Line) -> int:
    return sum(objects_on_disk(line.vault).values())


def test_stored_bytes_are_those_on_the_disk(line: Line) -> None:
    found = line.vault.usage()
    assert found.vault.stored_bytes == on_disk(line)
    assert found.vault.objects == len(objects_on_disk(line.vault))
    assert found.vault.reclaimable_bytes == 0
    documents = [path for name in ("snapshots", "labels") for path in (line.root / ".casvault" / name).iterdir()]
    assert found.vault.document_bytes == sum(path.stat().st_size for path in documents)


def test_what_is_saved_adds_up(line: Line) -> None:
    vault = line.vault.usage().vault
    saved = vault.saved_by_dedup + vault.saved_by_coding + vault.saved_by_deltas
    assert vault.logical_bytes - saved == vault.stored_bytes - vault.base_bytes - vault.reclaimable_bytes
    assert vault.logical_bytes == sum(len(data) for save in line.saves.values() for data in save.values())
    # The file that never changes, and the header that is the same in each of ten arrays.
    assert vault.saved_by_dedup == 4 * 5_000 + 9 * 128
    assert vault.saved_by_deltas > 0


def test_a_snapshot_takes_what_is_its_own_and_what_it_shares(line: Line) -> None:
    found = {one.head.id: one for one in line.vault.usage().snapshots}
    key, *others = found.values()
    assert key.unique_bytes < min(one.unique_bytes for one in others)
    for one in found.values():
        assert one.logical_bytes == sum(map(len, line.saves[one.head.id].values()))
        manifest = line.vault.manifest(one.head.id)
        needed = {digest for chunk in manifest.chunks() for digest in line.vault.objects.closure(chunk.digest)}
        sizes = [line.vault.objects.encodings(digest)[0].size for digest in needed]
        assert one.unique_bytes + one.shared_bytes == sum(sizes)


def test_a_set_is_told_together(line: Line) -> None:
    ids = list(line.saves)
    found = line.vault.usage(*ids)
    assert found.set_bytes == found.vault.stored_bytes == on_disk(line)
    assert found.set_bytes > sum(one.unique_bytes for one in found.snapshots)
    two = line.vault.usage(ids[0], ids[1])
    assert [one.head.id for one in two.snapshots] == ids[:2] == list(two.chosen)
    assert two.vault == found.vault


def test_what_was_left_behind_is_reclaimable(line: Line, tmp_path: Path) -> None:
    before = line.vault.usage().vault
    objects = line.root / ".casvault" / "objects"
    stray = objects / "abc" / ("abc" + "0" * 61)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(bytes(1000))
    (objects / "abc" / ("abc" + "1" * 61)).write_bytes(bytes(96))
    (objects / "abc" / ".0123456789abcdef.tmp").write_bytes(bytes(50))
    (objects / "abc" / "a stranger").write_bytes(bytes(7))
    after = line.vault.usage().vault
    assert after.stored_bytes - before.stored_bytes == after.reclaimable_bytes == 1000 + 96 + 50
    line.vault.gc()
    assert on_disk(line) == before.stored_bytes + 7
    line.check(line.vault)


def test_models_are_told_apart(line: Line) -> None:
    other = line.root / "runs" / "other"
    other.mkdir()
    (other / "frozen.bin").write_bytes((line.folder / "frozen.bin").read_bytes())
    (other / "own.bin").write_bytes(bytes(range(250)) * 30)
    line.vault.snapshot(other)
    found = {one.name: one for one in line.vault.usage().models}
    assert found["line"].snapshots == 5
    assert found["other"].snapshots == 1
    assert found["other"].logical_bytes == 5_000 + 7_500
    shared = found["other"].stored_bytes - found["other"].unique_bytes
    assert 5_000 < shared < 5_200
    assert sum(one.unique_bytes for one in found.values()) + shared == on_disk(line)


def test_what_is_only_leaned_on(line: Line) -> None:
    first = next(iter(line.saves))
    predicted = line.vault.usage(first).snapshots[0]
    line.vault.delete(first)
    vault = line.vault.usage().vault
    assert vault.reclaimable_bytes == predicted.unique_bytes
    assert vault.base_bytes > 100_000
    line.vault.gc(recode=False)
    assert line.vault.usage().vault.base_bytes == vault.base_bytes
    line.vault.gc()
    assert line.vault.usage().vault.base_bytes == 0


def test_growth_ends_at_what_is_stored(line: Line) -> None:
    found = line.vault.usage()
    assert [point.created for point in found.growth] == [head.created for head in line.vault.snapshots()]
    assert found.growth[-1].stored_bytes == found.vault.stored_bytes
    assert found.growth[-1].logical_bytes == found.vault.logical_bytes
    stored = [point.stored_bytes for point in found.growth]
    assert stored == sorted(stored)


def test_what_is_on_its_way_is_not_reclaimable(line: Line) -> None:
    digests = tuple(chunk.digest for chunk in line.vault.manifest(next(iter(line.saves))).chunks())
    for id in line.saves:
        line.vault.delete(id)
    assert line.vault.usage().vault.reclaimable_bytes == on_disk(line)
    Pending.write(line.vault.backend, line.vault.new_id(), digests)
    assert 0 < line.vault.usage().vault.reclaimable_bytes < on_disk(line)


def test_an_empty_vault_and_unknown_names(tmp_path: Path) -> None:
    made = Line(tmp_path)
    found = made.vault.usage()
    assert (found.vault.stored_bytes, found.snapshots, found.models, found.growth) == (0, (), (), ())
    with pytest.raises(NotFound):
        made.vault.usage("nobody")


def test_a_damaged_manifest_is_told_with_the_way_out(line: Line, tmp_path: Path) -> None:
    first = next(iter(line.saves))
    path = line.root / ".casvault" / "snapshots" / f"{first}.json"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadManifest, match=f"casvault delete {first}"):
        copy_of(line.vault, tmp_path / "copy").usage()
