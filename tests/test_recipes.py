"""The recipes of docs/remote.md: their commands are run, on folders, and by a real SSH server in place of a machine."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from casvault import api
from tests.support import stores
from tests.support.command import call
from tests.support.sshd import Sshd, sshd
from tests.support.trainer import contents, make_model
from tests.support.watch_process import WatchProcess

PAGE = (Path(__file__).parent.parent / "docs" / "remote.md").read_text("utf-8")
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only: signals, and the paths of the recipes")


def blocks(title: str) -> list[list[str]]:
    """Return the lines of each block of commands under a heading."""
    (section,) = re.findall(rf"(?ms)^## {re.escape(title)}$(.*?)(?=^## |\Z)", PAGE)
    return [block.strip().split("\n") for block in re.findall(r"(?s)```\n(.*?)```", section)]


def run(root: Path, lines: list[str], places: dict[str, str]) -> list[str]:
    """Run the commands in the folder ``root``; a watch until it has pushed, or taken, a snapshot."""
    printed = []
    for written in lines:
        line = written
        for there, here in places.items():
            line = line.replace(there, here)
        program, *words = shlex.split(line)
        assert program == "casvault", line
        if words[0] == "watch":
            with WatchProcess(root, *words[1:], "--poll", "0.05") as watch:
                printed.append(watch.wait_for("pushed" if "--push" in words else "snapshot"))
                assert watch.end()[0] == 0
        else:
            outcome = call(root, *words)
            assert outcome.code == 0, (line, outcome.err)
            printed.append(outcome.out)
    return printed


@posix
def test_colab_with_a_mounted_drive(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    places = {"/content/drive/MyDrive": str(drive)}
    first, second, checked = blocks("Colab, with a mounted drive")
    model = make_model(tmp_path / "first" / "workspace" / "model", size=40_000)
    run(tmp_path / "first", first, places)
    (tmp_path / "second").mkdir()
    run(tmp_path / "second", second, places)
    assert contents(tmp_path / "second" / "workspace" / "model") == contents(model.folder)
    run(tmp_path / "second", checked, places)


@posix
def test_a_nas(tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    make_model(tmp_path / "dfl" / "workspace" / "model", size=40_000)
    vault = api.init(tmp_path / "dfl" / ".casvault")
    vault.snapshot(tmp_path / "dfl" / "workspace" / "model")
    places = {"/mnt/nas": str(tmp_path / "nas")}
    (block,) = blocks("A NAS, or a USB disk")
    assert run(tmp_path / "dfl", block, places)[2].startswith("1 snapshot sent to nas: ")
    (block,) = blocks("How it stands")
    assert run(tmp_path / "dfl", block, places)[:2] == [
        "Nothing would be sent to nas: all is there.\n",
        "Nothing would be received from nas: all is there.\n",
    ]


@posix
@pytest.mark.slow
def test_a_rented_machine_pulled_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, home = tmp_path / "gpu", tmp_path / "home"
    model = make_model(gpu / "workspace" / "model", size=40_000)
    (home / "workspace").mkdir(parents=True)
    (tmp_path / "sshd").mkdir()
    rented, at_home, _, one = blocks("A rented machine, pulled from home")
    run(gpu, rented, {})
    with sshd(tmp_path / "sshd") as server:
        use(monkeypatch, tmp_path, server.ssh)
        told = server.url(gpu / ".casvault") + f" --program '{server.program}'"
        run(home, at_home, {"ssh://me@gpu.example.org:2222/~/train/.casvault": told})
        run(home, one, {})
    assert contents(home / "workspace" / "model_from_gpu") == contents(model.folder)
    assert len(api.open(home / ".casvault").snapshots()) == 1


@posix
@pytest.mark.slow
def test_a_rented_machine_pushing_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, home, anew = tmp_path / "gpu", tmp_path / "home", tmp_path / "anew"
    model = make_model(gpu / "workspace" / "model", size=40_000)
    api.init(gpu / ".casvault")
    kept = api.init(home / ".casvault")
    (tmp_path / "sshd").mkdir()
    anew.mkdir()
    tunnel, keygen, allowed, pushing, again = blocks("A rented machine, pushing home")
    with sshd(tmp_path / "sshd") as server:
        run_keygen(keygen, tmp_path)
        allow(server, allowed, tmp_path, kept)
        port = free_port()
        opened = [shlex.quote(part) for part in tunnel_command(server, tunnel, port)]
        process = subprocess.Popen(" ".join(["exec", *opened]), shell=True, stdin=subprocess.DEVNULL)
        try:
            wait_for(port, process)
            use(monkeypatch, tmp_path, restricted(server, tmp_path))
            places = {"ssh://me@localhost:2200": f"ssh://{getpass.getuser()}@127.0.0.1:{port}"}
            assert "home answers: 0 snapshots" in run(gpu, pushing, places)[1]
            run(anew, again, places)
        finally:
            process.terminate()
            process.wait()
    assert len(kept.snapshots()) == 1
    assert contents(anew / "workspace" / "model") == contents(model.folder)


@posix
@pytest.mark.slow
def test_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, home = tmp_path / "gpu", tmp_path / "home"
    model = make_model(gpu / "workspace" / "model", size=40_000)
    home.mkdir()
    (tmp_path / "store").mkdir()
    rented, at_home = blocks("A bucket")
    with stores.moto(tmp_path / "store") as store:
        for key, value in store.environment.items():
            monkeypatch.setenv(key, value)
        places = {"s3://my-bucket/dfl": store.url("dfl")}
        *before, watching = rented
        run(gpu, before, places)
        model.train(1)
        model.save()
        run(gpu, [watching], places)
        run(home, at_home, places)
    newest = max(head.id for head in api.open(gpu / ".casvault").snapshots())
    assert [head.id for head in api.open(home / ".casvault").snapshots()] == [newest]


def use(monkeypatch: pytest.MonkeyPatch, root: Path, ssh: str) -> None:
    """Let `ssh` be this command, as a user's own configuration would."""
    place = root / "bin"
    place.mkdir()
    program, *options = shlex.split(ssh)
    words = shlex.join([str(shutil.which(program)), *options])
    (place / "ssh").write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    (place / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")


def run_keygen(lines: list[str], root: Path) -> None:
    (line,) = lines
    words = shlex.split(line.replace("~/.ssh/id_ed25519", str(root / "rented_key")))
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


def allow(server: Sshd, lines: list[str], root: Path, kept: api.Vault) -> None:
    """Let the rented machine's key do what the page lets it do."""
    (line,) = lines
    here = line.replace("casvault --vault ~/dfl/.casvault", f"'{server.program}' --vault '{kept.path}'")
    public = (root / "rented_key.pub").read_text().strip()
    assert here.endswith(" ssh-ed25519 AAAA...")
    with open(server.program.parent / "authorized_keys", "a", encoding="utf-8") as keys:
        keys.write(here.replace("ssh-ed25519 AAAA...", public) + "\n")


def tunnel_command(server: Sshd, lines: list[str], port: int) -> list[str]:
    """Return the command that opens the tunnel, from this machine to itself."""
    (line,) = lines
    words = shlex.split(line)
    assert words == ["ssh", "-N", "-R", "2200:localhost:22", "me@gpu.example.org"]
    options = ["-oExitOnForwardFailure=yes", "-p", str(server.port), "-N", "-R"]
    return [*shlex.split(server.ssh), *options, f"127.0.0.1:{port}:127.0.0.1:{server.port}", "127.0.0.1"]


def restricted(server: Sshd, root: Path) -> str:
    """Return the `ssh` of the rented machine, which has its own key only."""
    config = root / "rented_config"
    text = server.config.read_text().replace(str(server.program.parent / "key") + "\n", f"{root / 'rented_key'}\n")
    config.write_text(text.replace("StrictHostKeyChecking yes", "StrictHostKeyChecking accept-new"))
    return f"ssh -F {shlex.quote(str(config))}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
