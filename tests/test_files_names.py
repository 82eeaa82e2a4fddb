"""What may be written where: hostile names are refused on every system, a trainer's own names are not."""

from __future__ import annotations

import ntpath
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.files.names import case_twins, is_vault_name, model_path_problem

GOOD_PATHS = [
    "new_SAEHD_data.dat",
    "my model_v2_SAEHD_src_dst_opt.npy",
    "XSeg_256.npy",
    "checkpoint-500/model.safetensors",
    "a/b/c.bin",
    "模型_SAEHD_encoder.npy",
    "console.txt",
    "com10.dat",
    "nullable",
    "..data",
    "a..b",
    ".hidden",
    "x" * 255,
]

BAD_PATHS = [
    "",
    "..",
    ".",
    "../x",
    "a/../../x",
    "a/./b",
    "a//b",
    "a/",
    "/etc/passwd",
    "//server/share",
    "\\\\server\\share",
    "C:",
    "C:x",
    "C:/x",
    "a\\b",
    "a\0b",
    "a\nb",
    "a\x1b[2Jb",
    "a\x9b2Jb",
    "a\x7f",
    "a:stream",
    "a?",
    "a*",
    'a"b',
    "a<b",
    "a|b",
    "CON",
    "con.txt",
    "x/NUL",
    "nul.tar.gz",
    "con .txt",
    "CONIN$",
    "conout$.txt",
    "COM1",
    "lpt9.npy",
    "com¹",
    "aux.h",
    "a.",
    "a ",
    " a",
    "a./b",
    "a /b",
    "...",
    ".casvault",
    ".CasVault/objects",
    "x/.casvault_restore",
    ".ca\u017fvault",
    "\udc80",
    "x" * 256,
    "é" * 128,
    "/".join(["x" * 200] * 6),
]


@pytest.mark.parametrize("path", GOOD_PATHS)
def test_paths_that_may_be_written(path: str) -> None:
    assert model_path_problem(path) is None


@pytest.mark.parametrize("path", BAD_PATHS)
def test_paths_that_must_not_be_written(path: str) -> None:
    assert model_path_problem(path)


@given(st.text(st.characters(codec="utf-8"), max_size=12) | st.text(alphabet="./\\:conau x$1", max_size=8))
def test_whatever_is_allowed_stays_in_its_folder_on_windows_too(path: str) -> None:
    if model_path_problem(path) is not None:
        return
    assert ntpath.splitdrive(path)[0] == ""
    assert not ntpath.isabs(path)
    assert ntpath.normpath(path).replace("\\", "/") == path
    if sys.version_info >= (3, 13):
        assert not ntpath.isreserved(path)


@pytest.mark.parametrize(
    "name", ["vault.json", "objects/abc/" + "a" * 64 + "." + "b" * 64, "labels/x.y.json", "tmp", "_a-b.c"]
)
def test_vault_names(name: str) -> None:
    assert is_vault_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        ".",
        "..",
        "a/..",
        "../a",
        ".hidden",
        "a/.tmp",
        "a b",
        "a\n",
        "a\x00",
        "a.",
        "-a",
        "C:",
        "a\\b",
        "é",
        "x" * 256,
    ],
)
def test_names_that_are_none_of_a_vault(name: str) -> None:
    assert not is_vault_name(name)


@pytest.mark.parametrize(
    "twins",
    [
        ("a.npy", "a.npy"),
        ("new_SAEHD_data.dat", "New_SAEHD_Data.dat"),
        ("straße", "STRASSE"),
        ("\u00e9.npy", "e\u0301.npy"),
        ("a", "a/b"),
        ("A/b", "a"),
        ("a/b/c", "a/B"),
    ],
)
def test_twins(twins: tuple[str, str]) -> None:
    for pair in (twins, twins[::-1]):
        found = case_twins(["other", *pair])
        assert found is not None
        assert sorted(found) == sorted(twins)


def test_no_twins() -> None:
    assert case_twins(["a/x", "a/y", "ab", "a-b", "b/a"]) is None
    assert case_twins([]) is None
