"""Charts, comparisons, storage, activity and sync as users see them: the real server and a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from casvault import api
from tests.support.browser import Browsing, Visit
from tests.support.pictures import add_faces
from tests.support.trainer import make_model

NAME = "new_SAEHD"
HOSTILE = '<script>alert(1)</script> "quoted" & <img src=x onerror=alert(2)>'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model with three snapshots, one of them deleted, and a later save that is not in any."""
    place = tmp_path_factory.mktemp("made")
    model = add_faces(make_model(place / "workspace" / "model", NAME, 60_000))
    vault = api.init(place / ".casvault")
    for name in ("first", "deleted", HOSTILE, "last"):
        model.options["lr_dropout"] = "y" if name == "last" else "n"
        model.train(200)
        model.save()
        vault.snapshot(model.folder / NAME, name=name)
    vault.delete("deleted")
    model.train(100)
    model.save()
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "place"))


def vault_of(place: Path) -> api.Vault:
    return api.open(place / ".casvault", threads=1)


def go(visit: Visit, path: str) -> Any:
    page = visit.page
    page.goto("/".join(page.url.split("/")[:3]) + path)
    return page


def press(visit: Visit, name: str) -> None:
    visit.dialog().get_by_role("button", name=name, exact=True).click()


def colours(page: Any, box: str) -> int:
    """Count the colours that a canvas has: a blank one has one."""
    canvas = page.locator(f"{box} canvas")
    canvas.wait_for()
    return int(
        canvas.evaluate(
            """async (canvas) => {
                await new Promise(requestAnimationFrame);
                const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                const seen = new Set();
                for (let at = 0; at < data.length; at += 4) seen.add(data.slice(at, at + 3).join());
                return seen.size;
            }"""
        )
    )


def test_charts_are_drawn_and_a_mark_finds_its_card(browsing: Browsing, place: Path) -> None:
    with browsing.visit(place / ".casvault") as visit:
        page = go(visit, "/charts")
        page.locator(".plot-mark").first.wait_for()
        assert colours(page, "#losses") > 10
        assert colours(page, "#growth") > 10
        assert page.locator(".plot-mark").count() == 3
        page.get_by_text("Iterations 1 to 905").wait_for()
        # What a screen reader is told when the arrow keys walk along the curve, and the table that says the same.
        frame = page.locator("#losses .plot-frame")
        frame.focus()
        page.keyboard.press("End")
        page.locator("#losses [aria-live]", has_text="Iteration 905").wait_for(state="attached")
        page.locator("#losses").locator("..").locator("summary").click()
        page.locator("#losses-table").get_by_role("rowheader", name="905", exact=True).wait_for()
        assert page.locator("#losses-table").get_by_text(HOSTILE).count() == 1
        page.keyboard.press("0")
        frame.focus()
        page.keyboard.press("+")
        page.wait_for_url("**first=**")
        page.get_by_role("button", name="All", exact=True).click()
        page.locator(".plot-mark").nth(2).wait_for()
        mark = page.get_by_role("link", name="Snapshot last, iteration 805")
        mark.click()
        page.locator(".card.is-found[data-title=last]").wait_for()


@pytest.mark.slow
def test_two_saves_are_compared(browsing: Browsing, place: Path) -> None:
    first, _, last = (head.id for head in vault_of(place).snapshots())
    with browsing.visit(place / ".casvault") as visit:
        page = go(visit, f"/compare?a={first}&b={last}")
        page.get_by_role("heading", name="Weights: what moved most").wait_for()
        assert page.locator(".side-picture img").count() == 2
        assert page.locator(".side-picture img").evaluate_all("all => all.every(one => one.naturalWidth > 0)")
        row = page.get_by_role("row", name="lr_dropout")
        assert row.get_by_role("cell").all_inner_texts()[:2] == ["n", "y"]
        assert page.get_by_role("region", name="Weights").get_by_role("row").count() > 5
        assert colours(page, "#between") > 5
        page.get_by_role("button", name="Swap the two").click()
        page.wait_for_url(f"**a={last}&b={first}")
        page.get_by_role("heading", name="Weights: what moved most").wait_for()


