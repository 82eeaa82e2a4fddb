"""What an import would do: the order of copies, the broken ones, and those that were imported before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from casvault import api
from casvault.demo.model import SampleModel
from casvault.importing.plan import Candidate, ImportPlan
from tests.support.backups import age, back_up, copy_to, folder_of
from tests.support.pictures import put
from tests.support.trainer import NAME, make_model, tree

DAY = 1_700_000_000


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    return make_model(tmp_path / "workspace" / "model", size=60_000)


def step(model: SampleModel, iterations: int = 5) -> SampleModel:
    model.train(iterations)
    model.save()
    return model


def shown(plan: ImportPlan) -> list[str]:
    return [candidate.shown for candidate in plan.candidates]


def one(plan: ImportPlan, name: str) -> Candidate:
    return next(candidate for candidate in plan.candidates if candidate.shown == name)


def test_backups_come_in_the_order_of_their_numbers_whatever_their_times(vault: api.Vault, model: SampleModel) -> None:
    for _ in range(3):
        back_up(step(model))
    age(folder_of(model) / "01", DAY)
    age(folder_of(model) / "03", DAY + 9_000)
    plan = vault.plan_import(folder_of(model))
    assert shown(plan) == ["03", "02", "01"]
    assert [candidate.state.iteration for candidate in plan.candidates] == [10, 15, 20]
    assert plan.candidates[2].saved_at == "2023-11-14T22:13:20.000Z"
    assert plan.candidates[0].size == sum(len(entry.data) for entry in tree(folder_of(model) / "03").values())


def test_other_copies_come_by_time(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    for number, name in enumerate(("c", "a", "b")):
        copy_to(step(model), tmp_path / "old" / name, DAY + number * 3600)
    model.iteration = 0
    copy_to(step(model), tmp_path / "old" / "reset", DAY + 9 * 3600)
    assert shown(vault.plan_import(tmp_path / "old")) == ["c", "a", "b", "reset"]


def test_where_all_have_the_time_of_copying_the_iteration_tells(
    vault: api.Vault, model: SampleModel, tmp_path: Path
) -> None:
    for number, name in ((3, "first"), (0, "second"), (2, "third")):
        copy_to(step(model), tmp_path / "old" / name, DAY + number)
    copy_to(step(model), tmp_path / "old" / "years before", DAY - 10**8)
    assert shown(vault.plan_import(tmp_path / "old")) == ["years before", "first", "second", "third"]


def test_what_was_written_down_tells_the_time(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    for name in ("a", "b"):
        copy_to(step(model), tmp_path / "old" / name, DAY)
    put(tmp_path / "old" / "b" / "version.json", b'{"created": "2020-01-01T00:00:00Z"}')
    plan = vault.plan_import(tmp_path / "old")
    assert shown(plan) == ["b", "a"]
    assert plan.candidates[0].saved_at == "2023-11-14T22:13:20.000Z", "that is when the trainer saved it"


def test_another_iteration_than_the_trainers_is_doubted(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    copy_to(model, tmp_path / "old" / "a")
    put(tmp_path / "old" / "a" / "metadata.json", b'{"iteration": 7}')
    (candidate,) = vault.plan_import(tmp_path / "old").candidates
    assert candidate.state.iteration == 5
    assert "tells iteration 7" in candidate.notes.problems[0]
    assert not candidate.notes.all_taken


@pytest.mark.parametrize("role", ["decoder.npy", "data.dat"])
def test_copies_that_lack_a_file(vault: api.Vault, model: SampleModel, tmp_path: Path, role: str) -> None:
    (copy_to(model, tmp_path / "old" / "a") / f"{NAME}_{role}").unlink()
    candidate = one(vault.plan_import(tmp_path / "old"), "a")
    assert candidate.fate == "broken"
    assert role in str(candidate.problem)


@pytest.mark.parametrize(
    ("role", "data"), [("encoder.npy", b""), ("encoder.npy", bytes(5000)), ("data.dat", b"nothing"), ("data.dat", b"")]
)
def test_copies_with_a_file_that_is_none(
    vault: api.Vault, model: SampleModel, tmp_path: Path, role: str, data: bytes
) -> None:
    put(copy_to(model, tmp_path / "old" / "a") / f"{NAME}_{role}", data)
    candidate = one(vault.plan_import(tmp_path / "old"), "a")
    assert candidate.fate == "broken"
    assert role in str(candidate.problem)


def test_a_copy_of_two_saves(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    copy_to(model, tmp_path / "old" / "a")
    step(model)
    shutil.copy(model.folder / f"{NAME}_data.dat", tmp_path / "old" / "a")
    assert "summary.txt is of iteration 5, data.dat of 10" in str(
        vault.plan_import(tmp_path / "old").candidates[0].problem
    )


def test_a_plan_stores_nothing(vault: api.Vault, model: SampleModel, tmp_path: Path) -> None:
    back_up(model)
    before, copies = tree(tmp_path / ".casvault"), tree(model.folder)
    vault.plan_import(model.folder)
    assert tree(tmp_path / ".casvault") == before
    assert tree(model.folder) == copies


def test_each_snapshot_makes_one_copy_known(vault: api.Vault, model: SampleModel) -> None:
    back_up(step(model))
    vault.import_copies(model.folder)
    assert [candidate.fate for candidate in vault.plan_import(model.folder).candidates] == ["there"]
    shutil.copytree(folder_of(model) / "01", folder_of(model) / "02")
    fates = {candidate.shown[-2:]: candidate.fate for candidate in vault.plan_import(model.folder).candidates}
    assert sorted(fates.values()) == ["import", "there"]
    vault.import_copies(model.folder)
    back_up(step(model))
    fates = {candidate.shown[-2:]: candidate.fate for candidate in vault.plan_import(model.folder).candidates}
    assert fates == {"03": "there", "02": "there", "01": "import"}
    age(folder_of(model) / "02", DAY)
    assert one(vault.plan_import(folder_of(model)), "02").fate == "import", "the same bytes of another save"


def test_a_snapshot_of_another_kind_makes_none_known(vault: api.Vault, model: SampleModel) -> None:
    back_up(model)
    vault.snapshot(model.folder)
    assert [candidate.fate for candidate in vault.plan_import(model.folder).candidates] == ["import"]
