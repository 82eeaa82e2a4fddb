"""Which snapshot a live model goes on from."""

from __future__ import annotations

from pathlib import Path

from casvault.models import Model
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
