"""``casvault verify --sample``, ``repair`` and ``restore --skip-damaged`` as a user sees them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from casvault import api
from casvault.check.log import LastChecked
from casvault.check.verify import VerifyResult
from casvault.cli import verify
from tests.support.command import call, spawn
from tests.support.damage import flip, of_file, path_of, quarantined
from tests.support.trainer import NAME, make_model


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    """A vault with a snapshot of a model that is in its place, and one of its encoder's chunks damaged."""
    vault = api.init(tmp_path / ".casvault")
    model = make_model(tmp_path / "workspace/model", size=60_000)
    vault.snapshot(model.folder / NAME, name="hu\u202ert"[:2] + "rt")
    shutil.copytree(tmp_path / ".casvault", tmp_path / "other")
    flip(path_of(vault, of_file(vault, "hurt", f"{NAME}_encoder.npy")[0]))
    return vault


def test_repair_says_what_it_does(vault: api.Vault, tmp_path: Path) -> None:
    id = vault.find("hurt").id
    done = call(tmp_path, "verify", "--read-data")
    assert done.code == 20
    assert "`casvault repair`" in done.err
    done = call(tmp_path, "repair", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"hit: snapshot 'hurt' ({id}): {NAME}_encoder.npy",
        "1 damaged object would be put into quarantine.",
        f"1 chunk would be healed from the live model {NAME}.",
    ]
    done = call(tmp_path, "repair")
    assert (done.code, done.out) == (2, "")
    assert "Do that? There is no terminal to ask on" in done.err
    assert not quarantined(vault)
    done = spawn(tmp_path, "repair", "-y")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"hit: snapshot 'hurt' ({id}): {NAME}_encoder.npy",
        "1 damaged object put into quarantine.",
        f"1 chunk healed from the live model {NAME}.",
    ]
    assert call(tmp_path, "verify", "--read-data").code == 0
    assert call(tmp_path, "repair").out == "Nothing is damaged.\n"


def test_what_is_lost_ends_with_20_until_another_vault_heals_it(vault: api.Vault, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "workspace")
    digest = of_file(vault, "hurt", f"{NAME}_encoder.npy")[0]
    done = call(tmp_path, "repair", "-y")
    assert done.code == 20
    assert f"lost: chunk {digest[:12]} of {NAME}_encoder.npy in 'hurt'" in done.out
    assert done.err.startswith("casvault: chunks lost: 1; snapshots hit: 1. All other snapshots can be restored.")
    assert "--skip-damaged" in done.err
    done = call(tmp_path, "repair", "-y", "--json")
    assert done.code == 20
    assert done.json()["lost"] == [
        {"digest": digest, "snapshots": [vault.find("hurt").id], "files": [f"{NAME}_encoder.npy"]}
    ]
    done = call(tmp_path, "repair", "-y", "--from", "other", "--json")
    assert (done.code, done.json()["ok"], done.json()["lost"]) == (0, True, [])
    assert done.json()["healed"] == [{"digest": digest, "source": f"the vault {tmp_path / 'other'}"}]


def test_documents(vault: api.Vault, tmp_path: Path) -> None:
    (path,) = (tmp_path / ".casvault/snapshots").iterdir()
    flip(path, 500)
    done = call(tmp_path, "repair", "-y")
    assert done.code == 20
    assert "casvault repair --from VAULT" in done.out
    done = call(tmp_path, "repair", "-y", "--from", "other")
    assert (done.code, f"healed: manifest {path.stem}" in done.out) == (0, True)
    (label,) = (tmp_path / ".casvault/labels").iterdir()
    flip(label, 50)
    done = call(tmp_path, "repair", "-y")
    assert (done.code, "casvault edit" in done.out) == (20, True)


def test_dropping_the_quarantine(vault: api.Vault, tmp_path: Path) -> None:
    assert call(tmp_path, "repair", "--drop-quarantine").out == "Nothing is in quarantine.\n"
    call(tmp_path, "repair", "-y")
    assert call(tmp_path, "repair", "--drop-quarantine").code == 2
    assert call(tmp_path, "repair", "--drop-quarantine", "--from", "other").code == 2
    assert call(tmp_path, "repair", "--drop-quarantine", "--dry-run").out.startswith("Would remove 1 file ")
    done = call(tmp_path, "repair", "--drop-quarantine", "-y", "--json")
    assert (done.json()["dropped_files"], quarantined(vault)) == (1, [])


def test_restoring_what_is_whole(vault: api.Vault, tmp_path: Path) -> None:
    done = call(tmp_path, "restore", "hurt", "--skip-damaged")
    assert (done.code, "--to" in done.err) == (2, True)
    done = call(tmp_path, "restore", "hurt", "--skip-damaged", "--to", "out", "--dry-run")
    assert (done.code, (tmp_path / "out").exists()) == (3, False)
    done = call(tmp_path, "restore", "hurt", "--skip-damaged", "--to", "out")
    assert done.code == 3
    assert f"left out: {NAME}_encoder.npy: object objects/" in done.out
    assert done.err == f"casvault: 1 of {count(tmp_path)} files were left out: {NAME}_encoder.npy.\n"
    done = call(tmp_path, "restore", "hurt", "--skip-damaged", "--to", "again", "--json")
    assert (done.code, done.json()["missing"][0]["path"]) == (3, f"{NAME}_encoder.npy")
    call(tmp_path, "repair", "-y")
    done = call(tmp_path, "restore", "hurt", "--skip-damaged", "--to", "whole")
    assert (done.code, done.err) == (0, "")


def count(tmp_path: Path) -> int:
    return len(list((tmp_path / "workspace/model").iterdir()))


def test_samples(vault: api.Vault, tmp_path: Path) -> None:
    call(tmp_path, "repair", "-y")
    done = call(tmp_path, "verify", "--sample", "5%")
    assert done.code == 0
    assert " of them, " in done.out
    assert "Last checked: oldest less than an hour ago" in done.out
    document = call(tmp_path, "verify", "--sample", "5 %", "--json").json()
    assert 0 < document["objects_read"] < document["objects_checked"]
    assert document["oldest_check"].endswith(":00:00.000Z")
    for bad in ("5", "0%", "101%", "x%", "-1%"):
        assert call(tmp_path, "verify", "--sample", bad).code == 2


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (LastChecked(0, 0, None), "There is nothing to check yet."),
        (LastChecked(10, 10, None), "Last checked: never."),
        (LastChecked(10, 4, 0), "Last checked: oldest 56 years ago, 40 % never."),
        (LastChecked(1000, 1, 0), "Last checked: oldest 56 years ago, less than 1 % never."),
        (LastChecked(10, 0, 0), "Last checked: oldest 56 years ago."),
    ],
)
def test_how_long_ago_is_told(last: LastChecked, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "age", lambda then: "56 years ago")
    assert verify._last_checked(VerifyResult(1, 0, 0, (), (), last)) == told


def test_a_hostile_name_steers_no_terminal(vault: api.Vault, tmp_path: Path) -> None:
    done = call(tmp_path, "repair", "--from", "\x1b[31mnowhere")
    assert done.code == 10
    assert "\x1b" not in done.err
