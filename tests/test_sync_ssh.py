"""By SSH: a real OpenSSH server, real keys, a real casvault at the other end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from casvault import RestoreOptions, api
from casvault.errors import RemoteError
from casvault.progress import Progress
from casvault.sync import RemoteEntry, SyncOptions, connect, pull, push
from casvault.sync.local import LocalRemote
from tests.support.lines import Line, objects_on_disk
from tests.support.sshd import Sshd, sshd
from tests.support.trainer import contents

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs the OpenSSH server")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(autouse=True)
def by_this_server(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASVAULT_SSH", server.ssh)
    server.noise.unlink(missing_ok=True)


@pytest.fixture
def far(tmp_path: Path) -> api.Vault:
    # All that a shell could trip over.
    return api.init(tmp_path / 'far\'s $(touch x); "vault" `y` *' / ".casvault")


def entry(server: Sshd, vault: api.Vault) -> RemoteEntry:
    assert vault.path is not None
    return RemoteEntry("far", server.url(vault.path), str(server.program))


def test_looked_at_and_restored_from(server: Sshd, far: api.Vault, tmp_path: Path) -> None:
    line = Line(tmp_path / "line", threads=2)
    line.grow(2)
    with LocalRemote(line.vault) as here, connect(entry(server, far)) as there:
        push(here, there, SyncOptions())
    fresh = api.init(tmp_path / "fresh" / ".casvault")
    fresh.add_remote("far", server.url(far.path or tmp_path), program=str(server.program))
    with fresh.remote("far") as elsewhere:
        assert [head.id for head in elsewhere.snapshots()] == sorted(line.saves)
        assert elsewhere.usage().to_json() == far.usage().to_json()
        assert objects_on_disk(fresh) == {}
        elsewhere.restore("latest", RestoreOptions(to=tmp_path / "restored"))
    assert contents(tmp_path / "restored") == line.saves[max(line.saves)]


def test_pushed_and_pulled_into_a_fresh_vault(server: Sshd, far: api.Vault, tmp_path: Path) -> None:
    line = Line(tmp_path / "line", threads=2)
    line.grow(3)
    with LocalRemote(line.vault) as here, connect(entry(server, far)) as there:
        sent = push(here, there, SyncOptions())
        again = push(here, there, SyncOptions())
    assert len(sent.snapshots) == 3
    assert (again.snapshots, again.objects) == ([], 0)
    assert objects_on_disk(far) == objects_on_disk(line.vault)
    fresh = api.init(tmp_path / "fresh")
    with LocalRemote(fresh) as here, connect(entry(server, far)) as there:
        received = pull(here, there, SyncOptions())
    assert len(received.snapshots) == 3
    assert objects_on_disk(fresh) == objects_on_disk(line.vault)
    line.check(fresh)
    for result in (sent, received):
        assert result.object_bytes == sum(objects_on_disk(line.vault).values())
        # Documents and names weigh more with a model of toy size: a real one is measured in the benchmarks.
        assert result.wire_bytes < 1.25 * result.object_bytes


def test_a_shell_that_talks_is_one_sentence(server: Sshd, far: api.Vault) -> None:
    server.noise.write_text("Welcome to the \x1b[31mGPU cloud!\nYour balance is low.\n")
    with pytest.raises(RemoteError, match=r"it said 'Welcome to the .*GPU cloud!'"):
        connect(entry(server, far)).ready()


def test_what_ssh_says_is_passed_on(server: Sshd, far: api.Vault, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=r"not found.*--program"):
        connect(RemoteEntry("far", server.url(tmp_path), "no-such-casvault")).ready()
    with pytest.raises(RemoteError, match="there is no vault at"):
        connect(RemoteEntry("far", server.url(tmp_path / "nothing"), str(server.program))).ready()
    with pytest.raises(RemoteError, match=r"refused|closed|reset"):
        connect(RemoteEntry("far", "ssh://127.0.0.1:1/srv/v")).ready()


def test_no_ssh_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASVAULT_SSH", "no-such-ssh")
    with pytest.raises(RemoteError, match="cannot run no-such-ssh"):
        connect(RemoteEntry("far", "ssh://127.0.0.1/srv/v"))


def test_a_link_that_is_cut_leaves_whole_snapshots_and_goes_on(server: Sshd, far: api.Vault, tmp_path: Path) -> None:
    line = Line(tmp_path / "line", threads=2)
    line.grow(3)

    class Cut(Progress):
        moved = 0

        def advance(self, amount: int) -> None:
            self.moved += amount
            if self.moved > 100_000:
                there._link.cut()  # type: ignore[attr-defined]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("casvault.sync.transfer.PORTION", 50_000)
        there = connect(entry(server, far))
        with LocalRemote(line.vault) as here, there, pytest.raises(RemoteError, match="ended"):
            push(here, there, SyncOptions(retries=0), Cut())
    assert len(far.snapshots()) < 3
    line.check(far)
    arrived = len(objects_on_disk(far))
    with LocalRemote(line.vault) as here, connect(entry(server, far)) as there:
        result = push(here, there, SyncOptions())
    # What was in the air when the link broke goes again; a portion at the most.
    assert result.objects <= len(objects_on_disk(line.vault)) - arrived + 5
    line.check(far)
    assert far.verify(read_data=True).ok
