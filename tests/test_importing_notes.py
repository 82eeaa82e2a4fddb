"""What was written down of a copy: what is taken of it, and that nothing in it does harm."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.importing.notes import Notes, _notes, read_notes
from tests.support.pictures import put


def written(folder: Path, value: Any, name: str = "metadata.json") -> Notes:
    put(folder / name, value if isinstance(value, bytes) else json.dumps(value).encode())
    return read_notes(folder)


@pytest.mark.parametrize("name", ["metadata.json", "version.json"])
def test_the_four_members(tmp_path: Path, name: str) -> None:
    value = {
        "name": " before GAN ",
        "notes": "batch 8\r\nlr",
        "iteration": 1500,
        "created": "2024-02-01T10:00:00+02:00",
    }
    assert written(tmp_path / "v1", value, name) == Notes(
        "before GAN", "batch 8\nlr", 1500, "2024-02-01T08:00:00.000Z", tmp_path / "v1" / name, True
    )


def test_beside_the_folder_and_none_at_all(tmp_path: Path) -> None:
    (tmp_path / "v2").mkdir()
    assert read_notes(tmp_path / "v2") == Notes()
    put(tmp_path / "v2.json", b'{"name": "two"}')
    assert read_notes(tmp_path / "v2").name == "two"
    assert written(tmp_path / "v2", {"name": "nearer"}).name == "nearer"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("2024-02-01T10:00:00Z", "2024-02-01T10:00:00.000Z"),
        (1_700_000_000, "2023-11-14T22:13:20.000Z"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250Z"),
    ],
)
def test_times(tmp_path: Path, value: Any, told: str) -> None:
    assert written(tmp_path, {"created": value}).created == told


@pytest.mark.parametrize(
    "values",
    [
        {"name": "two\nlines"},
        {"name": "\x1b[31m"},
        {"name": ["x"]},
        {"name": "x" * 201},
        {"notes": {"a": 1}},
        {"notes": "\u202e"},
        {"iteration": -1},
        {"iteration": True},
        {"iteration": 1.5},
        {"iteration": 2**63},
        {"created": "yesterday"},
        {"created": -1},
        {"created": 1e300},
        {"created": True},
        {"created": float("nan")},
        {"created": "9999-12-31T23:59:59-12:00"},
    ],
)
def test_what_is_not_of_its_form_is_left_out_and_told(tmp_path: Path, values: dict[str, Any]) -> None:
    notes = written(tmp_path, {"notes": "kept", **values})
    (key,) = values
    assert getattr(notes, key) is None
    assert len(notes.problems) == 1
    assert repr(key) in notes.problems[0]
    assert not notes.all_taken
    if key != "notes":
        assert notes.notes == "kept"


def test_a_file_with_more_is_not_taken_whole(tmp_path: Path) -> None:
    notes = written(tmp_path, {"name": "a", "author": "b"})
    assert (notes.name, notes.all_taken, notes.problems) == ("a", False, ())


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"nothing", b"\xff", b"[" * 60_000, b'{"name": "' + b"x" * 70_000, b"1" * 5000, b'{"a":NaN}x']
)
def test_what_is_no_object_is_told(tmp_path: Path, data: bytes) -> None:
    notes = written(tmp_path, data)
    assert len(notes.problems) == 1
    assert (notes.name, notes.all_taken) == (None, False)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metadata.json")
    assert "cannot be read" in read_notes(tmp_path).problems[0]
    (tmp_path / "metadata.json").unlink()
    (tmp_path / "metadata.json").symlink_to("/etc/passwd")
    assert "cannot be read" in read_notes(tmp_path).problems[0]


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.dictionaries(st.sampled_from(["name", "notes", "iteration", "created"]), _scalars | st.lists(_scalars)))
def test_nothing_raises(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "notes.json"
    path.write_text(json.dumps(values), "utf-8")
    notes = _notes(path)
    assert notes.name is None or ("\n" not in notes.name and len(notes.name) <= 200)
    assert notes.iteration is None or 0 <= notes.iteration < 2**63
    assert len(notes.problems) <= len(values)
