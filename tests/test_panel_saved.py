"""What saves how much: the parts of the bar add up to the whole, to the byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from casvault import api
from casvault.panel.pages.saved import saved_by
from tests.support.trainer import NAME, make_model


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> api.Vault:
    place = tmp_path_factory.mktemp("saved")
    model = make_model(place / "workspace" / "model", size=3_000_000)
    made = api.init(place / ".casvault")
    for _ in range(3):
        made.snapshot(model.folder / NAME)
        model.train(50)
        model.save()
    return made


def test_the_parts_are_the_whole(vault: api.Vault) -> None:
    usage = vault.usage().vault
    saved = saved_by(usage, vault.coding())
    assert saved.exact
    assert sum(part.size for part in saved.parts) == saved.whole == usage.logical_bytes + usage.picture_bytes
    assert saved.stored == usage.stored_bytes - usage.reclaimable_bytes - usage.base_bytes
    sizes = {part.kind: part.size for part in saved.parts}
    assert sizes["dedup"] == usage.saved_by_dedup
    assert sizes["deltas"] == usage.saved_by_deltas
    assert sizes["zstd"] + sizes["planes"] == usage.saved_by_coding
    assert min(sizes["planes"], sizes["deltas"]) > 0
    assert saved.ratio == saved.whole / saved.stored


def test_they_lie_one_after_another_within_the_bar(vault: api.Vault) -> None:
    saved = saved_by(vault.usage().vault, vault.coding())
    at = 0.0
    for part in saved.parts:
        assert part.x == pytest.approx(at, abs=0.02)
        at += part.width
    assert at == pytest.approx(1000, abs=0.1)


def test_what_costs_a_header_has_no_width(vault: api.Vault) -> None:
    usage = replace(vault.usage().vault, saved_by_deltas=-300)
    part = next(part for part in saved_by(usage, vault.coding()).parts if part.kind == "deltas")
    assert (part.size, part.width) == (-300, 0.0)


def test_an_empty_vault(tmp_path: Path) -> None:
    made = api.init(tmp_path / ".casvault")
    saved = saved_by(made.usage().vault, made.coding())
    assert (saved.whole, saved.stored, saved.ratio) == (0, 0, 0.0)
    assert [part.width for part in saved.parts] == [0.0] * 5