def test_space_is_freed_after_a_preview(browsing: Browsing, place: Path) -> None:
    before = vault_of(place).usage().vault
    assert before.reclaimable_bytes
    with browsing.visit(place / ".casvault") as visit:
        page = go(visit, "/storage")
        page.get_by_role("button", name="Free space").click()
        visit.dialog().get_by_text("cannot be brought back afterwards").wait_for()
        visit.dialog().locator("li", has_text="deleted").wait_for()
        assert vault_of(place).usage().vault == before
        press(visit, "Free space")
        visit.note("freed").wait_for()
        page.locator("#figures dd", has_text="0 B").first.wait_for()
        page = go(visit, "/activity")
        page.locator(".entry", has_text="Freeing space").get_by_text(
            f"casvault --vault {place / '.casvault'} gc"
        ).wait_for()
    assert vault_of(place).usage().vault.reclaimable_bytes == 0
    assert vault_of(place).snapshots(deleted=True) == []


@pytest.mark.slow
def test_pruning_says_first_what_goes_and_can_be_undone(browsing: Browsing, place: Path) -> None:
    with browsing.visit(place / ".casvault") as visit:
        page = go(visit, "/storage")
        page.get_by_role("button", name="Prune").click()
        visit.dialog().get_by_text("without any rule all snapshots would go").wait_for()
        assert visit.dialog().get_by_role("button", name="Prune", exact=True).is_disabled()
        visit.dialog().get_by_label("The newest").fill("1")
        visit.dialog().get_by_text("None of 3 snapshots goes").wait_for()
        visit.dialog().get_by_label("Choose among those that people took").check()
        visit.dialog().locator("[data-goes='2']").wait_for()
        assert visit.dialog().get_by_text(HOSTILE).count() == 1
        assert len(vault_of(place).snapshots()) == 3
        press(visit, "Prune")
        visit.note("Deleted 2 snapshots").wait_for()
        assert [head.name for head in vault_of(place).snapshots()] == ["last"]
        visit.note("Deleted 2 snapshots").get_by_role("button", name="Undo").click()
        visit.note("Brought 2 snapshots back").wait_for()
    assert len(vault_of(place).snapshots()) == 3


@pytest.mark.slow
def test_selected_snapshots_are_thinned_and_made_whole_again(browsing: Browsing, place: Path) -> None:
    with browsing.visit(place / ".casvault") as visit:
        page = go(visit, "/storage")
        page.get_by_role("checkbox", name="Select first").check()
        page.locator("#together", has_text="1 snapshot").get_by_text("together").wait_for()
        page.get_by_role("checkbox", name="Select last").check()
        page.locator("#together", has_text="2 snapshots").get_by_role("button", name="Thin").click()
        press(visit, "Thin")
        visit.note("Thinned 2 snapshots").wait_for()
        assert [bool(head.label.thinned) for head in vault_of(place).snapshots()] == [True, False, True]
        page.locator("#rows .badge", has_text="Thinned").nth(1).wait_for()
        visit.note("Thinned 2 snapshots").get_by_role("button", name="Undo").click()
        visit.note("2 snapshots whole again").wait_for()
    assert not any(head.label.thinned for head in vault_of(place).snapshots())


