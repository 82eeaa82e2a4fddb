"""The list of remotes: what is kept was checked, and is checked again when it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from casvault import api
from casvault.errors import BadManifest, NotFound, NoVault, UsageError
from casvault.manifest.document import write_document
from casvault.sync import RemoteEntry, Remotes, connect


@pytest.fixture
def remotes(tmp_path: Path) -> Remotes:
    return Remotes(api.init(tmp_path / ".casvault"))


def test_added_listed_removed(remotes: Remotes) -> None:
    remotes.add("nas", "file:///mnt/nas/.casvault")
    remotes.add("gpu", "ssh://me@host:22/srv/v", "/opt/my tools/casvault")
    assert [one.name for one in remotes.every()] == ["gpu", "nas"]
    assert remotes.named("gpu") == RemoteEntry("gpu", "ssh://me@host:22/srv/v", "/opt/my tools/casvault")
    remotes.remove("nas")
    assert [one.name for one in remotes.every()] == ["gpu"]
    with pytest.raises(NotFound, match="nas"):
        remotes.remove("nas")


def test_a_path_is_kept_as_seen_from_anywhere(
    remotes: Remotes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert remotes.add("usb", "disk/v").url == str(tmp_path / "disk" / "v")


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 51, "\x1b[0m"])
def test_names_that_are_none(remotes: Remotes, name: str) -> None:
    with pytest.raises(UsageError):
        remotes.add(name, "/mnt/x")


def test_what_is_refused(remotes: Remotes) -> None:
    remotes.add("nas", "/mnt/x")
    with pytest.raises(UsageError, match="already"):
        remotes.add("nas", "/mnt/y")
    with pytest.raises(UsageError, match="program"):
        remotes.add("gpu", "ssh://h/v", "-x")
    with pytest.raises(UsageError, match="host"):
        remotes.add("gpu", "ssh://-oProxyCommand=x/v")
    assert [one.url for one in remotes.every()] == [str(Path("/mnt/x").absolute())]


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "x", "url": "ssh://-oProxyCommand=x/v", "program": "casvault"},
        {"name": "-x", "url": "/mnt/x", "program": "casvault"},
        {"name": "x", "url": "/mnt/x", "program": "-c"},
        {"name": "x", "url": 1, "program": "casvault"},
        {"name": "x"},
        7,
    ],
)
def test_a_hostile_list_is_refused(tmp_path: Path, remotes: Remotes, entry: object) -> None:
    (tmp_path / ".casvault" / "remotes.json").write_bytes(write_document({"format": 1, "remotes": [entry]}))
    with pytest.raises(BadManifest):
        remotes.every()


def test_a_damaged_list_is_told(tmp_path: Path, remotes: Remotes) -> None:
    remotes.add("nas", "/mnt/x")
    path = tmp_path / ".casvault" / "remotes.json"
    path.write_bytes(path.read_bytes().replace(b"mnt", b"tmp"))
    with pytest.raises(BadManifest, match="checksum"):
        remotes.every()


def test_a_disk_that_is_not_there(tmp_path: Path, remotes: Remotes) -> None:
    with pytest.raises(NoVault, match="is the disk there"):
        connect(remotes.find(str(tmp_path / "usb" / "v")))
    with pytest.raises(NotFound, match="no remote"):
        remotes.find("usb")


def test_the_folder_around_a_vault_will_do(tmp_path: Path, remotes: Remotes) -> None:
    api.init(tmp_path / "usb" / ".casvault")
    with connect(remotes.find(f"file://{(tmp_path / 'usb').as_posix()}")) as there:
        assert there.state().snapshots == {}
