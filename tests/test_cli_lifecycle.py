"""The commands that delete, thin, free, count, edit and export: texts, documents, questions and exit codes."""

from __future__ import annotations

import json
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from casvault import api
from casvault.manifest.label import Label
from tests.support.command import Outcome, call, spawn
from tests.support.history import History, snapshot_of, stored
from tests.support.trainer import contents, tree

OPTIMIZER = "new_SAEHD_src_dst_opt.npy"


@pytest.fixture
def three(tmp_path: Path) -> History:
    """Snapshots "first", "second" and "third" that people took, and a pinned "fourth"."""
    history = History(tmp_path, 0)
    for name in ("first", "second", "third", "fourth"):
        history.snapshot("manual", name)
    history.vault.edit("fourth", pinned=True)
    return history


@pytest.fixture
def scheduled(tmp_path: Path) -> History:
    """Four snapshots that nobody took by hand."""
    return History(tmp_path, 4)


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let there be a terminal whose user says no to everything; what was asked is in the list."""
    asked: list[str] = []

    def confirm(text: str, **options: Any) -> bool:
        asked.append(text)
        return False

    monkeypatch.setattr("casvault.cli.options._interactive", lambda: True)
    monkeypatch.setattr(click, "confirm", confirm)
    return asked


def names(folder: Path) -> list[str | None]:
    return [head.name for head in api.open(folder / ".casvault").snapshots()]


def state(folder: Path) -> dict[str, bytes]:
    """Return all of a vault but what is derived."""
    return {
        name: data
        for name, data in contents(folder / ".casvault").items()
        if not name.startswith(("cache/", "tmp/", "lock", "gate"))
    }


CHANGES = [
    ["delete", "first"],
    ["delete", "first", "second", "--gc"],
    ["prune", "--keep-last", "1", "--include-manual"],
    ["prune", "--max-bytes", "1", "--include-manual", "--gc"],
    ["thin", "first", "second"],
    ["thin", "--older-than", "0m", "--gc"],
]


# Questions


@pytest.mark.parametrize("command", CHANGES, ids=" ".join)
def test_a_question_without_a_terminal_is_refused(three: History, tmp_path: Path, command: list[str]) -> None:
    before = state(tmp_path)
    done = call(tmp_path, *command)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith("There is no terminal to ask on; -y says yes.\n")
    assert "gc will free" in done.err
    assert "'first'" in done.err or " first " in done.err
    assert state(tmp_path) == before


def test_a_process_without_a_terminal_does_not_hang(three: History, tmp_path: Path) -> None:
    done = spawn(tmp_path, "delete", "first")
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize(
    ("command", "question"),
    list(
        zip(
            CHANGES,
            [
                "Delete it?",
                "Delete these 2 snapshots for good?",
                "Delete 2 of 4 snapshots?",
                "Delete 3 of 4 snapshots for good?",
                "Give these files up?",
                "Give these files up for good?",
            ],
            strict=True,
        )
    ),
)
def test_no_means_that_nothing_is_changed(
    three: History, tmp_path: Path, questions: list[str], command: list[str], question: str
) -> None:
    before = state(tmp_path)
    done = call(tmp_path, *command)
    assert questions == [question]
    assert (done.code, done.err.splitlines()[-1]) == (130, "casvault: nothing was changed.")
    assert state(tmp_path) == before


@pytest.mark.parametrize("command", [*CHANGES, ["gc"]], ids=" ".join)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_dry_run_changes_nothing(three: History, tmp_path: Path, command: list[str], as_json: bool) -> None:
    call(tmp_path, "delete", "second", "-y")
    command = [part for part in command if part != "second"]
    before = state(tmp_path)
    for more in ([], ["-y"]) if command != ["gc"] else ([],):
        done = call(tmp_path, *command, "--dry-run", *more, *(["--json"] if as_json else []))
        assert done.code == (3 if "--max-bytes" in command else 0)
        assert done.out
        assert not as_json or done.json()["dry_run"] is True
    assert state(tmp_path) == before


# delete, undelete, gc


def test_delete_undelete_gc(three: History, tmp_path: Path) -> None:
    done = call(tmp_path, "delete", "first", three.ids[1][-6:], "-y")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "Deleted 'first', 'second'."
    assert "gc will free" in done.out
    assert "undelete" in done.out
    assert names(tmp_path) == ["third", "fourth"]
    listed = call(tmp_path, "list", "--deleted").out
    assert ("first" in listed, "second" in listed, "third" in listed) == (True, True, False)
    assert [one["name"] for one in call(tmp_path, "list", "--deleted", "--json").json()["snapshots"]] == [
        "first",
        "second",
    ]
    done = call(tmp_path, "undelete", "first")
    assert (done.code, done.out) == (0, f"Snapshot 'first' ({three.ids[0]}) is back.\n")
    assert names(tmp_path) == ["first", "third", "fourth"]
    done = call(tmp_path, "gc")
    assert (done.code, done.err) == (0, "")
    assert "freed" in done.out
    assert "1 deleted snapshot cannot be brought back any more." in done.out
    done = call(tmp_path, "undelete", "second")
    assert (done.code, done.out) == (1, "")
    assert "`casvault list --deleted` shows those there are" in done.err
    done = call(tmp_path, "undelete", three.ids[1])
    assert done.code == 1
    assert "gc has freed its space since" in done.err
    assert call(tmp_path, "list", "--deleted").out == "There is no deleted snapshot that could be brought back.\n"
    assert call(tmp_path, "gc").out.startswith("There was nothing to free.\n")
    assert call(tmp_path, "verify", "--read-data").code == 0


def test_delete_as_json(three: History, tmp_path: Path) -> None:
    before = stored(three.vault)
    planned = call(tmp_path, "delete", "first", "--dry-run", "--json").json()
    done = call(tmp_path, "delete", "first", "-y", "--json").json()
    assert done == {**planned, "dry_run": False}
    assert (done["version"], done["deleted"], done["gc"]) == (1, [three.ids[0]], None)
    result = call(tmp_path, "gc", "--no-recode", "--json").json()
    assert before - stored(three.vault) == result["freed_bytes"] == done["frees_bytes"] > 0
    assert result["forgotten_snapshots"] == [three.ids[0]]
    back = call(tmp_path, "delete", "second", "-y")
    assert back.code == 0
    assert call(tmp_path, "undelete", "second", "--json").json()["deleted"] is False


def test_delete_and_collect_at_once(three: History, tmp_path: Path) -> None:
    done = call(tmp_path, "delete", "first", "--gc", "-y")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Deleted 'first'.\n")
    assert "freed:" in done.out
    assert "remain." in done.out
    assert "undelete" not in done.out
    document = call(tmp_path, "delete", "second", "--gc", "-y", "--json").json()
    assert document["gc"]["forgotten_snapshots"] == [three.ids[1]]
    assert document["gc"]["freed_bytes"] == document["frees_bytes"]
    assert call(tmp_path, "undelete", three.ids[0]).code == 1


def test_what_a_deletion_frees_besides_is_told(three: History, tmp_path: Path) -> None:
    call(tmp_path, "delete", "first", "-y")
    assert "besides, of what was deleted or left before" in call(tmp_path, "delete", "second", "--dry-run").out


@pytest.mark.parametrize("command", [["delete", "fourth"], ["delete", "first", "fourth"], ["thin", "fourth"]])
def test_what_is_pinned_is_refused(three: History, tmp_path: Path, command: list[str]) -> None:
    before = state(tmp_path)
    for more in ([], ["-y"], ["--dry-run"], ["-y", "--gc"]):
        done = call(tmp_path, *command, *more)
        assert (done.code, done.out) == (2, "")
        assert "is pinned" in done.err
        assert f"`casvault edit {three.ids[3][-6:]} --unpin` lets go of it." in done.err
    assert state(tmp_path) == before
    assert call(tmp_path, "edit", three.ids[3][-6:], "--unpin").code == 0
    assert call(tmp_path, *command, "-y").code == 0


def test_a_snapshot_whose_manifest_is_damaged_stands_in_the_way_and_can_be_given_up(
    three: History, tmp_path: Path
) -> None:
    (tmp_path / ".casvault" / "snapshots" / f"{three.ids[0]}.json").write_bytes(b"{}")
    for command in (["gc"], ["gc", "--dry-run"], ["usage"], ["prune", "--keep-last", "1"], ["thin", "second", "-y"]):
        done = call(tmp_path, *command)
        assert (done.code, done.out) == (20, ""), command
        assert f"`casvault delete {three.ids[0]}`" in done.err
        assert "Traceback" not in done.err
    done = call(tmp_path, "delete", three.ids[0], "-y")
    assert done.code == 0
    assert done.out.startswith(f"Deleted {three.ids[0]}.\n")
    assert call(tmp_path, "gc").code == 0
    assert names(tmp_path) == ["second", "third", "fourth"]
    assert call(tmp_path, "verify", "--read-data").code == 0


def test_a_collection_that_is_locked_out_leaves_the_deletion(
    three: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casvault.files.locks.ALONE_WAIT", 0.2)
    with api.open(tmp_path / ".casvault").locks.shared("snapshot"):
        done = call(tmp_path, "delete", "first", "-y", "--gc")
    assert done.code == 11
    assert done.out == "Deleted 'first'.\n"
    assert "`snapshot`" in done.err
    assert call(tmp_path, "undelete", "first").code == 0


def test_a_collection_says_why_it_did_not_finish(
    three: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("casvault.gc.collect"), "_recode", lambda *arguments: "the disk is full.\x1b[2J")
    done = call(tmp_path, "gc")
    assert (done.code, done.err) == (0, "Warning: re-coding was not finished: the disk is full.?[2J\n")
    done = call(tmp_path, "gc", "--json")
    assert done.json()["unfinished"] == "the disk is full.\x1b[2J"


# usage


def test_usage(three: History, tmp_path: Path) -> None:
    done = call(tmp_path, "usage")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["ID", "NAME", "MODEL", "ITERATION", "SIZE", "FREES", "IF", "DELETED", "SHARED"]
    assert [line.split()[1] for line in lines[1:5]] == ["fourth", "third", "second", "first"]
    assert any(line.startswith("Stored ") and "objects" in line for line in lines)
    assert "To be freed" not in done.out
    call(tmp_path, "delete", "first", "-y")
    assert "To be freed" in call(tmp_path, "usage").out
    done = call(tmp_path, "usage", "second", "third")
    assert "Deleting these 2 together frees" in done.out
    assert "fourth" not in done.out
    assert call(tmp_path, "usage", "no such").code == 1


def test_usage_as_json(three: History, tmp_path: Path) -> None:
    document = call(tmp_path, "usage", "--json").json()
    assert document["vault"]["stored_bytes"] == stored(three.vault)
    assert [one["name"] for one in document["snapshots"]] == ["first", "second", "third", "fourth"]
    assert document["chosen"]["ids"] == three.ids
    assert document["chosen"]["frees_together_bytes"] == document["vault"]["stored_bytes"]
    assert [one["name"] for one in document["models"]] == ["new_SAEHD"]
    assert len(document["growth"]) == 4
    chosen = call(tmp_path, "usage", "first", "second", "--json").json()
    frees = chosen["chosen"]["frees_together_bytes"]
    assert call(tmp_path, "delete", "first", "second", "--dry-run", "--json").json()["frees_bytes"] == frees


def test_usage_of_several_models(three: History, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 50)
    snapshot_of(three.vault, folder)
    done = call(tmp_path, "usage")
    assert "FREES IF ALL ARE DELETED" in done.out
    assert any(line.startswith("run ") for line in done.out.splitlines())


def test_usage_where_there_is_nothing(tmp_path: Path) -> None:
    api.init(tmp_path / ".casvault")
    done = call(tmp_path, "usage")
    assert (done.code, done.out.split("\n")[0]) == (0, "All snapshots      0 B")
    assert call(tmp_path, "usage", "--json").json()["snapshots"] == []
    done = call(tmp_path, "usage", "--plot", "a.png")
    assert (done.code, done.err) == (2, "casvault: there are no snapshots to draw.\n")


# prune


def test_prune(scheduled: History, tmp_path: Path) -> None:
    done = call(tmp_path, "prune", "--keep-last", "2", "--dry-run")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["keep", "keep", "delete", "delete"]
    assert lines[1].endswith("--keep-last, the newest")
    assert lines[4].endswith("no rule keeps it")
    assert lines[5].startswith("2 of 4 snapshots are to go. gc will free ")
    done = call(tmp_path, "prune", "--keep-last", "2", "-y")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Deleted 2 of 4 snapshots.\ngc will free ")
    assert scheduled.left() == [2, 3]
    done = call(tmp_path, "prune", "--keep-last", "2")
    assert (done.code, done.out, done.err) == (0, "None of 2 snapshots goes.\n", "")
    assert call(tmp_path, "undelete", scheduled.ids[0]).code == 0
    done = call(tmp_path, "prune", "--keep-last", "1", "-y", "--gc")
    assert done.out.startswith("Deleted 2 of 3 snapshots.\n")
    assert "freed:" in done.out
    assert "undelete" not in done.out


def test_prune_as_json(scheduled: History, tmp_path: Path) -> None:
    planned = call(tmp_path, "prune", "--keep-last", "2", "--dry-run", "--json").json()
    done = call(tmp_path, "prune", "--keep-last", "2", "-y", "--gc", "--json").json()
    assert done["deleted"] == planned["deleted"] == scheduled.ids[:2]
    assert (planned["dry_run"], done["dry_run"], planned["gc"]) == (True, False, None)
    assert done["gc"]["freed_bytes"] >= planned["frees_bytes"] > 0
    assert [one["kept"] for one in done["snapshots"]] == [False, False, True, True]


def test_prune_leaves_what_people_took_and_says_so(three: History, tmp_path: Path) -> None:
    done = call(tmp_path, "prune", "--keep-last", "1")
    assert done.code == 0
    assert done.out == (
        "None of 4 snapshots goes. People took 4 of them; --include-manual lets the rules choose among those too.\n"
    )
    listed = call(tmp_path, "prune", "--keep-last", "1", "--dry-run").out
    assert listed.count("taken by people") == 4
    assert call(tmp_path, "prune", "--keep-last", "1", "--include-manual", "-y").code == 0
    assert names(tmp_path) == ["third", "fourth"]


def test_prune_of_one_model(scheduled: History, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for number in range(2):
        (folder / "weights.bin").write_bytes(bytes([number]) * 5000)
        scheduled.ids.append(snapshot_of(scheduled.vault, folder))
    document = call(tmp_path, "prune", "run", "--keep-last", "1", "-y", "--json").json()
    assert document["deleted"] == scheduled.ids[4:5]
    assert call(tmp_path, "prune", "new", "--keep-last", "1", "-y", "--json").json()["deleted"] == scheduled.ids[:3]
    done = call(tmp_path, "prune", "no such", "--keep-last", "1")
    assert (done.code, done.out) == (1, "")


def test_prune_to_a_ceiling(scheduled: History, tmp_path: Path) -> None:
    done = call(tmp_path, "prune", "--max-bytes", "1GB")
    assert (done.code, done.out) == (0, "None of 4 snapshots goes.\n")
    done = call(tmp_path, "prune", "--keep-last", "4", "--max-bytes", "1kB", "--dry-run")
    assert done.code == 3
    assert done.out.count("over --max-bytes") == 3
    assert "more than --max-bytes: the rest is protected" in done.err
    done = call(tmp_path, "prune", "--max-bytes", "1kB", "-y", "--json")
    assert done.code == 3
    assert (len(done.json()["deleted"]), done.json()["excess_bytes"] > 0) == (3, True)
    assert scheduled.left() == [3]


def test_prune_where_there_is_nothing(tmp_path: Path) -> None:
    api.init(tmp_path / ".casvault")
    for more in ([], ["--dry-run"], ["--max-bytes", "0"]):
        done = call(tmp_path, "prune", "--keep-last", "1", *more)
        assert (done.code, done.out, done.err) == (0, "There are no snapshots to prune.\n", "")


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (["--keep-every", "1000000"], 2),
        (["--keep-hourly", "2"], 1),
        (["--keep-daily", "2"], 1),
        (["--keep-weekly", "2"], 1),
        (["--keep-best", "4"], 4),
        (["--keep-log"], 2),
        (["--keep-within", "12h"], 4),
        (["--keep-last", "3", "--keep-log"], 4),
    ],
)
def test_each_rule(scheduled: History, tmp_path: Path, rule: list[str], kept: int) -> None:
    heads = scheduled.vault.snapshots()
    if "ly" in rule[0] and len({(head.moment.astimezone().strftime("%d %H")) for head in heads}) > 1:
        pytest.skip("an hour ended meanwhile")
    # Iterations 8, 11, 14, 17: of 8 to 15 the first, of 16 to 31 the first.
    document = call(tmp_path, "prune", *rule, "--dry-run", "--json").json()
    assert sum(one["kept"] for one in document["snapshots"]) == kept


# thin


def test_thin(three: History, tmp_path: Path) -> None:
    done = call(tmp_path, "thin", "first", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert f"gives up {OPTIMIZER}" in done.out
    done = call(tmp_path, "thin", "first", "second", "-y")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Thinned 'first', 'second'.\ngc will free ")
    assert "casvault thin --undo" in done.out
    assert call(tmp_path, "list").out.count("[thinned]") == 2
    assert f"{OPTIMIZER} (thinned)" in call(tmp_path, "show", "first").out
    done = call(tmp_path, "thin", "first", "-y")
    assert (done.code, done.out) == (2, "")
    assert "has no optimizer to give up" in done.err
    done = call(tmp_path, "thin", "--undo", "first", "second")
    assert done.out.count("has all its files.") == 2
    assert "thinned" not in call(tmp_path, "list").out
    done = call(tmp_path, "thin", "first", "-y", "--gc")
    assert "freed:" in done.out
    done = call(tmp_path, "thin", "--undo", "first")
    assert (done.code, done.out) == (1, "")
    assert "it cannot come back" in done.err
    assert call(tmp_path, "verify", "--read-data").code == 0


def test_thin_by_age(three: History, tmp_path: Path) -> None:
    done = call(tmp_path, "thin", "--older-than", "1d")
    assert (done.code, done.out) == (0, "There is nothing to thin.\n")
    done = call(tmp_path, "thin", "--older-than", "0m", "--keep-last", "2", "-y")
    assert done.out.startswith("Thinned 'first', 'second'.\n")
    document = call(tmp_path, "thin", "--older-than", "0m", "-y", "--json").json()
    assert document["thinned"] == {three.ids[2]: [OPTIMIZER]}


def test_thin_as_json(three: History, tmp_path: Path) -> None:
    planned = call(tmp_path, "thin", "first", "--dry-run", "--json").json()
    done = call(tmp_path, "thin", "first", "-y", "--json").json()
    assert done == {**planned, "dry_run": False}
    assert done["thinned"] == {three.ids[0]: [OPTIMIZER]}
    before = stored(three.vault)
    freed = call(tmp_path, "gc", "--no-recode", "--json").json()["freed_bytes"]
    assert before - stored(three.vault) == freed == done["frees_bytes"] > 0
    call(tmp_path, "thin", "second", "-y")
    document = call(tmp_path, "thin", "--undo", "second", "--json").json()
    assert [(one["name"], one["thinned"]) for one in document["snapshots"]] == [("second", [])]
    nothing = call(tmp_path, "thin", "--older-than", "9w", "--gc", "--json").json()
    assert (nothing["thinned"], nothing["frees_bytes"], nothing["gc"]["freed_bytes"]) == ({}, 0, 0)


# edit


def test_edit(three: History, tmp_path: Path) -> None:
    done = call(tmp_path, "edit", "first", "--name", "better", "--notes", "a\nb", "--pin", "--tag", "x", "--tag", "y")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"Changed snapshot 'better' ({three.ids[0]}): pinned, #x, #y.\n"
    assert "[pinned, #x, #y] a" in call(tmp_path, "list").out
    shown = call(tmp_path, "show", "better").out
    assert "Tags" in shown
    assert "Pinned" in shown
    done = call(tmp_path, "edit", "better", "--unpin", "--untag", "x", "--untag", "y", "--name", "", "--json")
    document = done.json()
    assert (document["name"], document["pinned"], document["tags"]) == (None, False, [])
    assert document["notes"] == "a\nb"
    done = call(tmp_path, "edit", three.ids[0], "--notes", "")
    assert done.out == f"Changed snapshot '{three.ids[0][-6:]}' ({three.ids[0]}).\n"


# export


def test_export(three: History, tmp_path: Path) -> None:
    done = call(tmp_path, "export", "fourth", "a.zip")
    assert done.code == 0
    assert done.out.startswith("Wrote 7 files, ")
    assert done.err == (
        "Warning: new_SAEHD_data.dat holds pictures of the faces that are trained; "
        "whoever gets the file can look at them.\n"
    )
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == contents(three.model.folder)
    done = call(tmp_path, "export", "fourth", "a.zip", "--weights-only")
    assert (done.code, done.out) == (2, "")
    assert "--overwrite" in done.err
    done = call(tmp_path, "export", "fourth", "a.zip", "--weights-only", "--overwrite")
    assert f"Left out: {OPTIMIZER}" in done.out
    document = call(tmp_path, "export", "fourth", "b.zip", "--weights-only", "--json").json()
    assert (document["id"], document["path"]) == (three.ids[3], str(tmp_path / "b.zip"))
    assert document["left_out"] == [OPTIMIZER]
    assert document["bytes"] == (tmp_path / "b.zip").stat().st_size
    assert document["holds_face_images"] == ["new_SAEHD_data.dat"]


def test_export_of_damage_ends_with_20_and_no_file(three: History, tmp_path: Path) -> None:
    for path in (tmp_path / ".casvault" / "objects").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    done = call(tmp_path, "export", "first", "a.zip")
    assert (done.code, done.out) == (20, "")
    assert len(done.err.splitlines()) == 1
    assert not list(tmp_path.glob("*.zip"))


def test_export_of_an_incomplete_save_warns(three: History, tmp_path: Path) -> None:
    (three.model.folder / "new_SAEHD_decoder.npy").unlink()
    call(tmp_path, "snapshot", "workspace/model", "--wait", "0", "--allow-incomplete", "--name", "wreck")
    done = call(tmp_path, "export", "wreck", "a.zip")
    assert done.code == 0
    assert "Warning: this snapshot is not one whole save" in done.err


# What holds for all


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["delete"], 2, "Missing argument"),
        (["delete", "no such", "-y"], 1, "no snapshot is called 'no such'"),
        (["delete", "20260101T000000.000Z-abcdef", "-y"], 1, "there is no snapshot 20260101T000000.000Z-abcdef"),
        (["undelete", "first"], 1, "casvault list --deleted"),
        (["undelete", "20260101T000000.000Z-abcdef"], 1, "there is no snapshot"),
        (["prune"], 2, "say at least one rule"),
        (["prune", "--keep-last", "0"], 2, "say at least one rule"),
        (["prune", "--keep-last", "-1"], 2, "--keep-last"),
        (["prune", "--keep-within", "7"], 2, "'7' is no duration"),
        (["prune", "--max-bytes", "lots"], 2, "'lots' is no size"),
        (["thin"], 2, "name the snapshots, or say --older-than"),
        (["thin", "first", "--older-than", "7d"], 2, "one of the two"),
        (["thin", "first", "--keep-last", "2"], 2, "one of the two"),
        (["thin", "--undo"], 2, "name the snapshots"),
        (["thin", "--undo", "--older-than", "7d"], 2, "and nothing else"),
        (["thin", "--undo", "first", "--dry-run"], 2, "and nothing else"),
        (["thin", "--undo", "first", "--gc"], 2, "and nothing else"),
        (["thin", "no such"], 1, "no snapshot is called"),
        (["edit", "first"], 2, "say what to change"),
        (["edit", "first", "--name", "a\nb"], 2, "one line"),
        (["edit", "first", "--tag", ""], 2, "1 to 50 characters"),
        (["edit", "first", "--untag", "x"], 2, "has no tag 'x'"),
        (["edit", "no such", "--pin"], 1, "no snapshot is called"),
        (["export", "first"], 2, "Missing argument"),
        (["export", "first", "workspace"], 2, "is a folder; say a file in it"),
        (["export", "first", "nowhere/a.zip"], 2, "there is no folder"),
        (["export", "no such", "a.zip"], 1, "no snapshot is called"),
        (["usage", "--plot", "a.gif"], 2, "neither a .png nor a .svg"),
    ],
)
def test_a_wrong_request_is_one_sentence(
    three: History, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    before = state(tmp_path)
    done = call(tmp_path, *arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert done.err.startswith("casvault: ")
    assert not done.err.startswith("casvault: this is a bug")
    assert done.err.splitlines()[-1].endswith((".", ")"))
    assert state(tmp_path) == before


HOSTILE = "x\x1b[2J\u202ey\x07"


def test_names_with_escapes_are_harmless(three: History, tmp_path: Path) -> None:
    label = Label(three.ids[0], name=HOSTILE, notes=HOSTILE, tags=(HOSTILE,))
    three.vault.write_label(label)
    id = three.ids[0]
    outcomes: list[Outcome] = [
        call(tmp_path, "usage"),
        call(tmp_path, "show", id),
        call(tmp_path, "prune", "--keep-last", "1", "--include-manual", "--dry-run"),
        call(tmp_path, "thin", id, "--dry-run"),
        call(tmp_path, "thin", id, "-y"),
        call(tmp_path, "thin", id, "-y"),
        call(tmp_path, "thin", "--undo", id),
        call(tmp_path, "edit", id, "--pin"),
        call(tmp_path, "delete", id, "-y"),
        call(tmp_path, "edit", id, "--unpin"),
        call(tmp_path, "export", id, "a.zip"),
        call(tmp_path, "delete", id, "--dry-run"),
        call(tmp_path, "delete", id),
        call(tmp_path, "delete", id, "-y"),
        call(tmp_path, "list", "--deleted"),
        call(tmp_path, "undelete", id),
        call(tmp_path, "undelete", HOSTILE),
        call(tmp_path, "edit", id, "--untag", HOSTILE),
        call(tmp_path, "delete", HOSTILE, "-y"),
        call(tmp_path, "export", HOSTILE, HOSTILE),
    ]
    for done in outcomes:
        assert not set(done.out + done.err) & set("\x1b\u202e\x07"), done
    assert sum("x?[2J?y?" in done.out + done.err for done in outcomes) > 10


@pytest.mark.parametrize(
    "command",
    [
        ["delete", "first", "-y"],
        ["gc"],
        ["prune", "--keep-last", "1", "-y", "--gc", "--include-manual"],
        ["thin", "first", "-y"],
        ["edit", "first", "--pin"],
        ["export", "first", "a.zip", "--weights-only"],
    ],
    ids=" ".join,
)
def test_quiet_says_nothing(three: History, tmp_path: Path, command: list[str]) -> None:
    done = call(tmp_path, *command, "-q")
    assert (done.code, done.out) == (0, "")
    assert done.err == "" or done.err.startswith("Warning: ")


def test_documents_are_one_line_of_ascii(three: History, tmp_path: Path) -> None:
    call(tmp_path, "edit", "first", "--name", "übung")
    for command in (
        ["usage"],
        ["prune", "--keep-last", "1", "--dry-run"],
        ["thin", "übung", "-y"],
        ["thin", "übung", "--undo"],
        ["edit", "übung", "--tag", "ä"],
        ["export", "übung", "a.zip"],
        ["delete", "übung", "-y"],
        ["undelete", "übung"],
        ["gc"],
    ):
        done = call(tmp_path, *command, "--json")
        assert done.code == 0, done.err
        assert done.out.isascii()
        assert done.out.count("\n") == 1
        assert json.loads(done.out)["version"] == 1


def test_the_live_model_is_never_touched(three: History, tmp_path: Path) -> None:
    before = tree(three.model.folder)
    for command in (["thin", "first", "-y"], ["prune", "--keep-last", "1", "--include-manual", "-y"], ["gc"]):
        assert call(tmp_path, *command).code == 0
    assert tree(three.model.folder) == before


def test_undo_of_a_restore_whose_backup_was_deleted_says_so(three: History, tmp_path: Path) -> None:
    three.model.train(1)
    three.model.save()
    assert call(tmp_path, "restore", "first", "-y").code == 0
    backup = next(head for head in three.vault.snapshots() if head.kind == "auto-backup")
    assert call(tmp_path, "delete", backup.id, "-y").code == 0
    done = call(tmp_path, "undo", "new", "-y")
    assert (done.code, done.out) == (1, "")
    assert f"casvault undelete {backup.id}" in done.err
    assert call(tmp_path, "undelete", backup.id).code == 0
    assert call(tmp_path, "undo", "new", "-y").code == 0
