"""Models in folders, on a disk as Linux and as Windows has it: found, told apart, and refused."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem, OSType

from casvault.errors import AmbiguousError, NotFound, StorageError, UsageError
from casvault.models import (
    DeepFaceLab,
    Kind,
    Model,
    ModelFile,
    find_models,
    generic_model,
    kind_named,
    models_below,
    resolve,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs links and special files")

FOLDER = [
    "new_SAEHD_data.dat",
    "new_SAEHD_summary.txt",
    "new_SAEHD_encoder.npy",
    "new_SAEHD_decoder.npy.tmp",
    "new_SAEHD_model.dfm",
    "new_SAEHD_preview_SAEHD.jpg",
    "new_SAEHD_autobackups/01/new_SAEHD_data.dat",
    "new_SAEHD_autobackups/01/new_SAEHD_summary.txt",
    "new_SAEHD_history/0001.jpg",
    "new_SAEHD_folder.npy/file",
    "my_face_AMP_data.dat",
    "my_face_AMP_GAN.npy",
    "new_AMP_data.dat",
    "XSeg_data.dat",
    "XSeg_256.npy",
    "XSeg_default_options.dat",
    ".casvault_new_SAEHD_data.dat",
    ".casvault_1/other_SAEHD_data.dat",
    "readme.md",
]


@pytest.fixture(params=[OSType.LINUX, OSType.WINDOWS], ids=["linux", "windows"])
def disk(request: pytest.FixtureRequest, fs: FakeFilesystem) -> FakeFilesystem:
    fs.os = request.param
    return fs


def _fill(folder: Path, names: list[str]) -> Path:
    for name in names:
        path = folder.joinpath(*name.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def _names(models: list[Model]) -> list[str]:
    return [model.name for model in models]


def test_a_folder_of_models(disk: FakeFilesystem) -> None:
    folder = _fill(Path(os.path.abspath("workspace")) / "model", FOLDER)
    models = find_models(folder)
    assert _names(models) == ["XSeg", "my_face_AMP", "new_AMP", "new_SAEHD"]
    saehd = models[3]
    assert saehd == Model(
        "deepfacelab",
        "new_SAEHD",
        "SAEHD",
        folder,
        (
            ModelFile("new_SAEHD_data.dat", "data.dat"),
            ModelFile("new_SAEHD_encoder.npy", "encoder.npy"),
            ModelFile("new_SAEHD_summary.txt", "summary.txt"),
        ),
        ("new_SAEHD_decoder.npy.tmp",),
    )
    assert [file.role for file in models[0].files] == ["256.npy", "data.dat"]
    assert DeepFaceLab().find(folder, "new_SAEHD") == [saehd]
    assert DeepFaceLab().find(folder, "gone_SAEHD") == []


def test_a_relative_folder_becomes_absolute(disk: FakeFilesystem) -> None:
    _fill(Path("model"), FOLDER)
    [model] = DeepFaceLab().find(Path("model/../model"), "XSeg")
    assert model.folder.is_absolute()
    assert model.folder == Path(os.path.abspath("model"))


def test_only_a_temporary_file_is_left(disk: FakeFilesystem) -> None:
    folder = _fill(Path("model"), ["new_SAEHD_data.dat.tmp"])
    [model] = resolve(folder / "new_SAEHD")
    assert (model.files, model.leftovers) == ((), ("new_SAEHD_data.dat.tmp",))


def test_no_folder_no_models(disk: FakeFilesystem) -> None:
    _fill(Path("model"), ["file"])
    assert find_models(Path("gone")) == []
    assert find_models(Path("model") / "file") == []
    assert models_below(Path("gone")) == []


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("model", ["XSeg", "my_face_AMP", "new_AMP", "new_SAEHD"]),
        ("model/new_SAEHD", ["new_SAEHD"]),
        ("model/new_SAEHD_encoder.npy", ["new_SAEHD"]),
        ("model/new_SAEHD_decoder.npy.tmp", ["new_SAEHD"]),
        ("model/my_face", ["my_face_AMP"]),
        ("model/my_face_AMP_data.dat", ["my_face_AMP"]),
        ("model/XSeg", ["XSeg"]),
        ("model/XSeg_256.npy", ["XSeg"]),
        ("model/new_SAEHD_autobackups/01", ["new_SAEHD"]),
        ("model/new_SAEHD_autobackups/01/new", ["new_SAEHD"]),
    ],
)
def test_what_people_type(disk: FakeFilesystem, typed: str, expected: list[str]) -> None:
    _fill(Path("model"), FOLDER)
    found = resolve(Path(typed))
    assert _names(found) == expected
    assert {model.kind for model in found} == {"deepfacelab"}
    assert found[0].folder == Path(os.path.abspath("model/new_SAEHD_autobackups/01" if "/01" in typed else "model"))


def test_a_short_name_of_two_models_is_ambiguous(disk: FakeFilesystem) -> None:
    _fill(Path("model"), FOLDER)
    with pytest.raises(AmbiguousError, match=r"new_\w+, new_\w+"):
        resolve(Path("model/new"))


@pytest.mark.parametrize("typed", ["model/my", "model/old_SAEHD", "gone/new_SAEHD", "model/my_face_AMP_x", "empty"])
def test_nothing_is_there(disk: FakeFilesystem, typed: str) -> None:
    _fill(Path("model"), FOLDER)
    Path("empty").mkdir()
    with pytest.raises(NotFound, match=Path(typed).name):
        resolve(Path(typed))


def test_a_wrong_name_is_told_the_right_ones(disk: FakeFilesystem) -> None:
    _fill(Path("model"), FOLDER)
    with pytest.raises(NotFound, match="my_face_AMP"):
        resolve(Path("model/myface"))


def test_a_file_that_is_of_no_model_is_generic(disk: FakeFilesystem) -> None:
    _fill(Path("model"), FOLDER)
    for name in ("new_SAEHD_model.dfm", "readme.md"):
        [model] = resolve(Path("model") / name)
        assert (model.kind, model.name, model.files) == ("generic", name, (ModelFile(name, name),))
        assert model.single
        assert model.folder == Path(os.path.abspath("model"))


def test_a_name_chooses_among_the_models_of_a_folder(disk: FakeFilesystem) -> None:
    _fill(Path("model"), FOLDER)
    assert _names(resolve(Path("model"), "new_AMP")) == ["new_AMP"]
    with pytest.raises(UsageError, match="mine"):
        resolve(Path("model"), "mine")


def test_a_folder_called_like_a_model(disk: FakeFilesystem) -> None:
    _fill(Path("model"), ["new_SAEHD_data.dat", "new_SAEHD/notes.txt"])
    assert _names(resolve(Path("model/new_SAEHD"))) == ["new_SAEHD"]
    _fill(Path("model"), ["new_SAEHD/new_SAEHD_data.dat"])
    with pytest.raises(AmbiguousError):
        resolve(Path("model/new_SAEHD"))


def test_names_compare_as_the_system_compares_them(disk: FakeFilesystem) -> None:
    _fill(Path("model"), FOLDER)
    windows = disk.os is OSType.WINDOWS
    for typed in ("model/MY_FACE_amp", "model/xseg_256.NPY", "model/My_Face"):
        if windows:
            assert resolve(Path(typed))[0].name in ("my_face_AMP", "XSeg")
        else:
            with pytest.raises(NotFound):
                resolve(Path(typed))


def test_windows_paths(disk: FakeFilesystem) -> None:
    if disk.os is not OSType.WINDOWS:
        pytest.skip("has backslashes in names")
    _fill(Path("C:\\work\\model"), FOLDER)
    [model] = resolve(Path("C:\\work\\model\\new_SAEHD_data.dat"))
    assert str(model.folder) == "C:\\work\\model"
    assert model.files[0].path == "new_SAEHD_data.dat"
    [generic] = resolve(Path("C:\\work\\model\\new_SAEHD_history"))
    assert generic.files == (ModelFile("0001.jpg", "0001.jpg"),)


def test_a_generic_folder(disk: FakeFilesystem) -> None:
    folder = _fill(
        Path("run/checkpoint-500"), ["b.bin", "unet/x/m.safetensors", "a", ".hidden", ".casvault/v", "z/.Casvault_t"]
    )
    [model] = resolve(folder)
    paths = [".hidden", "a", "b.bin", "unet/x/m.safetensors"]
    assert (model.kind, model.name, model.type, model.leftovers) == ("generic", "checkpoint-500", None, ())
    assert model.files == tuple(ModelFile(path, path) for path in paths)
    assert model.folder == Path(os.path.abspath("run/checkpoint-500"))
    assert not model.single
    assert resolve(folder, "flux")[0].name == "flux"
    assert generic_model(folder, "checkpoint-500") == model


@pytest.mark.parametrize("name", ["", "a/b", "..", "x\0", "CON", "a:b", "\udcff"])
def test_a_generic_model_needs_a_safe_name(disk: FakeFilesystem, name: str) -> None:
    folder = _fill(Path("run"), ["a"])
    with pytest.raises(UsageError):
        resolve(folder, name)


def test_a_generic_folder_keeps_its_own_name(disk: FakeFilesystem) -> None:
    folder = _fill(Path(".run"), ["a"])
    assert generic_model(folder, resolve(folder)[0].name).name == ".run"


def test_what_has_no_name_needs_one(fs: FakeFilesystem) -> None:
    fs.create_file("/a")
    with pytest.raises(UsageError, match="--model"):
        generic_model(Path("/"))


def test_casvaults_own_is_no_model(disk: FakeFilesystem) -> None:
    _fill(Path("project/.casvault"), ["vault.json"])
    with pytest.raises(UsageError, match="own"):
        resolve(Path("project/.casvault"))


def test_models_below(disk: FakeFilesystem) -> None:
    _fill(Path("work"), [f"a/model/{name}" for name in FOLDER])
    _fill(Path("work"), ["b/x_SAEHD_data.dat", ".hidden/y_SAEHD_data.dat", "z_SAEHD_data.dat", "q/plain.bin"])
    assert _names(models_below(Path("work"))) == ["x_SAEHD", "XSeg", "my_face_AMP", "new_AMP", "new_SAEHD"]
    assert len(models_below(Path("work"), limit=2)) == 2


def test_kinds_have_names() -> None:
    for name in ("deepfacelab", "generic"):
        assert kind_named(name).name == name
        assert isinstance(kind_named(name), Kind)
    assert kind_named("deepfacelab").last_role == "data.dat"
    with pytest.raises(UsageError, match="kohya"):
        kind_named("kohya")


@pytest.mark.parametrize("typed", ["model/a\0b", "model/\udcff", "\udcff/new_SAEHD"])
def test_paths_that_are_none(typed: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(Path(typed))
    str(caught.value).encode("utf-8")


@posix
def test_odd_bytes_in_names(tmp_path: Path) -> None:
    tmp_path = tmp_path / "alone"
    tmp_path.mkdir()
    try:
        (tmp_path / "new_\udcff_SAEHD_data.dat").touch()
    except OSError:
        pytest.skip("the file system takes only text")
    for look in (find_models, generic_model, resolve):
        with pytest.raises(UsageError, match=r"udcff"):
            look(tmp_path)
    (tmp_path / "x_SAEHD_data.dat").touch()
    assert _names(resolve(tmp_path / "x_SAEHD")) == ["x_SAEHD"]
    assert models_below(tmp_path.parent) == []
    other = tmp_path / "other"
    (other / "\udcfe").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"udcfe"):
        generic_model(other)


@posix
def test_names_that_not_every_system_has(tmp_path: Path) -> None:
    (tmp_path / "a:b_SAEHD_data.dat").touch()
    with pytest.raises(UsageError, match=r"a:b_SAEHD_data\.dat"):
        find_models(tmp_path)


def _special(path: Path, what: str) -> None:
    if what == "fifo":
        os.mkfifo(path)
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            cwd = os.getcwd()
            os.chdir(path.parent)  # a socket's path is limited to some 100 bytes
            try:
                server.bind(path.name)
            finally:
                os.chdir(cwd)
    elif what == "link to a file":
        (path.parent / "target").touch()
        path.symlink_to("target")
    elif what == "link to a folder":
        (path.parent.parent / "elsewhere").mkdir()
        path.symlink_to("../elsewhere")
    else:
        path.symlink_to("nowhere")


@posix
@pytest.mark.parametrize("what", ["fifo", "socket", "link to a file", "link to a folder", "dangling link"])
@pytest.mark.parametrize("name", ["x_SAEHD_encoder.npy", "x_SAEHD_data.dat.tmp"])
def test_special_files_are_refused(tmp_path: Path, what: str, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    _special(folder / name, what)
    (folder / "y_AMP_data.dat").touch()
    # a link to a folder that people type themselves is that folder
    for typed in (folder, folder / "x_SAEHD", *([] if what == "link to a folder" else [folder / name])):
        with pytest.raises(UsageError, match=name):
            resolve(typed)
    with pytest.raises(UsageError, match=name):
        generic_model(folder)
    assert _names(resolve(folder / "y_AMP")) == ["y_AMP"]
    assert _names(resolve(folder / "y_AMP_data.dat")) == ["y_AMP"]
    assert models_below(tmp_path) == []


@posix
def test_a_special_file_alone_is_refused(tmp_path: Path) -> None:
    _special(tmp_path / "pipe", "fifo")
    with pytest.raises(UsageError, match="pipe"):
        resolve(tmp_path / "pipe")
    _special(tmp_path / "link", "dangling link")
    with pytest.raises(UsageError, match="link"):
        resolve(tmp_path / "link")


@posix
def test_links_beside_a_model_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "x_SAEHD_data.dat").touch()
    (tmp_path / "x_SAEHD_model.dfm").symlink_to("nowhere")
    (tmp_path / "faces").symlink_to("nowhere")
    assert _names(find_models(tmp_path)) == ["x_SAEHD"]


@posix
def test_a_linked_folder_can_be_typed_but_is_not_walked_into(tmp_path: Path) -> None:
    real = _fill(tmp_path / "real", ["x_SAEHD_data.dat"])
    walked = tmp_path / "walked"
    walked.mkdir()
    (walked / "latest").symlink_to(real)
    assert resolve(walked / "latest")[0].folder == walked / "latest"
    assert models_below(walked) == []
    with pytest.raises(UsageError, match="latest"):
        generic_model(walked)


@posix
def test_what_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((StorageError, UsageError)):
        resolve(tmp_path / ("x" * 300))

    def denied(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(StorageError, match="Permission denied"):
        find_models(tmp_path)
    assert models_below(tmp_path) == []
