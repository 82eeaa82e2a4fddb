"""The picture of what a vault stores: a real image, or one sentence that says what is missing."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from casvault.cli.plot import draw
from casvault.errors import StorageError, UsageError
from casvault.usage.usage import Growth
from tests.support.command import call
from tests.support.history import History

POINTS = [
    Growth("2026-11-24T03:15:00.123Z", 300_000_000, 240_000_000),
    Growth("2026-11-24T09:00:00.000Z", 600_000_000, 460_000_000),
    Growth("2026-11-26T09:00:00.000Z", 2_900_000_000, 680_000_000),
]


def words(path: Path) -> str:
    """Return what an SVG says in its comments, where the text of each drawn word stands."""
    return path.read_text("utf-8")


def test_a_png_is_one(tmp_path: Path) -> None:
    draw(POINTS, tmp_path / "a.PNG")
    data = (tmp_path / "a.PNG").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (1350, 750)
    assert b"IEND" in data[-12:]


def test_an_svg_is_one(tmp_path: Path) -> None:
    draw(POINTS, tmp_path / "a.svg")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "<!-- stored -->" in words(tmp_path / "a.svg")
    assert "<!-- GB -->" in words(tmp_path / "a.svg")


@pytest.mark.parametrize(("most", "unit"), [(5_000, "MB"), (2 * 10**9, "GB"), (3 * 10**12, "TB")])
def test_the_unit_fits(tmp_path: Path, most: int, unit: str) -> None:
    draw([Growth("2026-11-24T03:15:00.123Z", most, most // 2)], tmp_path / "a.svg")
    assert f"<!-- {unit} -->" in words(tmp_path / "a.svg")


@pytest.mark.parametrize("name", ["a.gif", "a", "png", ".png", "a.png.txt"])
def test_another_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"neither a \.png nor a \.svg"):
        draw(POINTS, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"needs matplotlib.*casvault\[plot\]"):
        draw(POINTS, tmp_path / "a.png")


def test_where_it_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        draw(POINTS, tmp_path / "nowhere" / "a.png")


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no snapshots"):
        draw([], tmp_path / "a.png")


def test_the_command_draws(tmp_path: Path) -> None:
    History(tmp_path, 2)
    done = call(tmp_path, "usage", "--plot", "growth.svg")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("Drawn: growth.svg\n")
    assert ElementTree.parse(tmp_path / "growth.svg")
    done = call(tmp_path, "usage", "--plot", "growth.png", "--json")
    assert len(done.json()["growth"]) == 2
    assert (tmp_path / "growth.png").read_bytes()[1:4] == b"PNG"
    done = call(tmp_path, "usage", "--plot", "growth.jpg")
    assert (done.code, done.out) == (2, "")
    assert done.err == "casvault: growth.jpg is neither a .png nor a .svg.\n"
