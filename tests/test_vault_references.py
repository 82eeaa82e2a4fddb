"""What people type for a snapshot, form by form."""

from __future__ import annotations

import pytest

from casvault.errors import AmbiguousError, CasvaultError, NotFound
from casvault.vault.head import Head
from casvault.vault.references import is_model_name, resolve_snapshot
from tests.support.vaults import make_head

IDS = [
    "20261120T080000.000Z-aaaaaa",
    "20261121T080000.000Z-bbbbbb",
    "20261121T090000.000Z-cccccc",
    "20261122T080000.000Z-123456",
    "20261123T080000.000Z-dddddd",
    "20261124T080000.000Z-eeeeee",
]
ONE_MODEL = [
    make_head(IDS[0], "first", iteration=1000),
    make_head(IDS[1], "before GAN", iteration=50_000),
    make_head(IDS[2], "twice", iteration=60_000),
    make_head(IDS[3], "twice", iteration=70_000, incomplete=True),
    make_head(IDS[4], None, iteration=60_000, kind="auto-backup"),
    make_head(IDS[5], None, iteration=80_000, health={"state": "collapsed"}),
]
"""The newest three are incomplete, an automatic backup and not healthy, so that the third is the latest."""

OTHER = make_head("20261125T080000.000Z-ffffff", "other", iteration=50_000, model_name="old_AMP", model_type="AMP")

FORMS = {
    IDS[0]: 0,
    IDS[4]: 4,
    "20261120": 0,
    "20261120T08": 0,
    "20261121T08": 1,
    "20261121T090000.000Z-c": 2,
    "20261124T080000.000Z-eeeee": 5,
    "aaaaaa": 0,
    "123456": 3,
    "eeeeee": 5,
    "first": 0,
    "before GAN": 1,
    "latest": 2,
    "latest~0": 2,
    "latest~1": 1,
    "latest~2": 0,
    "new_SAEHD@latest": 2,
    "new@latest": 2,
    "new@latest~1": 1,
    "new_SAEHD@50000": 1,
    "new@1000": 0,
    "new@60000": 2,
    "new@70000": 3,
    "new@080000": 5,
}


@pytest.mark.parametrize("text", FORMS)
def test_forms(text: str) -> None:
    assert resolve_snapshot(text, ONE_MODEL).id == IDS[FORMS[text]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "First",
        "2026112",
        "20261125",
        "20261120T09",
        "aaaaab",
        "AAAAAA",
        "latest~3",
        "latest~",
        "latest~x",
        "latest~99999999",
        "Latest",
        "old@latest",
        "new@2",
        "new@",
        "@latest",
        "new@latest~9",
        "new@first",
        "@",
        "new",
        "new@-1",
        "new@1e3",
        "new@²",
        "new@" + "9" * 5000,
        "20269999T000000.000Z-aaaaaa",
        IDS[0] + "x",
        "../x",
        "latest~" + "9" * 5000,
        "SAEHD@latest",
        "%",
        "\x1b[2J",
    ],
)
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(NotFound):
        resolve_snapshot(text, ONE_MODEL)


def test_an_id_that_is_not_there() -> None:
    with pytest.raises(NotFound, match="casvault list"):
        resolve_snapshot("20261130T080000.000Z-aaaaaa", ONE_MODEL)


@pytest.mark.parametrize("text", ["20261121", "20261121T", "twice"])
def test_several_things_are_named(text: str) -> None:
    with pytest.raises(AmbiguousError, match="could be any of 2 snapshots") as caught:
        resolve_snapshot(text, ONE_MODEL)
    assert IDS[2] in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_same_tail_twice() -> None:
    twins = [make_head("20261120T080000.000Z-aaaaaa"), make_head("20261121T080000.000Z-aaaaaa")]
    with pytest.raises(AmbiguousError):
        resolve_snapshot("aaaaaa", twins)


