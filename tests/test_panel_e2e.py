"""The panel as its users see it: the real server, a real browser, and what both leave in the vault."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from casvault import api
from casvault.demo.model import SampleModel
from casvault.figures import age
from casvault.manifest.label import Label
from tests.support.browser import Browsing, Visit
from tests.support.disks import fill, tmpfs, why_no_mounts
from tests.support.holders import Holder
from tests.support.pictures import add_faces
from tests.support.trainer import contents, make_model, train_arguments, training
from tests.support.vaults import make_manifest, stamp

NAME = "new_SAEHD"
HOSTILE = "<script>alert(1)</script> \"quoted\" 'single' & <img src=x onerror=alert(2)>"
LONG = "ten thousand " * 769


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model with three snapshots and one save more than they hold."""
    place = tmp_path_factory.mktemp("made")
    model = add_faces(make_model(place / "workspace" / "model", NAME, 60_000))
    vault = api.init(place / ".casvault")
    for name, notes in (("first", None), ("second", "one line"), ("third", "what it was\nwhy it was kept")):
        model.train(100)
        model.save()
        vault.snapshot(model.folder / NAME, name=name, notes=notes)
    model.train(4200)
    model.save()
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "place"))


def _model(place: Path) -> dict[str, bytes]:
    return contents(place / "workspace" / "model", NAME)


def _vault(place: Path) -> api.Vault:
    return api.open(place / ".casvault", threads=1)


def _names(place: Path) -> list[str | None]:
    return [head.name for head in _vault(place).snapshots()]


def _press(visit: Visit, name: str) -> None:
    """Press a button of the open dialog."""
    visit.dialog().get_by_role("button", name=name, exact=True).click()


def test_the_first_snapshot_takes_two_clicks(browsing: Browsing, tmp_path: Path) -> None:
    make_model(tmp_path / "workspace" / "model", NAME, 60_000)
    with browsing.visit(tmp_path / ".casvault") as visit:
        visit.page.get_by_role("code").get_by_text(str(tmp_path / ".casvault")).wait_for()
        visit.page.get_by_role("button", name=f"Create the first snapshot of {NAME}").click()
        _press(visit, "Create snapshot")
        visit.page.locator(".card").wait_for()
        visit.page.get_by_text("Iter 5").wait_for()
        visit.page.locator(".live-standing", has_text="Equals").wait_for()
    (head,) = _vault(tmp_path).snapshots()
    assert (head.model_name, head.iteration) == (NAME, 5)


@pytest.mark.slow
def test_without_a_model_the_page_says_where_to_begin(browsing: Browsing, tmp_path: Path) -> None:
    with browsing.visit(tmp_path / ".casvault") as visit:
        visit.page.get_by_role("heading", name="No model was found near by").wait_for()
    assert not (tmp_path / ".casvault").exists()


@pytest.mark.slow
def test_what_the_cards_and_the_live_model_tell(browsing: Browsing, place: Path) -> None:
    with browsing.visit(place / ".casvault") as visit:
        page = visit.page
        assert page.locator(".live-standing").inner_text() == "4,200 iterations not snapshotted since third"
        assert [card.get_attribute("data-title") for card in page.locator(".card").all()] == [
            "third",
            "second",
            "first",
        ]
        card = visit.card("third")
        assert card.locator(".badge-iter").inner_text() == "Iter 305"
        head = _vault(place).find("third")
        assert head.loss is not None
        for name, value in head.loss.items():
            card.get_by_text(f"{name} {value:.4f}").wait_for()
        assert card.locator("time").get_attribute("title").startswith("Saved by the trainer 20")
        usage = {one.head.id: one.unique_bytes for one in _vault(place).usage().snapshots}
        card.locator("[data-frees]", has_text="frees").wait_for()
        assert card.locator("[data-frees]").inner_text() == f" · frees {usage[head.id] / 1000:.0f} kB"
        assert page.evaluate("document.querySelector('.card img').naturalWidth") > 0


@pytest.mark.slow
def test_notes_expand_on_a_click(browsing: Browsing, place: Path) -> None:
    with browsing.visit(place / ".casvault") as visit:
        rest = visit.card("third").get_by_text("why it was kept")
        assert not rest.is_visible()
        visit.card("third").get_by_text("what it was").click()
        rest.wait_for()


