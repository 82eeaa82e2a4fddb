"""The command line: exit codes, what goes where, JSON that other programs parse, and questions that never hang."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from casvault import __version__, api
from casvault.cli.main import COMMANDS
from casvault.demo.model import SampleModel
from casvault.manifest.label import Label
from tests.support.command import call, clean_environment, spawn
from tests.support.trainer import NAME, contents, make_model, tree, wreck

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

HEAD = {
    "format", "id", "created", "saved_at", "kind", "model", "iteration", "run", "loss", "loss_last", "options", "meta",
    "parent", "restored_from", "incomplete", "health", "preview", "name", "notes", "pinned",
}  # fmt: skip
"""What a head has in JSON: the manifest but for its files, and name, notes and pinned of its label."""


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    api.init(tmp_path / ".casvault")
    return make_model(tmp_path / "workspace" / "model", size=60_000)


@pytest.fixture
def two(model: SampleModel, tmp_path: Path) -> SampleModel:
    """A model with the snapshots "first" and "second"."""
    for name in ("first", "second"):
        assert call(tmp_path, "snapshot", model.folder, "--name", name, "--notes", f"the {name}").code == 0
        model.train(5)
        model.save()
    return model


# The whole job, as processes


def test_the_main_job(tmp_path: Path) -> None:
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    assert spawn(tmp_path, "init").out.startswith(f"Made a vault at {tmp_path / '.casvault'}")
    done = spawn(tmp_path, "snapshot", "workspace/model", "--name", "before GAN", "--notes", "batch 8")
    assert (done.code, done.err) == (0, "")
    assert "Snapshot 'before GAN' of new_SAEHD: the save of" in done.out
    assert "iteration 5" in done.out
    wanted = tree(model.folder)
    wreck(model)
    broken = tree(model.folder)
    done = spawn(tmp_path, "restore", "before GAN", "-y")
    assert (done.code, done.err) == (0, "")
    assert tree(model.folder) == wanted
    line = done.out.splitlines()[-1]
    assert line == f"To undo: casvault undo {model.folder / NAME}"
    assert spawn(tmp_path, *line.removeprefix("To undo: casvault ").split(" "), "-y").code == 0
    assert tree(model.folder) == broken
    listed = spawn(tmp_path, "list").out
    assert "before GAN" in listed
    assert "auto-backup" in listed
    assert "Iter 5" in listed
    done = spawn(tmp_path, "verify", "--read-data")
    assert (done.code, done.out.startswith("All is well")) == (0, True)


@posix
def test_the_undo_line_can_be_pasted_whatever_the_path(tmp_path: Path) -> None:
    model = make_model(tmp_path / "my $models; `x`" / "model", size=60_000)
    api.init(tmp_path / ".casvault")
    call(tmp_path, "snapshot", model.folder)
    wreck(model)
    broken = tree(model.folder)
    line = call(tmp_path, "restore", "latest", "-y").out.splitlines()[-1].removeprefix("To undo: casvault ")
    command = f"'{sys.executable}' -m casvault {line} -y"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=clean_environment(), check=True, capture_output=True)
    assert tree(model.folder) == broken


# Exit codes


def test_exit_0_and_nothing_on_stderr(two: SampleModel, tmp_path: Path) -> None:
    for arguments in (["list"], ["list", "new"], ["show", "first"], ["status"], ["status", "new"], ["verify"]):
        done = call(tmp_path, *arguments)
        assert (done.code, done.err) == (0, "")
        assert done.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "no such"], 1, "no snapshot is called 'no such'"),
        (["snapshot", "nowhere"], 1, "nowhere is not there"),
        (["status", "nowhere"], 1, "nowhere"),
        (["undo", "workspace/model", "-y"], 1, "nothing to undo"),
        (["frobnicate"], 2, "No such command"),
        (["list", "--frob"], 2, "No such option"),
        (["snapshot"], 2, "Missing argument"),
        (["snapshot", "workspace/model", "--loss", "high"], 2, "--loss takes a number"),
        (["snapshot", "workspace/model", "--loss", "nan"], 2, "finite"),
        (["snapshot", "workspace/model", "--meta", "x"], 2, "KEY=VALUE"),
        (["snapshot", "workspace/model", "--iteration", "-1"], 2, "iteration"),
        (["snapshot", "workspace/model", "--name", "a\nb"], 2, "one line"),
        (["snapshot", "workspace/model", "--name", "x" * 201], 2, "200"),
        (["snapshot", "workspace/model", "--notes", "a\x1b[31mb"], 2, "control characters"),
        (["snapshot", "workspace/model", "--model", "other"], 2, "new_SAEHD"),
        (["undo", "new"], 1, "nothing to undo"),
        (["--vault", "nowhere", "list"], 10, "there is no vault"),
        (["--vault", "workspace", "list"], 10, "there is no vault"),
        (["init", "workspace/model/.casvault"], 2, "workspace"),
    ],
)
def test_a_wrong_request_is_one_sentence(
    two: SampleModel, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    before = contents(tmp_path, "workspace"), contents(tmp_path, ".casvault/snapshots")
    done = call(tmp_path, *arguments)
    assert done.code == code
    assert words in done.err
    assert done.err.startswith("casvault: ")
    assert not done.err.startswith("casvault: this is a bug")
    assert done.out == ""
    sentence = done.err.splitlines()[-1]
    assert sentence.endswith((".", ")"))
    assert (contents(tmp_path, "workspace"), contents(tmp_path, ".casvault/snapshots")) == before


def test_exit_3_for_a_list_that_is_not_all(two: SampleModel, tmp_path: Path) -> None:
    path = sorted((tmp_path / ".casvault/snapshots").iterdir())[0]
    path.write_bytes(path.read_bytes()[:-5])
    for more in ([], ["--json"]):
        done = call(tmp_path, "list", *more)
        assert done.code == 3
        assert "second" in done.out
        assert path.stem in done.err
    assert [head["name"] for head in json.loads(done.out)["snapshots"]] == ["second"]


def test_exit_10_without_a_vault(tmp_path: Path) -> None:
    make_model(tmp_path / "workspace" / "model", size=60_000)
    for arguments in (["list"], ["snapshot", "workspace/model"], ["verify"], ["restore", "latest", "-y"]):
        done = call(tmp_path, *arguments)
        assert done.code == 10
        assert "casvault init" in done.err
    assert not (tmp_path / ".casvault").exists()


def test_exit_10_for_a_newer_vault(two: SampleModel, tmp_path: Path) -> None:
    path = tmp_path / ".casvault/vault.json"
    path.write_text(path.read_text().replace('"required": []', '"required": ["encryption"]'))
    before = tree(tmp_path)
    done = call(tmp_path, "snapshot", "workspace/model")
    assert done.code == 10
    assert "newer casvault" in done.err
    assert tree(tmp_path) == before


def test_exit_11_when_locked(two: SampleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.files.locks.SHARED_WAIT", 0.1)
    with api.open(tmp_path / ".casvault").locks.alone("gc"):
        done = call(tmp_path, "snapshot", "workspace/model")
        assert call(tmp_path, "list").code == 0
    assert done.code == 11
    assert "`gc`" in done.err


@pytest.mark.parametrize("as_json", [False, True])
def test_exit_20_for_damage(two: SampleModel, tmp_path: Path, as_json: bool) -> None:
    manifest = api.open(tmp_path / ".casvault").show("first")
    digest = next(iter(manifest.chunks())).digest
    path = tmp_path / f".casvault/objects/{digest[:3]}/{digest}"
    path.write_bytes(path.read_bytes()[:-1])
    assert call(tmp_path, "verify").code == 0
    done = call(tmp_path, "verify", "--read-data", *(["--json"] if as_json else []))
    assert done.code == 20
    if as_json:
        document = done.json()
        assert (document["ok"], len(document["damaged"])) == (False, 1)
        assert manifest.id in document["affected_snapshots"]
    else:
        assert "'first'" in done.out
        assert digest in done.out
    before = contents(tmp_path, "workspace")
    done = call(tmp_path, "restore", "first", "-y")
    assert (done.code, contents(tmp_path, "workspace")) == (20, before)


def test_exit_1_for_a_half_saved_model(model: SampleModel, tmp_path: Path) -> None:
    (model.folder / f"{NAME}_decoder.npy").unlink()
    done = call(tmp_path, "snapshot", "workspace/model", "--wait", "0")
    assert done.code == 1
    assert "decoder.npy is not there" in done.err
    assert "--allow-incomplete" in done.err
    done = call(tmp_path, "snapshot", "workspace/model", "--wait", "0", "--allow-incomplete")
    assert done.code == 0
    assert "incomplete" in done.out
    assert "decoder.npy" in done.err
    assert "incomplete" in call(tmp_path, "list").out
    done = call(tmp_path, "restore", api.open(tmp_path / ".casvault").snapshots()[0].id, "-y")
    assert done.code == 1
    assert "--allow-incomplete" in done.err


_WAITING = """
import signal, sys
from casvault.cli.main import run
from casvault.progress import Progress

