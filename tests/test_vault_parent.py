"""Which snapshot a live model goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from casvault.manifest.label import Label
from casvault.models import Model
from casvault.vault.head import Head
from casvault.vault.live import LiveRecord
from casvault.vault.parent import chunks_on_disk, heads_from, parent_of
from tests.support.vaults import make_head, make_manifest, make_vault, stamp

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


def test_the_children_of_a_snapshot_are_among_the_heads_from_it(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    for id, parent in zip(IDS, [None, IDS[0], IDS[1], IDS[1], IDS[3]], strict=True):
        vault.commit(make_manifest(id, parent=parent), Label(id))
    assert [head.id for head in heads_from(vault, LiveRecord(IDS[1]))] == IDS[1:]
    assert [head.id for head in heads_from(vault, None)] == IDS
    vault.write_label(Label(IDS[1], deleted=True))
    assert [head.id for head in heads_from(vault, LiveRecord(IDS[1]))] == [IDS[0], *IDS[2:]]


def test_what_a_parent_vouches_for(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    contents = {"new_SAEHD_encoder.npy": b"1" * 100, "new_SAEHD_src_dst_opt.npy": b"2" * 100}
    parent = make_manifest(IDS[0], contents)
    one, two = (file.chunks[0].digest for file in parent.files)
    assert chunks_on_disk(vault, None) == chunks_on_disk(vault, parent) == set()
    vault.commit(parent, Label(parent.id))
    assert chunks_on_disk(vault, parent) == {one, two}
    vault.write_label(Label(parent.id, thinned=(parent.files[1].path,)))
    assert chunks_on_disk(vault, parent) == {one}
    stamp_of_newest = vault.write_label(Label(parent.id, deleted=True))
    assert chunks_on_disk(vault, parent) == set()
    vault.backend.write(f"labels/{parent.id}.{stamp_of_newest}.json", b"x")
    assert chunks_on_disk(vault, parent) == set()