def test_a_snapshot_with_hostile_words(browsing: Browsing, place: Path) -> None:
    notes = f"{HOSTILE}\n{LONG}"
    with browsing.visit(place / ".casvault") as visit:
        visit.page.get_by_role("button", name="Create snapshot").click()
        visit.dialog().get_by_label("Name").fill(HOSTILE)
        visit.dialog().get_by_label("Notes").fill(notes)
        _press(visit, "Create snapshot")
        visit.card(HOSTILE).wait_for()
        assert visit.card(HOSTILE).locator(".card-name").inner_text() == HOSTILE
        visit.card(HOSTILE).locator("summary").click()
        assert visit.card(HOSTILE).locator(".notes-rest").inner_text() == LONG.strip()
        assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert visit.page.locator("img[src=x]").count() == 0
    assert _vault(place).find("latest").label.notes == notes.strip()


@pytest.mark.slow
def test_a_name_that_is_refused_leaves_the_form_as_it_was(browsing: Browsing, place: Path) -> None:
    with browsing.visit(place / ".casvault") as visit:
        visit.page.get_by_role("button", name="Create snapshot").click()
        visit.dialog().get_by_label("Name").fill("turned \u202e around")
        visit.dialog().get_by_label("Notes").fill("these stay")
        _press(visit, "Create snapshot")
        visit.dialog().get_by_role("alert").wait_for()
        assert visit.dialog().get_by_label("Notes").input_value() == "these stay"
    assert _names(place) == ["first", "second", "third"]


def test_restore_and_undo(browsing: Browsing, place: Path) -> None:
    before = _model(place)
    with browsing.visit(place / ".casvault") as visit:
        visit.card("first").get_by_role("button", name="Restore first").click()
        dialog = visit.dialog()
        dialog.get_by_text(str(place / "workspace" / "model" / NAME)).wait_for()
        dialog.get_by_text("is backed up first").wait_for()
        _press(visit, "Restore")
        note = visit.note("Restore of 'first'")
        note.get_by_role("button", name="Undo").wait_for()
        assert _vault(place).plan_restore("first").nothing_to_do
        visit.page.locator(".live-standing", has_text="Equals first").wait_for()
        visit.page.locator(".card", has_text="Automatic backup").wait_for()
        note.get_by_role("button", name="Undo").click()
        _press(visit, "Undo restore")
        visit.note("Undo of the last restore").wait_for()
    assert _model(place) == before


@pytest.mark.slow
def test_a_model_that_trains_is_not_restored(browsing: Browsing, place: Path, tmp_path: Path) -> None:
    before = _model(place)
    arguments = train_arguments(place / "workspace" / "model", "--force-model-name", "new")
    with training(tmp_path, *arguments) as trainer, browsing.visit(place / ".casvault") as visit:
        visit.page.locator(".live-state", has_text="Training").wait_for()
        visit.card("first").get_by_role("button", name="Restore first").click()
        visit.dialog().get_by_role("alert").get_by_text(f"process {trainer.pid}").wait_for()
        assert visit.dialog().get_by_role("button", name="Restore", exact=True).count() == 0
        trainer.kill()
        trainer.wait()
        _press(visit, "Look again")
        visit.dialog().get_by_role("button", name="Restore", exact=True).wait_for()
    assert _model(place) == before


def test_delete_and_bring_back(browsing: Browsing, place: Path) -> None:
    with browsing.visit(place / ".casvault") as visit:
        visit.card("second").get_by_role("button", name="Delete second").click()
        plan = _vault(place).plan_delete("second")
        visit.dialog().wait_for()
        assert visit.dialog().locator(".figures dd").inner_text() == f"{(plan.frees_bytes or 0) / 1000:.0f} kB"
        _press(visit, "Delete")
        visit.card("second").wait_for(state="detached")
        assert _names(place) == ["first", "third"]
        visit.note("Deleted second").get_by_role("button", name="Undo").click()
        visit.card("second").wait_for()
        assert _names(place) == ["first", "second", "third"]
        visit.card("first").get_by_role("button", name="Delete first").click()
        _press(visit, "Delete")
        visit.card("first").wait_for(state="detached")
        visit.page.get_by_label("Which snapshots").select_option("deleted")
        visit.card("first").get_by_role("button", name="Undelete").click()
        visit.note("Brought first back").wait_for()
    assert _names(place) == ["first", "second", "third"]


