"""Import: copies become a line of snapshots of their model, cheap where alike, and leave the live model alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from casvault import api
from casvault.demo.model import SampleModel
from casvault.errors import Cancelled, IncompleteSave, NoSpace
from casvault.importing import plan_import, run, run_import
from casvault.importing.run import ImportResult
from casvault.progress import Progress
from casvault.restore import RestoreOptions
from casvault.snapshot import take_held
from casvault.vault.vault import Vault
from tests.support.backups import age, back_up, copy_to, folder_of
from tests.support.pictures import add_faces, jpeg, put
from tests.support.trainer import NAME, contents, make_model, tree

DAY = 1_700_000_000


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    model = add_faces(make_model(tmp_path / "workspace" / "model", size=600_000))
    model.save()
    return model


def step(model: SampleModel, iterations: int = 5) -> SampleModel:
    model.train(iterations)
    model.save()
    return model


def backups(model: SampleModel) -> list[dict[str, bytes]]:
    """Make five backups, the third and the fourth alike; return their files, the oldest first."""
    for number in range(5):
        back_up(model if number == 3 else step(model), None if number == 4 else jpeg(number))
    return [contents(folder_of(model) / f"{number:02}", NAME) for number in (5, 4, 3, 2, 1)]


def in_vault(vault: Vault) -> int:
    assert vault.path is not None
    folders = ("objects", "snapshots", "labels")
    return sum(path.stat().st_size for name in folders for path in (vault.path / name).rglob("*") if path.is_file())


def imported(result: ImportResult) -> list[str]:
    return [taken.id for _, taken in result.imported]


def test_five_backups_two_of_them_alike(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    saves = backups(model)
    sizes = [in_vault(vault)]
    plan = plan_import(vault, model.folder)
    for candidate in plan.candidates:
        run_import(vault, plan_import(vault, candidate.copy.folder))
        sizes.append(in_vault(vault))
    heads = vault.snapshots()
    assert [head.iteration for head in heads] == [10, 15, 20, 20, 25]
    assert sizes[4] - sizes[3] < 64 << 10
    assert sizes[3] - sizes[2] > 64 << 10
    for number, (head, files) in enumerate(zip(heads, saves, strict=True)):
        vault.restore(head.id, RestoreOptions(to=tmp_path / f"back {number}"))
        assert contents(tmp_path / f"back {number}") == files
    assert vault.verify(read_data=True).ok


def test_they_make_a_line_of_their_own(vault: api.Vault, tmp_path: Path) -> None:
    model = make_model(tmp_path / "workspace" / "model", size=3_000_000)
    backups(model)
    result = vault.import_copies(model.folder)
    heads = vault.snapshots()
    assert [head.id for head in heads] == imported(result)
    assert [head.document["parent"] for head in heads] == [None, *imported(result)[:-1]]
    assert [head.document["since_key"] for head in heads] == [0, 1, 2, 3, 4]
    for head, (candidate, _) in zip(heads, result.imported, strict=True):
        told = head.document
        assert (head.kind, head.model_name, head.source, head.name) == ("imported", NAME, "workspace/model", None)
        assert head.saved_at == candidate.saved_at
        assert head.created > str(head.saved_at)
        assert told["loss"] == candidate.state.loss
        assert told["options"]["archi"] == "liae-ud"
        assert told["meta"]["imported_from"] == f"workspace/model/{NAME}_autobackups/{candidate.shown[-2:]}"
    bases = [name.base for name in vault.objects.every() if name.base]
    assert bases, "later ones lean on earlier ones"


def test_each_has_its_own_picture(vault: api.Vault, model: SampleModel) -> None:
    put(model.folder / f"{NAME}_preview_SAEHD.jpg", jpeg(99))
    backups(model)
    ids = imported(vault.import_copies(model.folder))
    assert [vault.preview(id) for id in ids[:4]] == [jpeg(number) for number in range(4)]
    preview = vault.show(ids[4]).preview
    assert preview is not None
    assert (preview.kind, preview.media_type) == ("samples", "image/png")


def test_the_live_model_is_left_alone(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    live = vault.snapshot(model.folder, name="live")
    step(model)
    records = contents(tmp_path / ".casvault" / "live")
    back_up(model)
    before = tree(model.folder)
    vault.import_copies(model.folder)
    assert contents(tmp_path / ".casvault" / "live") == records
    assert tree(model.folder) == before
    assert vault.find("latest").id == live.id
    assert vault.find(f"{NAME}@latest").id == live.id
    assert vault.status(model.folder).newest is not None
    assert vault.status(model.folder).newest.id == live.id  # type: ignore[union-attr]
    after = vault.snapshot(model.folder)
    assert after.head.document["parent"] == live.id
    assert after.new_bytes == 0


def test_the_live_models_parent_is_no_import_also_without_its_record(
    vault: api.Vault, model: SampleModel, tmp_path: Path
) -> None:
    live = vault.snapshot(model.folder)
    back_up(step(model))
    vault.import_copies(model.folder)
    for path in (tmp_path / ".casvault" / "live").iterdir():
        path.unlink()
    assert vault.snapshot(model.folder).head.document["parent"] == live.id


def test_the_first_snapshot_of_a_model_leans_on_the_newest_import(vault: api.Vault, model: SampleModel) -> None:
    backups(model)
    ids = imported(vault.import_copies(model.folder))
    assert vault.find("latest").id == ids[-1]
    assert vault.snapshot(step(model).folder).head.document["parent"] == ids[-1]


def test_an_iteration_means_the_models_own_snapshot(vault: api.Vault, model: SampleModel) -> None:
    back_up(step(model))
    vault.import_copies(model.folder)
    assert vault.find(f"{NAME}@10").kind == "imported"
    live = vault.snapshot(model.folder)
    assert vault.find(f"{NAME}@10").id == live.id


def test_twice_is_once(vault: api.Vault, model: SampleModel) -> None:
    backups(model)
    ids = imported(vault.import_copies(model.folder))
    size = in_vault(vault)
    again = vault.import_copies(folder_of(model))
    assert (again.imported, [head.id for _, head in again.there]) == ([], ids)
    assert in_vault(vault) == size


def test_a_later_import_continues_the_line(vault: api.Vault, model: SampleModel) -> None:
    backups(model)
    first = imported(vault.import_copies(model.folder))
    back_up(step(model))
    (more,) = imported(vault.import_copies(model.folder))
    assert vault.find(more).document["parent"] == first[-1]
    for path in (folder_of(model) / "02").iterdir():
        path.unlink()
    back_up(step(model))
    (last,) = imported(vault.import_copies(folder_of(model) / "01"))
    assert vault.find(last).document["parent"] == more


def test_folders_give_their_names_and_what_was_written_down(
    vault: api.Vault, model: SampleModel, tmp_path: Path
) -> None:
    copy_to(model, tmp_path / "old" / "before GAN", DAY)
    copy_to(step(model), tmp_path / "old" / "v2", DAY + 9_000)
    put(tmp_path / "old" / "v2" / "metadata.json", b'{"name": "good", "notes": "batch 8", "created": 1700000000}')
    vault.import_copies(tmp_path / "old")
    one, two = vault.snapshots()
    assert (one.name, one.label.notes, two.name, two.label.notes) == ("before GAN", None, "good", "batch 8")
    assert two.document["meta"] == {"imported_from": "old/v2", "created": "2023-11-14T22:13:20.000Z"}


def test_a_renamed_models_backups_belong_to_it(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    back_up(model)
    files = contents(folder_of(model) / "01", NAME)
    folder_of(model).rename(model.folder / "big_SAEHD_autobackups")
    (id,) = imported(vault.import_copies(model.folder))
    assert vault.find(id).model_name == "big_SAEHD"
    vault.restore(id, RestoreOptions(to=tmp_path / "back"))
    assert contents(tmp_path / "back") == {name.replace(NAME, "big_SAEHD"): data for name, data in files.items()}
    assert vault.import_copies(model.folder).imported == []


def test_broken_and_empty_ones_are_told_and_hinder_no_other(vault: api.Vault, model: SampleModel) -> None:
    backups(model)
    (folder_of(model) / "04" / f"{NAME}_decoder.npy").unlink()
    put(folder_of(model) / "02" / f"{NAME}_encoder.npy", b"")
    (folder_of(model) / "06").mkdir()
    result = vault.import_copies(model.folder)
    assert [vault.find(id).iteration for id in imported(result)] == [10, 20, 25]
    assert sorted(path.name for path in result.failed) == ["02", "04"]
    assert result.empty == (folder_of(model) / "06",)
    assert vault.snapshots()[1].document["parent"] == vault.snapshots()[0].id


def test_where_all_are_broken(vault: api.Vault, model: SampleModel) -> None:
    (back_up(model) / f"{NAME}_decoder.npy").unlink()
    with pytest.raises(IncompleteSave, match=r"none of 1 copies could be imported; .*01: .*decoder\.npy"):
        vault.import_copies(model.folder)
    assert vault.snapshots() == []


def test_a_copy_that_moved_on_is_not_taken_for_what_it_was(vault: api.Vault, model: SampleModel) -> None:
    backups(model)
    plan = vault.plan_import(model.folder)
    back_up(step(model))
    with pytest.raises(IncompleteSave, match="changed since it was looked at"):
        run_import(vault, plan)
    assert vault.snapshots() == []
    assert len(vault.import_copies(model.folder).imported) == 6


def test_a_full_disk_ends_it(vault: api.Vault, model: SampleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    backups(model)
    calls: list[int] = []

    def full(*arguments: object) -> object:
        calls.append(1)
        if len(calls) > 1:
            raise NoSpace("the disk is full.")
        return take_held(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "take_held", full)
    result = vault.import_copies(model.folder)
    assert (len(result.imported), len(result.failed), len(calls)) == (1, 4, 2)
    monkeypatch.undo()
    assert len(vault.import_copies(model.folder).imported) == 4


def test_it_can_be_stopped_and_goes_on_the_next_time(vault: api.Vault, model: SampleModel) -> None:
    class Stopping(Progress):
        tasks = 0

        def start(self, task: str, total: int | None) -> None:
            self.tasks += task == "storing"
            if self.tasks == 3:
                self.cancel()

    backups(model)
    with pytest.raises(Cancelled):
        vault.import_copies(model.folder, progress=Stopping())
    assert len(vault.snapshots()) == 2
    result = vault.import_copies(model.folder)
    assert (len(result.there), len(result.imported)) == (2, 3)
    assert [head.document["parent"] for head in vault.snapshots()][1:] == [head.id for head in vault.snapshots()][:-1]


def test_old_times_are_kept(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    age(back_up(model), DAY)
    (id,) = imported(vault.import_copies(model.folder))
    assert vault.find(id).saved_at == "2023-11-14T22:13:20.000Z"
    vault.restore(id, RestoreOptions(to=tmp_path / "back"))
    assert tree(tmp_path / "back") == tree(folder_of(model) / "01")
