"""Labels: plain text only, and each is read as it was written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.digest import digest_of
from casvault.errors import BadManifest, UsageError
from casvault.manifest.document import write_document
from casvault.manifest.label import Label, check_name, check_notes, check_tag, label_parts
from tests.support.vaults import ID, stamp

NAME = f"{ID}.{stamp(5)}"
HARMLESS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs"]), max_size=30)


@given(
    st.builds(
        Label,
        st.just(ID),
        st.none() | HARMLESS,
        st.none() | HARMLESS.map(lambda text: text + "\n\tmore"),
        st.booleans(),
        st.lists(HARMLESS, max_size=3).map(tuple),
        st.lists(HARMLESS, max_size=3).map(tuple),
        st.booleans(),
    )
)
def test_round_trip(label: Label) -> None:
    assert Label.parse(label.to_bytes(), NAME) == label


def test_byte_for_byte() -> None:
    label = Label(ID, "before GAN", "batch 8", True, ("good",), ("new_SAEHD_src_dst_opt.npy",), False)
    body = (
        f'{{"format":1,"snapshot":"{ID}","name":"before GAN","notes":"batch 8","pinned":true,"tags":["good"],'
        '"thinned":["new_SAEHD_src_dst_opt.npy"],"deleted":false'
    ).encode()
    assert label.to_bytes() == body + b',"checksum":"' + digest_of(body).encode() + b'"}\n'


def test_every_changed_byte_and_every_truncation_is_seen() -> None:
    data = Label(ID, "name", deleted=True).to_bytes()
    changed = [data[:end] for end in range(len(data))]
    changed += [
        data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]
        for place in range(len(data))
        for flip in (0x01, 0x80, 0xFF)
    ]
    for one in changed:
        with pytest.raises(BadManifest):
            Label.parse(one, NAME)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"snapshot": stamp(6)},
        {"snapshot": "../x"},
        {"snapshot": None},
        {"name": 5},
        {"notes": []},
        {"pinned": 1},
        {"pinned": None},
        {"deleted": "true"},
        {"tags": "x"},
        {"thinned": {}},
        {"thinned": None},
    ],
)
def test_hostile_members(change: dict[str, Any]) -> None:
    with pytest.raises(BadManifest):
        Label.parse(write_document({**Label(ID).to_json(), **change}), NAME)


def test_a_label_under_another_name() -> None:
    with pytest.raises(BadManifest):
        Label.parse(Label(ID).to_bytes(), f"{stamp(6)}.{stamp(5)}")


def test_parts_of_a_name() -> None:
    assert label_parts(NAME) == (ID, stamp(5))


def test_what_another_writer_put_into_a_label_is_made_harmless() -> None:
    label = Label(ID, "a\x1b[2Jb\u202ec", "line\n\tline\x9b\x07")
    assert json.loads(label.to_bytes())["name"] == "a\x1b[2Jb\u202ec"
    read = Label.parse(label.to_bytes(), NAME)
    assert read.name == "a?[2Jb?c"
    assert read.notes == "line\n\tline??"


@pytest.mark.parametrize("text", ["before GAN", "模型 😀", "<script>", "a" * 200, "-v", "../x", "naïve"])
def test_names(text: str) -> None:
    assert check_name(text) == text
    assert check_name(f"  {text} ") == text


@pytest.mark.parametrize("text", [None, "", "   ", "\n"])
def test_no_name(text: str | None) -> None:
    assert check_name(text) is None
    assert check_notes(text) is None


CONTROL = ["\x00", "\x07", "\x1b[31m", "\x7f", "\x9b2J", "\u202e", "\u2066", "\u200f", "\ud800", "\x0b", "\x0c"]


@pytest.mark.parametrize("text", [*CONTROL, "\n", "\t", "\r"])
def test_names_that_would_steer_a_terminal(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(f"a{text}b")
    str(caught.value).encode()
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("text", [*CONTROL, "\r"])
def test_notes_that_would_steer_a_terminal(text: str) -> None:
    with pytest.raises(UsageError):
        check_notes(f"a{text}b")


def test_lengths() -> None:
    assert check_notes("a\r\nb\tc\nd\n") == "a\nb\tc\nd"
    assert check_notes("n" * 100_000) == "n" * 100_000
    for call, text in ((check_name, "a" * 201), (check_notes, "a" * 100_001)):
        with pytest.raises(UsageError) as caught:
            call(text)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["gan", "  batch 8 ", "Ünï", "x" * 50])
def test_tags(text: str) -> None:
    assert check_tag(text) == text.strip()


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "a\tb", "\x1b[31m", "x" * 51, "\u202e"])
def test_tags_that_cannot_be_kept(text: str) -> None:
    with pytest.raises(UsageError, match="tag"):
        check_tag(text)


def test_tags_of_another_writer_are_made_harmless() -> None:
    data = Label(ID, tags=("a\x1b[31mb", "fine")).to_bytes()
    assert Label.parse(data, NAME).tags == ("a?[31mb", "fine")
