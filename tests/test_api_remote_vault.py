"""A vault elsewhere, looked at and restored from: nothing comes over but what was asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from casvault import RestoreOptions, api
from casvault.errors import AmbiguousError, Cancelled, NotFound, RemoteConflict, TrainerRunning, UsageError
from casvault.models import Trainer
from casvault.progress import Progress
from casvault.restore import plan as planning
from tests.support.command import call
from tests.support.history import snapshot_of
from tests.support.lines import objects_on_disk
from tests.support.pictures import jpeg
from tests.support.trainer import contents, make_model


class Rented:
    """A rented machine: a model with three snapshots, the first of which has a name and a picture."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.vault = api.init(root / ".casvault")
        self.model = make_model(root / "workspace" / "model", size=40_000)
        self.ids: list[str] = []
        self.saves: list[dict[str, bytes]] = []
        for name in ("before GAN", None, "GAN 0.1"):
            self.model.train(3)
            self.model.save()
            self.ids.append(snapshot_of(self.vault, self.model.folder, "manual", name))
            self.saves.append(contents(self.model.folder))


@pytest.fixture
def rented(tmp_path: Path) -> Rented:
    return Rented(tmp_path / "rented")


@pytest.fixture
def home(tmp_path: Path, rented: Rented) -> api.Vault:
    vault = api.init(tmp_path / "home" / "dfl" / ".casvault")
    vault.add_remote("gpu", str(rented.root))
    return vault


def test_looked_at_without_pulling(rented: Rented, home: api.Vault) -> None:
    with home.remote("gpu") as there:
        assert [head.id for head in there.snapshots()] == rented.ids
        assert [head.id for head in there.snapshots(rented.model.name)] == rented.ids
        assert there.find("before GAN").id == rented.ids[0]
        assert there.show("latest").to_bytes() == rented.vault.manifest(rented.ids[2]).to_bytes()
        assert there.stored_size(there.show("latest")) == rented.vault.stored_size(there.show("latest"))
        assert there.usage("latest").to_json() == rented.vault.usage("latest").to_json()
        assert there.damaged == ()
        with pytest.raises(NotFound, match="--remote gpu list"):
            there.snapshots("other")
    assert objects_on_disk(home) == {}
    assert home.snapshots() == []


def test_deleted_ones_are_shown_when_asked_for(rented: Rented, home: api.Vault) -> None:
    rented.vault.delete(rented.ids[1])
    with home.remote("gpu") as there:
        assert [head.id for head in there.snapshots()] == [rented.ids[0], rented.ids[2]]
        assert [head.id for head in there.snapshots(deleted=True)] == [rented.ids[1]]
        with pytest.raises(NotFound):
            there.find(rented.ids[1])


def test_the_picture_comes_alone(rented: Rented, home: api.Vault, tmp_path: Path) -> None:
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(jpeg())
    rented.model.train(1)
    rented.model.save()
    rented.vault.snapshot(rented.model.folder, name="with a picture", preview=picture)
    with home.remote("gpu") as there:
        assert there.preview("with a picture") == picture.read_bytes()
        assert there.preview("GAN 0.1") is None
    assert objects_on_disk(home) == {}


def test_restoring_brings_just_that_snapshot_and_asks_where_to(rented: Rented, home: api.Vault, tmp_path: Path) -> None:
    with home.remote("gpu") as there:
        with pytest.raises(UsageError, match="which is not on this machine; say where to with --to"):
            there.restore("before GAN")
        assert objects_on_disk(home) == {}
        plan = there.plan_restore("before GAN", RestoreOptions(to=tmp_path / "models"))
        assert {change.action for change in plan.changes} == {"add"}
        assert objects_on_disk(home) == {}
        result = there.restore("before GAN", RestoreOptions(to=tmp_path / "models"))
    assert contents(tmp_path / "models") == rented.saves[0]
    assert result.backup is None
    assert [head.id for head in home.snapshots()] == [rented.ids[0]]
    needed = {chunk.digest for chunk in home.manifest(rented.ids[0]).chunks()}
    assert {name.digest for name in home.objects.every()} == needed
    assert home.verify(read_data=True).ok