@pytest.mark.slow
def test_several_are_selected_and_deleted_but_pinned_ones_stay(browsing: Browsing, place: Path) -> None:
    with browsing.visit(place / ".casvault") as visit:
        visit.card("first").get_by_role("button", name="Pin first").click()
        visit.card("first").locator(".badge", has_text="Pinned").wait_for()
        visit.card("third").get_by_label("Select third").click()
        visit.card("first").get_by_label("Select first").click(modifiers=["Shift"])
        bar = visit.page.get_by_role("region", name="Selected snapshots")
        bar.get_by_text("3 selected").wait_for()
        bar.get_by_role("button", name="Delete").click()
        visit.dialog().get_by_text("Pinned, so not deleted: first").wait_for()
        visit.dialog().get_by_role("heading", name="Delete 2 snapshots?").wait_for()
        _press(visit, "Delete")
        visit.card("second").wait_for(state="detached")
        visit.card("third").wait_for(state="detached")
    assert _names(place) == ["first"]


def test_everything_by_keyboard(browsing: Browsing, place: Path) -> None:
    with browsing.visit(place / ".casvault") as visit:
        keys, page = visit.page.keyboard, visit.page
        keys.press("/")
        page.keyboard.type("305")
        visit.card("first").wait_for(state="detached")
        assert page.url.endswith("/?q=305")
        keys.press("Escape")
        keys.press("j")
        assert page.evaluate("document.activeElement.dataset.title") == "third"
        keys.press("Enter")
        visit.card("third").get_by_text("why it was kept").wait_for()
        keys.press("e")
        visit.dialog().wait_for()
        keys.press("ControlOrMeta+a")
        page.keyboard.type("renamed")
        keys.press("Enter")
        visit.card("renamed").wait_for()
        page.wait_for_function("document.activeElement.dataset.title === 'renamed'")
        keys.press("r")
        visit.dialog().wait_for()
        keys.press("Escape")
        visit.dialog().wait_for(state="detached")
        assert page.evaluate("document.activeElement.dataset.title") == "renamed"
    assert "renamed" in _names(place)


@pytest.mark.slow
def test_the_page_follows_what_the_command_line_does(browsing: Browsing, place: Path) -> None:
    with browsing.visit(place / ".casvault") as visit:
        visit.card("third").locator("summary").click()
        visit.card("second").get_by_label("Select second").click()
        command = [sys.executable, "-m", "casvault", "--vault", str(place / ".casvault")]
        model = str(place / "workspace" / "model" / NAME)
        subprocess.run([*command, "snapshot", model, "--name", "from outside", "-q"], check=True)
        visit.card("from outside").wait_for()
        visit.page.locator(".live-standing", has_text="Equals from outside").wait_for()
        visit.card("third").get_by_text("why it was kept").wait_for()
        assert visit.card("second").get_by_label("Select second").is_checked()
        saved = SampleModel(place / "workspace" / "model", NAME, 60_000)
        saved.train(9_000)
        saved.save()
        visit.page.locator(".live-standing", has_text="4,495 iterations not snapshotted").wait_for()


@pytest.mark.slow
def test_automatic_snapshots_are_a_switch(browsing: Browsing, place: Path) -> None:
    with browsing.visit(place / ".casvault") as visit:
        switch = visit.page.get_by_role("switch", name="Automatic snapshots")
        switch.click()
        visit.page.locator(".card", has_text="Automatic").wait_for()
        assert switch.is_checked()
        switch.click()
        visit.note("No automatic snapshots").wait_for()
    assert [head.kind for head in _vault(place).snapshots()][-1] == "scheduled"


@pytest.mark.slow
def test_a_full_disk_is_told_and_harms_nothing(browsing: Browsing, made: Path, tmp_path: Path) -> None:
    if why_no_mounts():
        pytest.skip(why_no_mounts())
    with tmpfs(tmp_path / "disk", 8 << 20) as disk:
        place = Path(shutil.copytree(made, disk / "place"))
        fill(disk, 4096)
        with browsing.visit(place / ".casvault") as visit:
            visit.page.get_by_role("button", name="Create snapshot").click()
            _press(visit, "Create snapshot")
            visit.dialog().get_by_role("alert").wait_for()
            assert "the disk is full" in visit.dialog().get_by_role("alert").inner_text()
        assert _names(place) == ["first", "second", "third"]