# A run of the tests in the background hands on that it ignores this.
signal.signal(signal.SIGINT, signal.default_int_handler)
Progress.message = lambda self, text: open("waiting", "w").close()
run(sys.argv[1:])
"""


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_exit_130_when_interrupted(two: SampleModel, tmp_path: Path, number: signal.Signals) -> None:
    """A process that waits for the trainer's next save is told to stop."""
    before = tree(tmp_path, "workspace")
    command = [sys.executable, "-c", _WAITING, "snapshot", "workspace/model", "--next-save"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (tmp_path / "waiting").exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, ""), err
    assert err.strip() == "casvault: interrupted; nothing is half-done."
    assert tree(tmp_path, "workspace") == before
    assert len(api.open(tmp_path / ".casvault").snapshots()) == 2
    assert call(tmp_path, "snapshot", "workspace/model").code == 0


@posix
@pytest.mark.parametrize("command", ["snapshot", "restore"])
def test_an_interrupt_at_any_call_ends_with_130_and_nothing_half_done(
    two: SampleModel, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.faults import Ended, count_calls, spread, trial

    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    monkeypatch.setattr("casvault.vault.vault.default_threads", lambda: 1)
    arguments = ["snapshot", "workspace/model"] if command == "snapshot" else ["restore", "first", "-y"]
    codes = []
    fork_count = count_calls(lambda: call(tmp_path, *arguments))
    model = two
    for number in spread(fork_count, 12):
        model.train(1)
        model.save()
        before = contents(tmp_path, "workspace")

        def work() -> None:
            done = call(tmp_path, *arguments)
            assert done.out == "" or done.code == 0
            sys.exit(done.code)

        ended: Ended = trial(number, "interrupt", work)
        assert ended.raised == "SystemExit", ended
        codes.append(int(ended.told))
        assert codes[-1] in (0, 130)
        vault = api.open(tmp_path / ".casvault")
        vault.finish_interrupted()
        now = contents(tmp_path, "workspace")
        assert now == before or command == "restore"
        assert vault.verify(read_data=True).ok
        assert not list(tmp_path.rglob(".*.tmp"))
        assert not list((tmp_path / "workspace").rglob(".casvault*"))
    assert codes.count(130) > 6


def test_a_bug_is_told_as_such_without_a_traceback(
    two: SampleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("casvault.api.Vault.find", broken)
    done = call(tmp_path, "show", "first")
    assert done.code == 1
    assert "bug in casvault (ZeroDivisionError" in done.err
    assert "Traceback" not in done.err


@posix
def test_a_pipe_that_closes_is_no_traceback(two: SampleModel, tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m casvault list | true; sleep 0.2"
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=clean_environment(), capture_output=True, check=False, timeout=60
    )
    assert done.stderr == b""


# Questions


def test_a_question_without_a_terminal_is_refused_not_hung(two: SampleModel, tmp_path: Path) -> None:
    before = tree(two.folder)
    done = spawn(tmp_path, "restore", "first")
    assert (done.code, done.out) == (2, "")
    assert "-y says yes" in done.err
    assert "replace 7 files" in done.err.lower()
    assert tree(two.folder) == before


def test_a_folder_with_models_deeper_down_asks(two: SampleModel, tmp_path: Path) -> None:
    (tmp_path / "workspace" / "notes.txt").write_text("x")
    done = call(tmp_path, "snapshot", "workspace")
    assert done.code == 2
    assert "models deeper down" in done.err
    assert str(two.folder / NAME) in done.err
    assert call(tmp_path, "snapshot", "workspace", "-y").code == 0


def test_several_models_are_listed_or_all_taken(model: SampleModel, tmp_path: Path) -> None:
    make_model(model.folder, "other_SAEHD", 60_000)
    done = call(tmp_path, "snapshot", "workspace/model")
    assert done.code == 2
    assert NAME in done.err
    assert "other_SAEHD" in done.err
    done = call(tmp_path, "snapshot", "workspace/model", "--all", "--json")
    assert [one["model"]["name"] for one in done.json()["snapshots"]] == [NAME, "other_SAEHD"]


@pytest.mark.parametrize("command", [["restore", "first"], ["undo", "new"]])
def test_a_dry_run_changes_nothing(two: SampleModel, tmp_path: Path, command: list[str]) -> None:
    call(tmp_path, "restore", "second", "-y")
    call(tmp_path, "list")
    before = tree(tmp_path)
    done = call(tmp_path, *command, "--dry-run")
    assert done.code == 0
    assert "replace" in done.out
    assert "backed up first" in done.out
    changes = call(tmp_path, *command, "--dry-run", "--json").json()["changes"]
    assert {change["action"] for change in changes} == {"replace"}
    assert tree(tmp_path) == before
    assert call(tmp_path, *command, "--dry-run", "-y").code == 0
    assert tree(tmp_path) == before


def test_what_was_thinned_is_told(two: SampleModel, tmp_path: Path) -> None:
    vault = api.open(tmp_path / ".casvault")
    optimizer = f"{NAME}_src_dst_opt.npy"
    vault.write_label(Label(vault.find("first").id, "first", thinned=(optimizer,)))
    assert optimizer in call(tmp_path, "restore", "first", "--to", "back", "--dry-run").out
    done = call(tmp_path, "restore", "first", "--to", "back", "-y")
    assert "Thinned away" in done.out
    assert optimizer in done.out
    assert not (tmp_path / "back" / optimizer).exists()
    assert "thinned" in call(tmp_path, "list").out
    assert "thinned" in call(tmp_path, "show", "first").out.lower()


# What goes where


def test_quiet_says_nothing_but_what_was_asked_for(model: SampleModel, tmp_path: Path) -> None:
    assert call(tmp_path, "snapshot", "workspace/model", "-q", "--name", "x")[1:] == ("", "")
    model.train(1)
    model.save()
    assert call(tmp_path, "restore", "x", "-y", "-q")[1:] == ("", "")
    assert call(tmp_path, "verify", "-q")[1:] == ("", "")
    assert "x" in call(tmp_path, "list", "-q").out


def test_there_is_no_progress_without_a_terminal(tmp_path: Path) -> None:
    api.init(tmp_path / ".casvault")
    make_model(tmp_path / "workspace" / "model", size=3_000_000)
    for arguments in (
        ["snapshot", "workspace/model"],
        ["restore", "latest", "--to", "x", "-y"],
        ["verify", "--read-data"],
    ):
        assert spawn(tmp_path, *arguments).err == ""


@posix
@pytest.mark.parametrize("quiet", [False, True])
def test_progress_is_drawn_on_a_terminal_and_on_stderr_only(tmp_path: Path, quiet: bool) -> None:
    import fcntl
    import pty
    import termios

    api.init(tmp_path / ".casvault")
    make_model(tmp_path / "workspace" / "model", size=3_000_000)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.set_blocking(ours, False)
    command = [sys.executable, "-m", "casvault", "snapshot", "workspace/model", *(["--quiet"] if quiet else [])]
    done = subprocess.run(
        command, cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True
    )
    try:
        drawn = os.read(ours, 1000)
    except BlockingIOError:
        drawn = b""
    os.close(theirs)
    os.close(ours)
    assert (b"storing" in drawn) is not quiet
    assert b"storing" not in done.stdout


def test_the_vault_is_found_from_the_model_or_the_environment(two: SampleModel, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert spawn(elsewhere, "list").code == 0
    outside = tmp_path.parent
    assert spawn(outside, "status", two.folder).code == 0
    assert spawn(outside, "list").code == 10
    assert spawn(outside, "list", CASVAULT_VAULT=str(tmp_path / ".casvault")).code == 0
    assert spawn(tmp_path, "list", CASVAULT_VAULT=str(tmp_path / "nowhere")).code == 10
    assert spawn(tmp_path, "--vault", ".casvault", "list", CASVAULT_VAULT=str(tmp_path / "nowhere")).code == 0


def test_init_goes_beside_the_workspace(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "DFL" / "Workspace" / "model", size=60_000).folder
    assert call(folder, "init", "--json").json()["vault"] == str(tmp_path / "DFL" / ".casvault")
    done = call(folder, "init")
    assert done.code == 0
    assert "already" in done.out


# JSON


def test_json_of_every_command(two: SampleModel, tmp_path: Path) -> None:
    documents = {
        "init": call(tmp_path, "init", "other", "--json"),
        "snapshot": call(tmp_path, "snapshot", "workspace/model", "--name", "third", "--notes", "n", "--json"),
        "list": call(tmp_path, "list", "--json"),
        "show": call(tmp_path, "show", "third", "--json"),
        "status": call(tmp_path, "status", "--json"),
        "restore": call(tmp_path, "restore", "first", "-y", "--json"),
        "undo": call(tmp_path, "undo", "new", "-y", "--json"),
        "verify": call(tmp_path, "verify", "--read-data", "--json"),
    }
    assert {*documents, "demo"} <= set(COMMANDS)
    parsed: dict[str, Any] = {}
    for name, done in documents.items():
        assert (done.code, done.err, done.out.count("\n")) == (0, "", 1), name
        parsed[name] = done.json()
        assert parsed[name]["version"] == 1
    taken = parsed["snapshot"]
    assert HEAD | {"new_bytes", "stored_bytes_added", "seconds"} <= set(taken)
    assert "files" not in taken
    assert (taken["name"], taken["notes"], taken["pinned"], taken["iteration"]) == ("third", "n", False, 15)
    assert taken["model"]["name"] == NAME
    assert 0 < taken["stored_bytes_added"] <= taken["new_bytes"] + 96 * 20
    heads = parsed["list"]["snapshots"]
    assert [head["name"] for head in heads] == ["first", "second", "third"]
    assert all(set(head) >= HEAD and "files" not in head for head in heads)
    assert [file["path"] for file in parsed["show"]["files"]] == sorted(path.name for path in two.paths())
    (live,) = parsed["status"]["models"]
    assert (live["equals"], live["newest"]["id"]) == (taken["id"], taken["id"])
    assert parsed["restore"]["snapshot"]["name"] == "first"
    assert parsed["restore"]["backup"]["id"] == taken["id"]
    assert parsed["restore"]["backup_existed"] is True
    assert parsed["undo"]["snapshot"]["id"] == taken["id"]
    assert parsed["verify"] == {
        "version": 1,
        "ok": True,
        "objects_checked": parsed["verify"]["objects_checked"],
        "objects_read": parsed["verify"]["objects_checked"],
        "bytes_checked": parsed["verify"]["bytes_checked"],
        "damaged": [],
        "affected_snapshots": [],
        "missing_snapshots": [],
        "oldest_check": parsed["verify"]["oldest_check"],
        "never_checked": 0,
    }
    assert parsed["verify"]["objects_checked"] > 10


def test_list_of_one_model(two: SampleModel, tmp_path: Path) -> None:
    make_model(two.folder, "other_SAEHD", 60_000)
    call(tmp_path, "snapshot", two.folder / "other_SAEHD", "--name", "of the other")
    for typed in ("new", NAME, "workspace/model/new_SAEHD"):
        listed = call(tmp_path, "list", typed)
        assert "second" in listed.out
        assert "of the other" not in listed.out
    assert "of the other" in call(tmp_path, "list").out


def test_an_empty_list(model: SampleModel, tmp_path: Path) -> None:
    done = call(tmp_path, "list")
    assert (done.code, done.err) == (0, "")
    assert "no snapshots yet" in done.out
    assert call(tmp_path, "list", "--json").json()["snapshots"] == []


# Names from outside


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "Ünï 模型 ✓", "a'b\"c $(x) `y`", "-rf", "latest", "@"])
def test_names_are_kept_as_they_are(model: SampleModel, tmp_path: Path, name: str) -> None:
    done = call(tmp_path, "snapshot", "workspace/model", f"--name={name}", "--notes", name)
    assert done.code == 0
    assert name in call(tmp_path, "list").out
    (head,) = call(tmp_path, "list", "--json").json()["snapshots"]
    assert (head["name"], head["notes"]) == (name, name)
    model.train(1)
    model.save()
    assert call(tmp_path, "restore", "-y", "--", name).code == 0


@pytest.mark.parametrize("bad", ["\x1b[2J", "\u202e", "\x9b", "\u2066", "\x07", "\x7f"])
def test_marks_that_steer_a_terminal_are_refused_in_names_and_notes(
    model: SampleModel, tmp_path: Path, bad: str
) -> None:
    for option in ("--name", "--notes"):
        done = call(tmp_path, "snapshot", "workspace/model", option, f"a{bad}b")
        assert done.code == 2
        assert bad not in done.err
    assert api.open(tmp_path / ".casvault").snapshots() == []


def test_a_name_that_the_terminals_encoding_lacks(model: SampleModel, tmp_path: Path) -> None:
    done = spawn(tmp_path, "snapshot", "workspace/model", "--name", "模型", PYTHONIOENCODING="latin-1")
    assert done.code == 0
    assert "\\u6a21" in done.out
    done = spawn(
        tmp_path, "snapshot", "workspace/model", "--name", "模型 é \U0001f600", "--json", PYTHONIOENCODING="cp1252"
    )
    assert done.json()["name"] == "模型 é \U0001f600"


# What a command costs


def _modules(tmp_path: Path, *arguments: str) -> set[str]:
    code = (
        "import sys; from casvault.cli.main import _run; code = _run(sys.argv[1:]);"
        "print('\\n'.join(['MODULES', *sys.modules])); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    return set(done.stdout.partition("MODULES\n")[2].split("\n"))


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["--help"], ["list", "--help"], ["--version"]])
def test_listing_and_help_load_nothing_heavy(two: SampleModel, tmp_path: Path, arguments: list[str]) -> None:
    loaded = _modules(tmp_path, *arguments)
    heavy = {"numpy", "zstandard", "pyfastcdc", "tqdm", "casvault.formats", "casvault.capture", "casvault.restore"}
    assert loaded & heavy == set()
    assert "casvault.cli.main" in loaded


