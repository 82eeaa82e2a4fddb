"""The panel with a real model: what its trainer saved, taken, restored, deleted and collected in a browser.

CASVAULT_TEST_SAVES names a folder of folders, each a save of one model, the oldest first by name; without it the test
is skipped.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from casvault import api
from tests.support.browser import Browsing, Visit

NAMES = ("first", "second", "third")


@pytest.fixture
def saves() -> list[Path]:
    folder = os.environ.get("CASVAULT_TEST_SAVES")
    found = sorted(path for path in Path(folder).iterdir() if path.is_dir())[:3] if folder else []
    if len(found) < len(NAMES):
        pytest.skip("CASVAULT_TEST_SAVES names no folder with three saves of a model")
    return found


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _press(visit: Visit, name: str) -> None:
    visit.dialog().get_by_role("button", name=name, exact=True).click()


def test_a_real_model(browsing: Browsing, saves: list[Path], tmp_path: Path) -> None:
    folder, path = tmp_path / "workspace" / "model", tmp_path / ".casvault"
    shutil.copytree(saves[0], folder)
    with browsing.visit(path) as visit:
        page = visit.page
        page.get_by_role("button", name="Create the first snapshot").click()
        visit.dialog().get_by_label("Name").fill(NAMES[0])
        _press(visit, "Create snapshot")
        visit.card(NAMES[0]).wait_for()
        for name, save in zip(NAMES[1:], saves[1:], strict=True):
            shutil.copytree(save, folder, dirs_exist_ok=True)
            page.get_by_role("button", name="Create snapshot").click()
            visit.dialog().get_by_label("Name").fill(name)
            _press(visit, "Create snapshot")
            visit.card(name).wait_for()
        assert page.locator(".card img").evaluate_all("all => all.length === 3 && all.every(one => one.naturalWidth)")

        visit.card("first").get_by_role("button", name="Restore first").click()
        _press(visit, "Restore")
        note = visit.note("Restore of 'first'")
        note.get_by_role("button", name="Undo").wait_for()
        assert _bytes(folder) == _bytes(saves[0])
        note.get_by_role("button", name="Undo").click()
        _press(visit, "Undo restore")
        visit.note("Undo of the last restore").wait_for()
        assert _bytes(folder) == _bytes(saves[2])

        visit.card("second").get_by_role("button", name="Delete second").click()
        _press(visit, "Delete")
        visit.card("second").wait_for(state="detached")
        frees = api.open(path).usage().vault.reclaimable_bytes
        assert frees
        page.goto("/".join(page.url.split("/")[:3]) + "/storage")
        page.get_by_role("button", name="Free space").click()
        _press(visit, "Free space")
        visit.note("freed").wait_for()

        page.goto("/".join(page.url.split("/")[:3]) + "/charts")
        page.locator(".plot-mark").nth(1).wait_for()
    vault = api.open(path)
    assert vault.usage().vault.reclaimable_bytes == 0
    assert vault.verify(read_data=True).ok
    for name, save in (("first", saves[0]), ("third", saves[2])):
        vault.restore(name, api.RestoreOptions(to=tmp_path / name))
        assert _bytes(tmp_path / name) == _bytes(save)