@pytest.mark.slow
def test_a_vault_that_is_locked_is_told(browsing: Browsing, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.files.locks.SHARED_WAIT", 0.2)
    holder = Holder(place / ".casvault", "alone", "gc").inside()
    try:
        with browsing.visit(place / ".casvault") as visit:
            visit.card("first").get_by_role("button", name="Pin first").click()
            visit.page.locator("#notes .toast-bad", has_text="gc").wait_for()
            visit.card("first").wait_for()
    finally:
        holder.leave()
    assert not _vault(place).find("first").label.pinned


@pytest.mark.slow
def test_a_snapshot_of_the_next_save_waits_where_it_can_be_seen_and_cancelled(browsing: Browsing, place: Path) -> None:
    with browsing.visit(place / ".casvault") as visit:
        for end in ("cancel", "save"):
            visit.page.get_by_role("button", name="Create snapshot").click()
            visit.dialog().get_by_label("Name").fill("the next one")
            visit.dialog().get_by_text("At the next save").click()
            _press(visit, "Create snapshot")
            visit.dialog().get_by_text("waiting for the next save").wait_for()
            # Its way out, not that in the corner of the dialog.
            visit.dialog().get_by_role("button", name="Close").last.click()
            waiting = visit.note("waiting for the next save")
            waiting.wait_for()
            if end == "cancel":
                waiting.get_by_role("button", name="Cancel").click()
                visit.note("stopped as asked").wait_for()
            else:
                saved = SampleModel(place / "workspace" / "model", NAME, 60_000)
                saved.train(6_000)
                saved.save()
                visit.card("the next one").wait_for()
            waiting.wait_for(state="detached")
    assert _names(place) == ["first", "second", "third", "the next one"]
    assert _vault(place).find("the next one").iteration == 6_000


def test_ages_are_those_of_the_server(browsing: Browsing, place: Path) -> None:
    seconds = [-5, 0, 59, 60, 119, 3_599, 3_600, 7_200, 86_399, 86_400, 2_629_799, 2_629_800, 31_557_600, 10**9]
    with browsing.visit(place / ".casvault") as visit:
        told = visit.page.evaluate(
            "async (all) => { const { age } = await import('/static/times.js'); return all.map(age); }", seconds
        )
    now = datetime(2026, 11, 24, tzinfo=timezone.utc)
    assert told == [age(now - timedelta(seconds=one), now) for one in seconds]


@pytest.mark.slow
def test_a_thousand_snapshots(browsing: Browsing, tmp_path: Path) -> None:
    vault = api.init(tmp_path / ".casvault")
    for number in range(1000):
        id = stamp(number * 60)
        label = Label(id, name=f"save {number}", notes=f"seen at {number}\nmore")
        vault.commit(make_manifest(id, iteration=500 * number), label)
    with browsing.visit(tmp_path / ".casvault") as visit:
        cards = visit.page.locator(".card")
        assert cards.count() == 50
        visit.page.mouse.wheel(0, 100_000)
        cards.nth(50).wait_for(state="attached")
        visit.card("save 940").locator("summary").click()
        visit.card("save 940").get_by_label("Select save 940").check()
        before = cards.count()
        vault.edit("save 999", name="renamed meanwhile")
        visit.card("renamed meanwhile").wait_for()
        assert cards.count() >= before
        assert visit.card("save 940").locator(".notes").evaluate("(node) => node.open")
        assert visit.card("save 940").get_by_label("Select save 940").is_checked()
        visit.page.get_by_label("Search snapshots").fill("save 123")
        visit.card("save 940").wait_for(state="detached")
        assert [card.get_attribute("data-title") for card in cards.all()] == ["save 247", "save 246", "save 123"]
        visit.page.goto(visit.page.url.partition("?")[0] + f"?find={stamp(0)}")
        visit.page.locator(".card:focus[data-title='save 0']").wait_for()


@pytest.mark.parametrize("dark", [pytest.param(False, marks=pytest.mark.slow), True], ids=["light", "dark"])
def test_nothing_serious_for_axe(browsing: Browsing, place: Path, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    _vault(place).edit("second", tag=["keep"], pinned=True)
    with browsing.visit(place / ".casvault", dark=dark) as visit:
        visit.card("third").locator("summary").click()
        _check(axe, visit)
        for button in ("Restore first", "Edit first", "Delete first"):
            visit.card("first").get_by_role("button", name=button).click()
            visit.dialog().wait_for()
            _check(axe, visit)
            visit.page.keyboard.press("Escape")
            visit.dialog().wait_for(state="detached")
        visit.page.get_by_role("button", name="Create snapshot").click()
        visit.dialog().wait_for()
        _check(axe, visit)


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_serious_for_axe_at_first(browsing: Browsing, tmp_path: Path, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    make_model(tmp_path / "workspace" / "model", NAME, 60_000)
    with browsing.visit(tmp_path / ".casvault", dark=dark) as visit:
        visit.page.get_by_role("button", name=f"Create the first snapshot of {NAME}").wait_for()
        _check(axe, visit)


def _check(axe: Any, visit: Visit) -> None:
    found = axe.run(visit.page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert serious == [], [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious]