def test_help_names_every_command(tmp_path: Path) -> None:
    done = call(tmp_path, "--help")
    assert done.code == 0
    for name in COMMANDS:
        assert f"\n  {name}" in done.out
        helped = call(tmp_path, name, "--help")
        assert (helped.code, helped.err) == (0, "")
    assert call(tmp_path, "--version").out == f"casvault, version {__version__}\n"


_PEAK = """
import sys
from casvault.cli.main import _run
code = _run(sys.argv[1:])
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print("PEAK", line.split()[1])
sys.exit(code)
"""

_MAKE = """
import sys
from pathlib import Path
from casvault.demo.model import SampleModel
model = SampleModel(Path(sys.argv[1]), "new_SAEHD", 120_000_000)
model.train(1)
model.save()
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")
def test_memory_stays_below_200_mb(tmp_path: Path) -> None:
    api.init(tmp_path / ".casvault")
    subprocess.run([sys.executable, "-c", _MAKE, "workspace/model"], cwd=tmp_path, env=clean_environment(), check=True)
    size = sum(path.stat().st_size for path in (tmp_path / "workspace/model").iterdir())
    assert size > 115_000_000
    for arguments in (["snapshot", "workspace/model"], ["restore", "latest", "--to", "back", "-y"]):
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, *arguments],
            cwd=tmp_path,
            env=clean_environment(),
            capture_output=True,
            check=True,
            encoding="utf-8",
        )
        peak = int(done.stdout.rpartition("PEAK ")[2])
        assert 10_000 < peak < 200_000


def test_all_models_but_one(tmp_path: Path) -> None:
    """Exit 3: those that could be taken are told, the others named."""
    make_model(tmp_path / "workspace/model", name="a_SAEHD", size=60_000)
    torn = make_model(tmp_path / "workspace/model", name="b_SAEHD", size=60_000)
    (torn.folder / "b_SAEHD_decoder.npy").unlink()
    assert call(tmp_path, "init").code == 0
    done = call(tmp_path, "snapshot", "workspace/model", "--all", "--wait", "0", "--json")
    assert done.code == 3
    assert [one["model"]["name"] for one in json.loads(done.out)["snapshots"]] == ["a_SAEHD"]
    assert "b_SAEHD" in done.err
    assert [head.model_name for head in api.open(tmp_path / ".casvault").snapshots()] == ["a_SAEHD"]


def test_names_that_are_nearly_right(two: SampleModel, tmp_path: Path) -> None:
    assert "did you mean 'first'?" in call(tmp_path, "restore", "Frist", "-y").err


def test_a_model_that_is_gone_is_told_with_the_way_back(two: SampleModel, tmp_path: Path) -> None:
    for path in two.paths():
        path.unlink()
    told = call(tmp_path, "status")
    assert told.code == 1
    assert "is gone from" in told.err
    reference = told.err.split("casvault restore ")[1].split("`")[0]
    assert call(tmp_path, "list", "workspace/model").code == 0
    assert call(tmp_path, "restore", reference, "-y").code == 0
    assert two.paths() != []


def test_alone_it_prints_its_help(tmp_path: Path) -> None:
    done = call(tmp_path)
    assert done.code == 0
    assert done.out.endswith("Start with: casvault init\n")
