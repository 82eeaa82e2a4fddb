"""Where the vault is looked for and where a new one goes, by the rules of Linux and of Windows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem, OSType
from pyfakefs.fake_filesystem_unittest import Patcher

from casvault.errors import NoVault
from casvault.vault import locate

SYSTEMS = {"linux": (OSType.LINUX, "/home/ann"), "windows": (OSType.WINDOWS, "D:/DFL")}


@pytest.fixture(params=sorted(SYSTEMS))
def disk(request: pytest.FixtureRequest) -> Iterator[FakeFilesystem]:
    kind, _ = SYSTEMS[request.param]
    with Patcher(modules_to_reload=[locate]) as patcher:
        assert patcher.fs is not None
        patcher.fs.os = kind
        yield patcher.fs


def home(disk: FakeFilesystem) -> Path:
    top = "D:/DFL" if disk.is_windows_fs else "/home/ann"
    return Path(top)


def vault(disk: FakeFilesystem, folder: Path) -> Path:
    disk.create_file(folder / ".casvault" / "vault.json")
    return folder / ".casvault"


def find(model: Path | None, working: Path) -> Path:
    os.chdir(working)
    return locate.find_vault(model, working)


def test_above_the_model(disk: FakeFilesystem) -> None:
    top = home(disk)
    disk.create_dir(top / "workspace" / "model")
    disk.create_dir(top / "elsewhere")
    made = vault(disk, top)
    vault(disk, top / "elsewhere")
    for model in (top / "workspace" / "model" / "new_SAEHD", top / "workspace" / "model"):
        assert find(model, top / "elsewhere") == made


def test_the_nearest_one_wins(disk: FakeFilesystem) -> None:
    top = home(disk)
    outer, inner = vault(disk, top), vault(disk, top / "runs")
    disk.create_dir(top / "runs" / "a")
    assert find(top / "runs" / "a" / "new_SAEHD", top) == inner
    assert find(top / "runs", top) == outer, "strictly above the model"
    assert find(None, top / "runs" / "a") == inner
    assert find(None, top) == outer


def test_a_model_that_is_typed_from_where_one_stands(disk: FakeFilesystem) -> None:
    top = home(disk)
    disk.create_dir(top / "workspace" / "model")
    made = vault(disk, top)
    assert find(Path("new_SAEHD"), top / "workspace" / "model") == made
    assert find(Path("model") / "new_SAEHD", top / "workspace") == made


def test_a_model_that_is_typed_with_dots(disk: FakeFilesystem) -> None:
    top = home(disk)
    disk.create_dir(top / "models")
    disk.create_dir(top / "desk" / "drawer")
    made = vault(disk, top)
    other = vault(disk, top / "desk")
    model = Path("..") / ".." / "models" / "new_SAEHD"
    assert find(model, top / "desk" / "drawer") == made
    assert find(None, top / "desk" / "drawer") == other


def test_the_working_directory_is_the_last_resort(disk: FakeFilesystem) -> None:
    top = home(disk)
    disk.create_dir(top / "far" / "model")
    disk.create_dir(top / "desk" / "drawer")
    made = vault(disk, top / "desk")
    assert find(top / "far" / "model" / "new_SAEHD", top / "desk" / "drawer") == made


def test_a_folder_without_a_configuration_is_no_vault(disk: FakeFilesystem) -> None:
    top = home(disk)
    made = vault(disk, top)
    disk.create_dir(top / "runs" / ".casvault" / "objects")
    assert find(None, top / "runs") == made


def test_none(disk: FakeFilesystem) -> None:
    top = home(disk)
    disk.create_dir(top)
    for model in (None, top / "new_SAEHD"):
        with pytest.raises(NoVault, match="casvault init"):
            find(model, top)


def place(working: Path, model: Path | None = None) -> Path:
    os.chdir(working)
    return locate.place_for_vault(working, model)


def test_a_new_vault_goes_beside_the_workspace(disk: FakeFilesystem) -> None:
    top = home(disk)
    disk.create_dir(top / "workspace" / "model")
    disk.create_dir(top / "desk")
    for working in (top / "workspace", top / "workspace" / "model"):
        assert place(working) == top / ".casvault"
    model = top / "workspace" / "model" / "new_SAEHD"
    assert place(top / "desk", model) == top / ".casvault"
    assert place(top / "workspace", Path("model") / "new_SAEHD") == top / ".casvault"
    assert place(top / "desk", Path("..") / "workspace" / "model") == top / ".casvault"


def test_without_a_workspace_a_new_vault_goes_here(disk: FakeFilesystem) -> None:
    top = home(disk)
    disk.create_dir(top / "models")
    disk.create_dir(top / "myworkspace")
    assert place(top, top / "models" / "new_SAEHD") == top / ".casvault"
    assert place(top / "myworkspace") == top / "myworkspace" / ".casvault"


def test_a_workspace_in_any_case(disk: FakeFilesystem) -> None:
    top = home(disk)
    disk.create_dir(top / "Workspace" / "model")
    assert place(top / "Workspace" / "model") == top / ".casvault"
