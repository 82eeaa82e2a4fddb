"""Which snapshot a live model goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from casvault.models import Model
from casvault.vault.head import Head
from casvault.vault.live import LiveRecord
from casvault.vault.parent import parent_of
from tests.support.vaults import make_head, make_vault, stamp

IDS = [stamp(number) for number in range(5)]


def test_the_parent(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    model = Model("deepfacelab", "new_SAEHD", "SAEHD", tmp_path / "workspace" / "model", ())
    here, elsewhere = (make_head(id, source=place) for id, place in ((IDS[0], "workspace/model"), (IDS[1], "other")))
    backup = make_head(IDS[2], kind="auto-backup")
    stranger = make_head(IDS[3], model_name="old_SAEHD")
    heads = [here, elsewhere, backup, stranger]
    assert parent_of(vault, model, heads, None) == IDS[0]
    assert parent_of(vault, model, heads[1:], None) == IDS[1]
    assert parent_of(vault, model, heads[2:], None) is None
    # What it was captured as or restored from is known better than by any name.
    assert parent_of(vault, model, heads, LiveRecord(IDS[3])) == IDS[3]
    assert parent_of(vault, model, heads, LiveRecord(IDS[2])) == IDS[2]
    assert parent_of(vault, model, heads, LiveRecord(IDS[4])) == IDS[0]


def test_the_parent_of_a_step(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)

    def step(number: int, folder: str) -> Head:
        more: dict[str, Any] = {
            "model_name": "runs",
            "source": f"{folder}/checkpoint-{number}",
            "meta": {"steps_of": folder},
        }
        return make_head(IDS[number], model_kind="generic", model_type=None, **more)

    heads = [step(1, "a/runs"), step(2, "b/runs"), make_head(IDS[3], model_name="runs", source="c/runs")]
    model = Model("generic", "runs", None, tmp_path / "a" / "runs" / "checkpoint-4", ())
    assert parent_of(vault, model, heads, None) == IDS[1]
    # One of its own comes first, and without any beside it what is called so.
    assert parent_of(vault, model, [step(4, "a/runs"), *heads], None) == IDS[4]
    assert parent_of(vault, model, heads[1:], None) == IDS[3]