def test_latest_refuses_when_several_models_match() -> None:
    heads = [*ONE_MODEL, OTHER]
    for text in ("latest", "latest~1"):
        with pytest.raises(AmbiguousError, match="new_SAEHD or old_AMP"):
            resolve_snapshot(text, heads)
    assert resolve_snapshot("old@latest", heads) is OTHER
    assert resolve_snapshot("new@latest", heads).id == IDS[2]
    assert resolve_snapshot("old_AMP@50000", heads) is OTHER
    assert resolve_snapshot("new@50000", heads).id == IDS[1]


def test_a_short_model_name_that_two_models_have() -> None:
    heads = [make_head(IDS[0], iteration=5), make_head(IDS[1], iteration=5, model_name="new_AMP")]
    for text in ("new@latest", "new@5"):
        with pytest.raises(AmbiguousError):
            resolve_snapshot(text, heads)
    assert resolve_snapshot("new_AMP@5", heads).id == IDS[1]


def test_the_same_iteration_twice() -> None:
    heads = [
        make_head(IDS[0], iteration=5),
        make_head(IDS[1], iteration=5),
        make_head(IDS[2], iteration=6, kind="auto-backup"),
    ]
    with pytest.raises(AmbiguousError):
        resolve_snapshot("new@5", heads)
    assert resolve_snapshot("new@6", heads).id == IDS[2], "an automatic backup where there is nothing else"


def test_no_snapshots() -> None:
    for text in ("latest", "latest~1", "new@latest", "aaaaaa", IDS[0], "x"):
        with pytest.raises(NotFound):
            resolve_snapshot(text, [])


def test_names_go_before_forms_that_could_be_meant() -> None:
    heads = [make_head(IDS[0], "bbbbbb"), make_head(IDS[1], "20261120"), make_head(IDS[2], "me@home")]
    assert resolve_snapshot("bbbbbb", heads).id == IDS[0]
    assert resolve_snapshot("20261120", heads).id == IDS[1]
    assert resolve_snapshot("me@home", heads).id == IDS[2]
    assert resolve_snapshot(IDS[1], [*heads, make_head(IDS[3], IDS[1])]).id == IDS[1], "an id is an id"


@pytest.mark.parametrize(
    ("text", "model", "same"),
    [
        ("new_SAEHD", "new_SAEHD", True),
        ("new", "new_SAEHD", True),
        ("my_long", "my_long_SAEHD", True),
        ("my", "my_long_SAEHD", False),
        ("XSeg", "XSeg", True),
        ("", "XSeg", False),
        ("SAEHD", "new_SAEHD", False),
        ("New", "new_SAEHD", False),
    ],
)
def test_model_names(text: str, model: str, same: bool) -> None:
    assert is_model_name(text, model) is same


def test_errors_are_one_short_sentence() -> None:
    many = [make_head(f"202611{day:02}T080000.000Z-aaaaaa") for day in range(1, 30)]
    for text, heads in (("aaaaaa", many), ("x" * 100, many)):
        with pytest.raises(CasvaultError) as caught:
            resolve_snapshot(text, heads)
        assert len(str(caught.value)) < 400


def test_heads_tell_what_lists_show() -> None:
    head: Head = ONE_MODEL[0]
    assert (head.title, head.model_name, head.model_type, head.source) == (
        "first",
        "new_SAEHD",
        "SAEHD",
        "workspace/model",
    )
    assert ONE_MODEL[4].title == "dddddd"
    assert (head.iteration, head.loss, head.incomplete, head.healthy) == (1000, {"src": 0.21, "dst": 0.19}, False, True)
    assert not ONE_MODEL[5].healthy
    document = head.to_json()
    assert "files" not in document
    assert (document["id"], document["name"], document["pinned"], document["deleted"]) == (
        IDS[0],
        "first",
        False,
        False,
    )
    assert (document["logical_bytes"], document["file_count"]) == (11, 2)
