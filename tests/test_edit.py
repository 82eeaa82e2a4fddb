"""Editing: what was asked for changes, nothing else does, and two at once do not lose each other's change."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault import api
from casvault.edit import Edit
from casvault.errors import CasvaultError, NotFound, UsageError
from casvault.manifest.label import Label
from tests.support.history import History
from tests.support.trainer import contents
from tests.support.vaults import ID

LABEL = Label(ID, "old name", "old notes", False, ("one", "two"), ("a_opt.npy",), False)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Edit(), {}),
        (Edit(name="new"), {"name": "new"}),
        (Edit(name="  new  "), {"name": "new"}),
        (Edit(name=""), {"name": None}),
        (Edit(name="latest"), {"name": "latest"}),
        (Edit(notes="a\nb\tc"), {"notes": "a\nb\tc"}),
        (Edit(notes=" "), {"notes": None}),
        (Edit(pinned=True), {"pinned": True}),
        (Edit(pinned=False), {}),
        (Edit(tag=["three", " three ", "one"]), {"tags": ("one", "two", "three")}),
        (Edit(untag=["one"]), {"tags": ("two",)}),
        (Edit(untag=[" one ", "two"]), {"tags": ()}),
        (Edit(tag=["x"], untag=["x"]), {}),
        (Edit(name="n", pinned=True, tag=["x"]), {"name": "n", "pinned": True, "tags": ("one", "two", "x")}),
    ],
)
def test_what_was_asked_for_changes_and_nothing_else(change: Edit, expected: dict[str, Any]) -> None:
    assert vars(change.apply(LABEL)) == {**vars(LABEL), **expected}


@pytest.mark.parametrize(
    "change",
    [
        Edit(name="a\nb"),
        Edit(name="x" * 201),
        Edit(name="\x1b[31m"),
        Edit(notes="\x1b[31m"),
        Edit(notes="x" * 100_001),
        Edit(tag=[""]),
        Edit(tag=["a\nb"]),
        Edit(tag=["x" * 51]),
        Edit(tag=["\u202e"]),
        Edit(untag=["three"]),
        Edit(untag=["One"]),
    ],
)
def test_what_cannot_be_kept_is_refused(change: Edit) -> None:
    with pytest.raises(UsageError):
        change.apply(LABEL)


texts = st.none() | st.text(max_size=12)


@given(texts, texts, st.none() | st.booleans(), st.lists(st.text(max_size=4), max_size=3))
def test_whatever_is_kept_can_be_read_again_and_twice_is_once(
    name: str | None, notes: str | None, pinned: bool | None, tags: list[str]
) -> None:
    change = Edit(name, notes, pinned, tags)
    try:
        label = change.apply(LABEL)
    except CasvaultError:
        return
    assert change.apply(label) == label
    assert Label.parse(label.to_bytes(), f"{ID}.{ID}") == label


# On a vault


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path, 2)


def test_a_snapshot_is_found_by_its_new_name(history: History) -> None:
    head = history.vault.edit(history.ids[0], name="before GAN", tag=["good"])
    assert (head.name, head.label.tags, head.id) == ("before GAN", ("good",), history.ids[0])
    assert history.vault.find("before GAN") == head
    assert history.vault.path is not None
    assert api.open(history.vault.path).find("before GAN") == head
    assert history.vault.edit("before GAN", notes="batch 8").label.notes == "batch 8"
    assert history.vault.find("before GAN").label.tags == ("good",)


def test_a_refused_edit_changes_nothing(history: History) -> None:
    assert history.vault.path is not None
    before = contents(history.vault.path, "labels")
    with pytest.raises(UsageError):
        history.vault.edit(history.ids[0], pinned=True, untag=["x"])
    with pytest.raises(NotFound):
        history.vault.edit("no such", pinned=True)
    assert history.vault.edit(history.ids[0], pinned=False, name="").label == Label(history.ids[0])
    assert contents(history.vault.path, "labels") == before


def test_a_deleted_snapshot_is_not_edited(history: History) -> None:
    history.vault.edit(history.ids[0], name="gone")
    history.vault.delete("gone")
    with pytest.raises(NotFound):
        history.vault.edit("gone", name="back")
    assert history.vault.undelete("gone").name == "gone"


def test_manifests_never_change(history: History) -> None:
    assert history.vault.path is not None
    before = contents(history.vault.path, "snapshots"), contents(history.vault.path, "objects")
    history.vault.edit(history.ids[0], name="x", notes="y", pinned=True, tag=["z"])
    assert (contents(history.vault.path, "snapshots"), contents(history.vault.path, "objects")) == before


def test_two_edits_at_once_keep_both_changes(history: History) -> None:
    assert history.vault.path is not None
    vaults = [api.open(history.vault.path) for _ in range(6)]

    def work(number: int) -> None:
        for turn in range(4):
            vaults[number].edit(history.ids[0], tag=[f"{number}-{turn}"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tags = history.vault.find(history.ids[0]).label.tags
    assert sorted(tags) == sorted(f"{number}-{turn}" for number in range(6) for turn in range(4))


def test_the_newest_label_wins_over_one_that_is_damaged(history: History) -> None:
    assert history.vault.path is not None
    history.vault.edit(history.ids[0], name="first", pinned=True)
    history.vault.edit(history.ids[0], name="second")
    newest = max((history.vault.path / "labels").iterdir())
    newest.write_bytes(b"{}")
    vault = api.open(history.vault.path)
    assert vault.edit(history.ids[0], notes="n").label == Label(history.ids[0], "first", "n", True)
    assert vault.find("first").label.notes == "n"
