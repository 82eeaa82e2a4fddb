"""The page of the storage and its dialogs, as the server answers them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from casvault import api
from casvault.figures import size
from tests.support.panel import Opened, opened
from tests.support.trainer import NAME, make_model

HOSTILE = "<b>bold</b> & 'quoted'"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Opened]:
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    vault = api.init(tmp_path / ".casvault")
    for name in ("one", HOSTILE, "three"):
        vault.snapshot(model.folder / NAME, name=name)
        model.train(10)
        model.save()
    with opened(tmp_path / ".casvault") as made:
        yield made


def text(page: Opened, path: str) -> str:
    answer = page.client.get(path)
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def post(page: Opened, path: str, body: Any, status: int = 200) -> str:
    answer = page.send(path, body)
    assert answer.status_code == status, answer.text
    return str(answer.text)


def ids(page: Opened) -> list[str]:
    return [head.id for head in page.panel.vault.snapshots()]


def test_it_tells_what_each_snapshot_frees(page: Opened) -> None:
    shown = text(page, "/storage")
    for one in page.panel.vault.usage().snapshots:
        row = shown.split(f'data-id="{one.head.id}"')[1].split("</tr>")[0]
        assert f"<strong>{size(one.unique_bytes)}</strong>" in row
    assert "&lt;b&gt;bold" in shown
    assert "<b>bold" not in shown
    assert "Never" in shown


@pytest.mark.parametrize("order", ["newest", "frees", "size", "name", "nonsense"])
def test_rows_come_in_an_order(page: Opened, order: str) -> None:
    shown = re.findall(r'data-id="([^"]+)"', text(page, f"/storage/rows?order={order}"))
    every = page.panel.vault.usage().snapshots
    wanted = {
        "frees": sorted(every, key=lambda one: -one.unique_bytes),
        "name": sorted(every, key=lambda one: (one.head.name or "").casefold()),
    }.get(order)
    assert sorted(shown) == sorted(ids(page))
    if wanted is not None:
        assert shown == [one.head.id for one in wanted]
    if order in ("newest", "nonsense"):
        assert shown == ids(page)[::-1]


def test_several_are_told_together_without_what_is_pinned(page: Opened) -> None:
    first, second, third = ids(page)
    page.panel.vault.edit(third, pinned=True)
    page.panel.desk.forget()
    shown = post(page, "/storage/together", {"ids": [first, second, third, "nothing"]})
    frees = page.panel.vault.plan_delete(first, second).frees_bytes
    assert frees is not None
    assert f"frees {size(frees)} together, 1 pinned left out" in shown


def test_gc_names_what_cannot_be_brought_back(page: Opened) -> None:
    assert "nothing to free" in text(page, "/dialogs/gc")
    page.panel.vault.delete(HOSTILE)
    shown = text(page, "/dialogs/gc")
    assert "&lt;b&gt;bold" in shown
    assert size(page.panel.vault.gc(dry_run=True).freed_bytes) in shown
    post(page, "/dialogs/gc", {})
    for thread in page.panel.jobs.threads():
        thread.join()
    assert page.panel.vault.snapshots(deleted=True) == []
    assert page.panel.activity.entries()[0].command is not None


def test_pruning_does_what_was_shown_or_nothing(page: Opened) -> None:
    rules = {"last": "1", "manual": "true", "best": "", "gigabytes": ""}
    shown = post(page, "/dialogs/prune/plan", rules)
    given = re.findall(r'name="given" value="([^"]*)"', shown)[0]
    assert given.split() == ids(page)[:2]
    post(page, "/dialogs/prune", {**rules, "last": "2", "given": given}, 422)
    assert len(ids(page)) == 3
    post(page, "/dialogs/prune", {**rules, "given": given})
    assert len(ids(page)) == 1
    assert page.panel.activity.entries()[0].command is not None
    assert "--keep-last=1 --include-manual -y" in str(page.panel.activity.entries()[0].command)


@pytest.mark.parametrize(
    "rules",
    [
        {"last": "-1"},
        {"last": "x"},
        {"last": "1" * 30},
        {"gigabytes": "-3"},
        {"gigabytes": "nan"},
        {"gigabytes": "1e300"},
        {"x": "1"},
    ],
)
def test_rules_that_make_no_sense_are_refused(page: Opened, rules: dict[str, str]) -> None:
    answer = page.send("/dialogs/prune/plan", {"last": "1", **rules})
    assert answer.status_code in (200, 422)
    assert answer.status_code == 422 or 'name="given"' not in answer.text
    assert len(ids(page)) == 3


def test_thinning_by_age_and_by_hand(page: Opened) -> None:
    assert "No snapshot is that old" in text(page, "/dialogs/thin")
    shown = text(page, "/dialogs/thin?days=0&keep=1")
    assert re.findall(r'name="ids" value="([^"]*)"', shown) == ids(page)[:2]
    assert page.client.get("/dialogs/thin?days=-1").status_code == 422
    page.panel.vault.edit("one", pinned=True)
    shown = text(page, f"/dialogs/thin?id={ids(page)[0]}&id={ids(page)[1]}")
    assert re.findall(r'name="ids" value="([^"]*)"', shown) == [ids(page)[1]]
    assert "pinned" in shown
    post(page, "/dialogs/thin", {"ids": [ids(page)[1]]})
    assert page.panel.vault.find(HOSTILE).label.thinned
    post(page, "/storage/unthin", {"ids": [ids(page)[1]]})
    assert not page.panel.vault.find(HOSTILE).label.thinned
    post(page, "/dialogs/thin", {"ids": []}, 422)


def test_verifying_is_remembered(page: Opened) -> None:
    assert "Read 20 %" in text(page, "/dialogs/verify")
    post(page, "/dialogs/verify", {"how": "somehow"}, 422)
    post(page, "/dialogs/verify", {"how": "all"})
    for thread in page.panel.jobs.threads():
        thread.join()
    shown = text(page, "/storage/figures")
    assert "Within the last hour" in shown
    assert "No damage was found" in shown


def test_a_comparison_is_not_done_twice(page: Opened) -> None:
    one, other, _ = ids(page)
    answer = post(page, "/compare/differences", {"a": one, "b": other})
    for thread in page.panel.jobs.threads():
        thread.join()
    assert "data-waits" in answer or "what moved most" in answer
    assert "Weights: what moved most" in text(page, f"/compare?a={one}&b={other}")
    post(page, "/compare/differences", {"a": one, "b": other})
    assert len([job for job in page.panel.jobs.all() if job.subject.kind == "diff"]) == 1
    assert "there is no such snapshot" in text(page, f"/compare?a=nothing&b={other}")
    assert page.client.get(f"/compare/differences/{'0' * 12}").status_code == 404


def test_what_is_no_comparison_is_not_shown_as_one(page: Opened) -> None:
    post(page, "/dialogs/verify", {"how": "quick"})
    assert page.client.get(f"/compare/differences/{page.panel.jobs.all()[0].id}").status_code == 404