@pytest.mark.slow
def test_verifying_finds_damage_and_says_when_it_looked(browsing: Browsing, place: Path) -> None:
    victim = max((place / ".casvault" / "objects").rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(data)
    with browsing.visit(place / ".casvault") as visit:
        page = go(visit, "/storage")
        page.locator("#figures", has_text="Never").get_by_role("button", name="Verify").click()
        visit.dialog().get_by_text("Read everything").wait_for()
        press(visit, "Verify")
        visit.note("damaged").wait_for()
        page.get_by_role("alert").get_by_text("casvault repair").wait_for()
        page.locator(".check-panel", has_text="Within the last hour").wait_for()


@pytest.mark.slow
def test_snapshots_are_pushed_to_a_remote_and_pulled_from_it(browsing: Browsing, place: Path, tmp_path: Path) -> None:
    other = api.init(tmp_path / "usb" / ".casvault")
    with browsing.visit(place / ".casvault") as visit:
        page = go(visit, "/sync")
        page.get_by_text("No remotes yet").wait_for()
        page.locator(".page-head").get_by_role("button", name="Add remote").click()
        visit.dialog().get_by_label("Name").fill("usb")
        visit.dialog().get_by_label("Address").fill("ssh://-oProxyCommand=touch")
        press(visit, "Add remote")
        visit.dialog().locator("[data-trouble] [role=alert]").wait_for()
        visit.dialog().get_by_label("Address").fill(str(other.path))
        press(visit, "Add remote")
        remote = page.get_by_role("region", name="Remote usb")
        remote.get_by_text("Only here: 3").wait_for()
        remote.get_by_role("button", name="Push").click()
        visit.dialog().get_by_text("snapshots to send").wait_for()
        press(visit, "Push")
        visit.note("3 snapshots sent").wait_for()
        remote.get_by_text("Both vaults have the same snapshots").wait_for()
        assert [head.name for head in other.snapshots()] == ["first", HOSTILE, "last"]
        remote.get_by_role("button", name="Forget usb").click()
        press(visit, "Forget")
        page.get_by_text("No remotes yet").wait_for()
    assert vault_of(place).remotes() == []


@pytest.mark.slow
def test_empty_pages_say_what_to_do(browsing: Browsing, tmp_path: Path) -> None:
    with browsing.visit(tmp_path / ".casvault") as visit:
        for path, text in (
            ("/charts", "Nothing to draw yet"),
            ("/compare", "Two saves are needed"),
            ("/storage", "There is no vault yet"),
            ("/activity", "Nothing was done yet"),
            ("/sync", "There is no vault yet"),
        ):
            page = go(visit, path)
            page.get_by_role("heading", name=text).wait_for()


@pytest.mark.slow
def test_a_model_without_losses_says_why(browsing: Browsing, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes(5000))
    vault = api.init(tmp_path / ".casvault")
    vault.snapshot(folder, model_name="voice")
    with browsing.visit(tmp_path / ".casvault", folder) as visit:
        page = go(visit, "/charts")
        page.locator("#losses", has_text="not known").wait_for()
        vault.snapshot(folder, model_name="voice", iteration=7, loss={"train": 0.5}, read_all=True)
        page = go(visit, "/charts")
        page.get_by_role("link", name="iteration 7, train 0.5000").wait_for(state="attached")


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("path", ["/charts", "/compare", "/storage", "/activity", "/sync"])
def test_pages_are_accessible(browsing: Browsing, place: Path, path: str, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    vault_of(place).add_remote("usb", str(place / "nowhere"))
    with browsing.visit(place / ".casvault", dark=dark) as visit:
        page = go(visit, path)
        page.wait_for_load_state("networkidle") if path != "/sync" else page.get_by_role("alert").wait_for()
        check(axe, page)


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("path", "buttons"),
    [("/storage", ["Free space", "Prune", "Thin old ones", "Verify"]), ("/sync", ["Add remote", "Forget usb"])],
)
def test_dialogs_are_accessible(browsing: Browsing, place: Path, path: str, buttons: list[str], dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    vault_of(place).add_remote("usb", str(place / "nowhere"))
    with browsing.visit(place / ".casvault", dark=dark) as visit:
        page = go(visit, path)
        for button in buttons:
            page.get_by_role("button", name=button).first.click()
            visit.dialog().wait_for()
            check(axe, page)
            page.keyboard.press("Escape")
            visit.dialog().wait_for(state="detached")


def check(axe: Any, page: Any) -> None:
    serious = [
        (one["id"], [node["html"][:200] for node in one["nodes"]])
        for one in axe.run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
