"""Vaults that are synced while others work in them: two who push and a gc at once, and two that re-coded on their own.

By path and over a real SSH server, each command a process of its own. CASVAULT_SOAK_PUSHES and CASVAULT_SOAK_RECODINGS
set the long forms.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from casvault import api
from tests.support import soak
from tests.support.command import clean_environment
from tests.support.lines import Line, copy_of
from tests.support.recoded import check_no_circles, two_that_recoded
from tests.support.sshd import sshd

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="on Windows nobody tried")
_ROOT = Path(__file__).parents[2]
_SNAPSHOTS = 7


def command(vault: api.Vault, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "casvault", "--vault", str(vault.path), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(**environment),
        cwd=_ROOT,
    )


@contextlib.contextmanager
def reached(root: Path, target: api.Vault, senders: list[api.Vault], by: str) -> Iterator[dict[str, str]]:
    """Let the senders call the target home; yield what has to be in the environment for it."""
    if by == "path":
        for sender in senders:
            sender.add_remote("home", str(target.path))
        yield {}
        return
    (root / "sshd").mkdir()
    with sshd(root / "sshd") as server:
        for sender in senders:
            sender.add_remote("home", server.url(Path(str(target.path))), program=str(server.program))
        yield {"CASVAULT_SSH": server.ssh}


def pushes(root: Path, by: str, rounds: int, seed: int) -> None:
    chosen = random.Random(seed)
    line = Line(root / "line", threads=1)
    line.grow(_SNAPSHOTS)
    with soak.campaign(f"two who push and a gc, by {by}") as figures:
        for number in range(rounds):
            place = root / str(number)
            senders = two_that_recoded(line, place, chosen)
            home = api.init(place / "home" / ".casvault")
            with reached(place, home, senders, by) as environment:
                working = [command(sender, "push", "home", "--json", **environment) for sender in senders]
                while any(process.poll() is None for process in working):
                    collector = command(home, "gc", "--json")
                    _, err = collector.communicate()
                    # Who finds it busy gives up after 30 s, and frees nothing.
                    assert collector.returncode in (0, 11), err
                    figures.count("collections")
            for process in working:
                out, err = process.communicate()
                assert process.returncode == 0, err + out
                figures.cases += 1
            here = api.open(str(home.path), threads=1)
            assert {head.id for head in here.snapshots()} == {h.id for each in senders for h in each.snapshots()}
            line.check(here)
            assert here.verify(read_data=True).ok
            check_no_circles(here)
            here.gc()
            line.check(here)
            figures.count("snapshots", len(here.snapshots()))


def recodings(root: Path, rounds: int, seed: int) -> None:
    chosen = random.Random(seed)
    line = Line(root / "line", threads=1)
    line.grow(_SNAPSHOTS)
    with soak.campaign("two that re-coded on their own") as figures:
        for number in range(rounds):
            one, two = two_that_recoded(line, root / str(number), chosen)
            one.add_remote("other", str(two.path))
            for _ in range(3):
                one.sync("other")
                for vault in (one, two):
                    fresh = api.open(str(vault.path), threads=1)
                    check_no_circles(fresh)
                    line.check(fresh)
                    assert fresh.verify(read_data=True).ok
                    figures.count("restorable", len(fresh.snapshots()))
                # On their own once more: each gives something up, codes anew, and takes it back.
                for vault in (one, two):
                    ids = [head.id for head in vault.snapshots()]
                    api.open(str(vault.path), threads=1).delete(chosen.choice(ids), gc=True)
                figures.cases += 1
            assert {h.id for h in one.snapshots()} | {h.id for h in two.snapshots()} <= line.saves.keys()
            assert copy_of(one, root / str(number) / "copy").verify(read_data=True).ok


def test_once_coded_anew(tmp_path: Path) -> None:
    recodings(tmp_path, 1, soak.seed(1))


@pytest.mark.slow
@pytest.mark.parametrize("by", ["path", "ssh"])
def test_many_pushes(tmp_path: Path, by: str) -> None:
    pushes(tmp_path, by, soak.size("PUSHES", 30), soak.seed())


@pytest.mark.slow
def test_many_that_recoded(tmp_path: Path) -> None:
    recodings(tmp_path, soak.size("RECODINGS", 100), soak.seed())
