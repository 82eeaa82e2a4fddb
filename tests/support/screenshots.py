"""Pictures of the panel's first page for the docs: ``python -m tests.support.screenshots [--saves FOLDER]``.

FOLDER holds folders with saves of one model, the oldest first by name; without it a sample model is trained. What is
shown is the real panel of a real vault of them, in a browser.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from casvault import api
from tests.support.browser import Browsing, Visit
from tests.support.pictures import add_faces
from tests.support.trainer import make_model

__all__ = ["take"]

_WORDS = (
    ("start", "resolution 64, batch 4"),
    ("random warp off", "Losses were flat for a day.\nEyes follow now; the mouth is still soft."),
    ("settled, before GAN", "Skin tone is right with rct.\nNext: GAN power 0.1. Come back here if it gets soft."),
)


def take(saves: Path | None, to: Path) -> None:
    """Write the pictures into the folder ``to``."""
    with tempfile.TemporaryDirectory() as made, Browsing.begun() as browsing:
        place = Path(made) / "faces"
        _fill(place, saves)
        vault = place / ".casvault"
        for name, dark in (("panel", False), ("panel-dark", True)):
            with browsing.visit(vault, size=(1280, 760), dark=dark) as visit:
                _shoot(visit, place.parent, to / f"{name}.png")
        with browsing.visit(vault, size=(390, 844), phone=True) as visit:
            _shoot(visit, place.parent, to / "panel-phone.png")
        with browsing.visit(vault, size=(1280, 760)) as visit:
            visit.card("random warp off").get_by_role("button", name="Restore random warp off").click()
            visit.dialog().get_by_text("Replaces", exact=True).wait_for()
            _shoot(visit, place.parent, to / "panel-restore.png")
        shutil.rmtree(vault)
        with browsing.visit(vault, size=(1280, 760)) as visit:
            visit.page.get_by_role("heading", name="found near by").wait_for()
            _take(visit, place.parent, to / "panel-first.png")


def _fill(place: Path, saves: Path | None) -> None:
    """Make a vault with a snapshot of each save, and leave the last one in place."""
    folder = place / "workspace" / "model"
    vault = api.init(place / ".casvault")
    if saves is None:
        model = add_faces(make_model(folder, "new_SAEHD"))
        for name, notes in _WORDS:
            model.train(500)
            model.save()
            vault.snapshot(folder, name=name, notes=notes)
    else:
        for (name, notes), save in zip(_WORDS, sorted(saves.iterdir()), strict=False):
            shutil.copytree(save, folder, dirs_exist_ok=True)
            vault.snapshot(folder, name=name, notes=notes)
    vault.edit("random warp off", tag=["keep"])
    vault.edit("settled, before GAN", pinned=True)


_AT_HOME = """(made) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replaceAll(made, "/home/me");
}"""


def _shoot(visit: Visit, made: Path, path: Path) -> None:
    visit.page.locator("[data-frees]", has_text="frees").first.wait_for()
    visit.page.wait_for_load_state("load")
    visit.page.locator(".live img").evaluate("(picture) => picture.decode()")
    visit.page.mouse.move(0, 0)
    _take(visit, made, path)


def _take(visit: Visit, made: Path, path: Path) -> None:
    """Take a picture in which the folder for the time being is called as a person's would be."""
    visit.page.evaluate(_AT_HOME, str(made))
    visit.page.screenshot(path=path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Take pictures of the panel for the docs.")
    parser.add_argument("--saves", type=Path)
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[2] / "docs" / "images")
    given = parser.parse_args()
    take(given.saves, given.to)
