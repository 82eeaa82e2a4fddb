"""Documents: checked over their bytes, and refused where a reader of JSON might see something else than another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.digest import digest_of
from casvault.errors import BadManifest, CasvaultError
from casvault.manifest.document import read_document, write_document
from casvault.manifest.manifest import Manifest
from tests.support.vaults import ID, make_manifest, sealed

texts = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts
)

HOSTILE_JSON: dict[str, bytes] = {
    "a key twice": b'{"format":1,"format":1}',
    "a key twice below": b'{"format":1,"model":{"name":"a","name":"b"}}',
    "a second checksum": b'{"format":1,"checksum":"x"}',
    "NaN": b'{"format":1,"loss":{"src":NaN}}',
    "Infinity": b'{"format":1,"loss":{"src":-Infinity}}',
    "a number too large": b'{"format":1,"health":{"deep":{"src":1e999}}}',
    "half a character": b'{"format":1,"a":"\\ud800"}',
    "half a character after a backslash": b'{"format":1,"a":"\\\\\\ud800"}',
    "not UTF-8": b'{"format":1,"a":"\xff"}',
    "a deep list": b'{"format":1,"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "an open list": b'{"format":1,"a":' + b"[" * 100_000 + b"}",
    "digits without end": b'{"format":1,"run":' + b"9" * 100_000 + b"}",
    "a comment": b'{"format":1 /* */}',
    "a list": b'[1,{"a":1}',
    "two objects": b'{"a":1}{"b":2}',
    "nothing": b"}",
    "zeros": bytes(300) + b"}",
}


@pytest.mark.parametrize("what", HOSTILE_JSON)
def test_hostile_documents_with_a_right_checksum(what: str) -> None:
    data = sealed(HOSTILE_JSON[what])
    with pytest.raises(BadManifest) as caught:
        Manifest.parse(data, ID)
    if what != "digits without end":
        # Not for a member that is missing or wrong: the document itself is refused.
        with pytest.raises(BadManifest, match="x is"):
            read_document(data, "x")
    assert len(str(caught.value)) < 400


def test_backslashes_and_emoji_are_text() -> None:
    for text in ("C:\\udata", "C:\\\\udcff", "\U0001f600", "\ufffd", "line\nline", '"quoted"'):
        manifest = make_manifest(options={"path": text})
        assert Manifest.parse(manifest.to_bytes(), ID).options == {"path": text}


def test_what_cannot_be_written() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            make_manifest(loss={"src": value}).to_bytes()


@given(st.binary(max_size=100))
def test_garbage(data: bytes) -> None:
    for text in (data, b"{" + data + b"}", sealed(data + b"}"), sealed(b'{"format":1,' + data + b"}")):
        with pytest.raises(CasvaultError):
            Manifest.parse(text, ID)


@given(
    st.dictionaries(
        texts.filter(lambda key: key != "checksum"),
        st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=5),
        min_size=1,
        max_size=5,
    )
)
def test_any_document(values: dict[str, Any]) -> None:
    data = write_document(values)
    read = dict(read_document(data, "x").values)
    assert read.pop("checksum") == digest_of(data[: data.rindex(b',"checksum":"')])
    assert read == values