def test_the_model_that_is_known_here_is_meant_and_backed_up(rented: Rented, home: api.Vault) -> None:
    mine = make_model(home.home / "train" / "model", name=rented.model.name, size=40_000)
    mine.train(7)
    mine.save()
    before = contents(mine.folder)
    with home.remote("gpu") as there:
        with pytest.raises(UsageError, match="--to"):
            there.restore("GAN 0.1")
        snapshot_of(home, mine.folder, "manual", "mine")
        mine.train(1)
        mine.save()
        before = contents(mine.folder)
        result = there.restore("GAN 0.1")
    assert contents(mine.folder) == rented.saves[2]
    assert result.backup is not None
    home.undo(mine.folder)
    assert contents(mine.folder) == before


def test_a_folder_that_is_here_by_chance_is_not_taken_for_the_models(
    rented: Rented, home: api.Vault, tmp_path: Path
) -> None:
    """Both machines have a folder of that name; here it is another thing."""
    outside = make_model(tmp_path / "shared" / "model", size=40_000)
    outside.train(1)
    outside.save()
    snapshot_of(rented.vault, outside.folder, "manual", "outside")
    saved = contents(outside.folder)
    for path in outside.folder.iterdir():
        path.unlink()
    (outside.folder / "something.txt").write_text("else")
    with home.remote("gpu") as there:
        with pytest.raises(UsageError, match="say where to with --to"):
            there.restore("outside")
        assert contents(outside.folder) == {"something.txt": b"else"}
        # Where the model itself is there, it is meant.
        outside.save()
        there.restore("outside", RestoreOptions(force=True))
    assert {name: data for name, data in contents(outside.folder).items() if name != "something.txt"} == saved
    # The machine that took it knows its place, whatever is there.
    for path in outside.folder.iterdir():
        path.unlink()
    rented.vault.restore("outside")
    assert contents(outside.folder) == saved


def test_a_fetch_that_was_cut_off_does_no_harm(rented: Rented, home: api.Vault) -> None:
    class Cut(Progress):
        def advance(self, amount: int) -> None:
            self.cancel()
            super().advance(amount)

    home.pull("gpu")
    home.delete(*rented.ids, gc=True)
    with home.remote("gpu") as there, pytest.raises(Cancelled):
        there.fetch("before GAN", progress=Cut())
    assert home.snapshots() == []
    assert home.verify(read_data=True).ok
    home.gc()
    with home.remote("gpu") as there:
        assert there.fetch("before GAN").id == rented.ids[0]
    assert home.verify(read_data=True).ok


def test_two_that_are_known_are_told(rented: Rented, home: api.Vault) -> None:
    for place in ("a", "b"):
        model = make_model(home.home / place / "model", name=rented.model.name, size=40_000)
        model.save()
        snapshot_of(home, model.folder)
    with home.remote("gpu") as there, pytest.raises(UsageError, match=r"several of that name: .*a/model, .*b/model"):
        there.restore("GAN 0.1")


