"""The commands between vaults, as people and programs meet them."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from casvault import api
from tests.support.command import call, spawn
from tests.support.lines import Line


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path / "rented", threads=1)
    made.grow(2)
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home" / ".casvault"
    api.init(place)
    return place


def test_remotes(line: Line, home: Path) -> None:
    assert "There are no remotes" in call(line.root, "remote", "list").out
    assert call(line.root, "remote", "add", "home", home).code == 0
    assert call(line.root, "remote", "list").out == f"home  {home}\n"
    assert call(line.root, "remote", "list", "--json").json()["remotes"] == [
        {"name": "home", "url": str(home), "program": "casvault"}
    ]
    assert call(line.root, "remote", "check", "home").out.startswith("home answers: 0 snapshots, vault ")
    assert call(line.root, "remote", "check", "home", "--json").json()["snapshots"] == 0
    assert call(line.root, "remote", "remove", "home").code == 0
    gone = call(line.root, "remote", "check", "home")
    assert (gone.code, gone.out) == (1, "")
    assert "no remote 'home'" in gone.err


@pytest.mark.parametrize(
    "words",
    [
        ["add", "x"],
        ["list", "x"],
        ["remove"],
        ["add", "x", "http://host/x"],
        ["add", "x", "s3://bucket/x", "--option", "secret_access_key=x"],
        ["add", "x", "s3://bucket/x", "--option", "region"],
        ["add", "x", "/srv/x", "--option", "region=x"],
        ["list", "--option", "region=x"],
        ["add", "x", "ssh://-oProxyCommand=x/y"],
        ["list", "--program", "x"],
        ["rename", "x"],
    ],
)
def test_remotes_that_cannot_be(line: Line, words: list[str]) -> None:
    outcome = call(line.root, "remote", *words)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)


def test_push_pull_sync(line: Line, home: Path, tmp_path: Path) -> None:
    call(line.root, "remote", "add", "home", home)
    assert call(line.root, "push", "home", "--dry-run").out.startswith("2 snapshots would be sent to home: ")
    pushed = call(line.root, "push", "home", "--json").json()
    assert pushed["snapshots_sent"] == 2
    assert pushed["objects_sent"] > 0
    assert pushed["wire_bytes"] > pushed["object_bytes_sent"]
    assert call(line.root, "push", "home").out == "Nothing was sent to home: all is there.\n"
    line.check(api.open(home))
    fresh = tmp_path / "fresh"
    api.init(fresh / ".casvault")
    pulled = call(fresh, "pull", home, "--latest", "--json").json()
    assert pulled["received"] == [max(line.saves)]
    both = call(fresh, "sync", home, "--json").json()
    assert (both["snapshots_sent"], both["snapshots_received"]) == (0, 1)
    assert "Nothing was received" in call(fresh, "sync", home).out
    assert call(fresh, "verify", "--read-data").code == 0


def test_what_excludes_each_other(line: Line, home: Path) -> None:
    assert call(line.root, "push", home, "latest", "--latest").code == 2
    assert call(line.root, "push", home, "--limit-rate", "1").code == 2
    assert call(line.root, "push", home, "no such").code == 1


def test_the_dead_are_a_note_and_conflicts_an_exit_code(line: Line, home: Path) -> None:
    call(line.root, "push", home)
    there = api.open(home)
    first, last = sorted(line.saves)
    there.delete(last)
    noted = call(line.root, "push", home)
    assert noted.code == 0
    assert f"snapshot {last[-6:]} stayed away: the receiving vault has deleted it" in noted.err
    manifest = there.manifest(first)
    shutil.rmtree(home / "cache")
    (home / "snapshots" / f"{first}.json").write_bytes(dataclasses.replace(manifest, run=7).to_bytes())
    conflict = call(line.root, "push", home, "--json")
    assert conflict.code == 21
    assert list(conflict.json()["conflicts"]) == [first]
    assert first[-6:] in conflict.err


def test_damage_is_partial(line: Line, home: Path) -> None:
    assert line.vault.path is not None
    manifest = line.vault.manifest(max(line.saves))
    old = {chunk.digest for chunk in line.vault.manifest(min(line.saves)).chunks()}
    digest = next(chunk.digest for chunk in manifest.chunks() if chunk.digest not in old)
    (line.vault.path / line.vault.objects.encodings(digest)[0].blob).unlink()
    outcome = call(line.root, "push", home)
    assert outcome.code == 3
    assert outcome.out.startswith("1 snapshot sent")
    assert "could not be sent" in outcome.err


def test_serve_answers_no_person(line: Line) -> None:
    assert call(line.root, "serve").code == 2
    outcome = spawn(line.root, "--vault", line.vault.path or "", "serve", "--stdio")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("casvault serve 1\n")


def test_listing_remotes_needs_no_numpy(line: Line) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from casvault.cli.main import _run; "
        f"_run(['--vault', {str(line.vault.path)!r}, 'remote', 'list']); sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
