"""Which codecs hold a vault: by headers alone, and estimated from some of them where there are many."""

from __future__ import annotations

from pathlib import Path

import pytest

from casvault.codecs import CODEC_IDS
from casvault.objects import Frame
from casvault.usage.coding import coding
from tests.support.lines import Line


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path)
    made.grow(4)
    return made


def test_it_adds_up_to_what_usage_says(line: Line) -> None:
    found, vault = line.vault.coding(), line.vault.usage().vault
    assert found.exact
    alone = [one for one in found.codecs if not one.leaning]
    deltas = [one for one in found.codecs if one.leaning]
    assert sum(one.saved_bytes for one in alone) == vault.saved_by_coding
    assert sum(one.saved_bytes for one in deltas) == vault.saved_by_deltas
    assert found.codecs[0].saved_bytes == max(one.saved_bytes for one in found.codecs)


def test_codecs_are_those_of_the_frames(line: Line) -> None:
    names = {number: name for name, number in CODEC_IDS.items()}
    counted: dict[str, int] = {}
    for name in line.vault.objects.every():
        frame = Frame.parse(line.vault.backend.read(name.blob), name.blob)
        counted[names[frame.codec]] = counted.get(names[frame.codec], 0) + 1
    assert {one.codec: one.objects for one in line.vault.coding().codecs} == counted


@pytest.mark.parametrize("most", [1, 2, 7, 1000])
def test_of_a_sample_the_shares_still_add_up(line: Line, most: int) -> None:
    found, exact = coding(line.vault, most), line.vault.coding()
    assert found.looked_at <= most
    assert found.exact == (most >= exact.objects)
    assert found.objects == exact.objects == sum(one.objects for one in found.codecs)
    for total in ("plain_bytes", "stored_bytes", "saved_bytes"):
        for leaning in (False, True):
            sums = [
                sum(getattr(one, total) for one in each.codecs if one.leaning == leaning) for each in (found, exact)
            ]
            assert sums[0] == sums[1]


def test_what_is_no_object_is_told_as_unknown(line: Line) -> None:
    name = next(iter(line.vault.objects.every()))
    path = line.root / ".casvault" / name.blob
    path.chmod(0o644)
    path.write_bytes(b"x" * name.size)
    assert "unknown" in {one.codec for one in line.vault.coding().codecs}


def test_an_empty_vault(tmp_path: Path) -> None:
    found = Line(tmp_path).vault.coding()
    assert (found.codecs, found.objects, found.exact) == ((), 0, True)
    assert found.to_json() == {"codecs": [], "objects": 0, "looked_at": 0, "exact": True}