def test_a_running_trainer_is_met_before_anything_comes_over(
    rented: Rented, home: api.Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(tmp_path / "models", name=rented.model.name, size=40_000)
    model.save()
    monkeypatch.setattr(planning, "trainers_of", lambda vault, live: (Trainer(1, "main.py train", False),))
    with home.remote("gpu") as there, pytest.raises(TrainerRunning):
        there.restore("before GAN", RestoreOptions(to=tmp_path / "models"))
    assert objects_on_disk(home) == {}


@pytest.mark.parametrize("collected", [False, True])
def test_what_was_deleted_here_comes_back_when_it_is_asked_for(
    rented: Rented, home: api.Vault, tmp_path: Path, collected: bool
) -> None:
    home.pull("gpu")
    home.delete(*rented.ids, gc=collected)
    refused = home.pull("gpu", rented.ids[0])
    assert list(refused.refused) == [rented.ids[0]]
    with home.remote("gpu") as there:
        there.restore("before GAN", RestoreOptions(to=tmp_path / "models"))
    assert contents(tmp_path / "models") == rented.saves[0]
    assert [head.id for head in home.snapshots()] == [rented.ids[0]]
    assert home.verify(read_data=True).ok
    # The others stay dead, and the one that came back is not taken for dead by the other side.
    home.sync("gpu", delete=True)
    assert [head.id for head in home.snapshots()] == [rented.ids[0]]
    assert [head.id for head in rented.vault.snapshots()] == [rented.ids[0]]


def test_what_was_thinned_here_is_not_taken_for_whole(rented: Rented, home: api.Vault, tmp_path: Path) -> None:
    home.pull("gpu", rented.ids[0])
    home.thin(rented.ids[0], gc=True)
    with home.remote("gpu") as there, pytest.raises(UsageError, match="thinned here"):
        there.restore("before GAN", RestoreOptions(to=tmp_path / "models"))


def test_another_snapshot_of_that_id_is_a_conflict(rented: Rented, home: api.Vault, tmp_path: Path) -> None:
    stranger = make_model(home.home / "model", name="other", size=40_000)
    stranger.save()
    own = snapshot_of(home, stranger.folder)
    path = Path(str(home.path)) / "snapshots" / f"{own}.json"
    manifest = home.manifest(own)
    path.unlink()
    forged = dataclasses.replace(manifest, id=rented.ids[0])
    (path.parent / f"{rented.ids[0]}.json").write_bytes(forged.to_bytes())
    with home.remote("gpu") as there, pytest.raises(RemoteConflict):
        there.fetch("before GAN")


# The command line


def test_the_commands(rented: Rented, home: api.Vault, tmp_path: Path) -> None:
    root = home.home
    listed = call(root, "--remote", "gpu", "list", "--json").json()
    assert listed["snapshots"] == call(rented.root, "list", "--json").json()["snapshots"]
    assert "before GAN" in call(root, "--remote", "gpu", "list", rented.model.name).out
    assert call(root, "list").out.startswith("There are no snapshots yet")
    shown = call(root, "--remote", "gpu", "show", "latest")
    assert shown.out == call(rented.root, "show", "latest").out
    used = call(root, "--remote", "gpu", "usage", "--json").json()
    assert used == call(rented.root, "usage", "--json").json()
    planned = call(root, "--remote", "gpu", "restore", "before GAN", "--to", tmp_path / "m", "--dry-run")
    assert "write" in planned.out
    asked = call(root, "--remote", "gpu", "restore", "before GAN")
    assert (asked.code, asked.err.count("\n")) == (2, 1)
    assert "say where to with --to" in asked.err
    assert objects_on_disk(home) == {}
    done = call(root, "--remote", "gpu", "restore", "before GAN", "--to", tmp_path / "m", "-y")
    assert done.out.startswith("Restored 'before GAN'")
    assert contents(tmp_path / "m") == rented.saves[0]


def test_what_goes_not_with_a_remote(rented: Rented, home: api.Vault, tmp_path: Path) -> None:
    for words in (["verify"], ["gc"], ["snapshot", "x"], ["restore", "latest", "--skip-damaged", "--to", tmp_path]):
        outcome = call(home.home, "--remote", "gpu", *words)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1), words
    assert call(home.home, "--remote", "nas", "list").code == 1
    empty = api.init(tmp_path / "empty" / ".casvault")
    assert call(home.home, "--remote", empty.path or "", "list").out.startswith("There are no snapshots in ")


def test_a_damaged_manifest_elsewhere_is_partial(rented: Rented, home: api.Vault) -> None:
    (Path(str(rented.vault.path)) / "snapshots" / f"{rented.ids[1]}.json").write_bytes(b"{}")
    outcome = call(home.home, "--remote", "gpu", "list")
    assert outcome.code == 3
    assert rented.ids[1] in outcome.err


def test_latest_of_two_models_has_to_be_said(rented: Rented, home: api.Vault) -> None:
    other = make_model(rented.root / "workspace" / "model", name="two_SAEHD", size=40_000)
    other.save()
    rented.vault.snapshot(other.folder / other.name)
    with home.remote("gpu") as there, pytest.raises(AmbiguousError):
        there.find("latest")
