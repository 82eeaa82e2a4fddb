"""Figures from elsewhere: what comes over the wire is what was counted there, or it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from casvault.errors import DamageError, MissingObject, RemoteError
from casvault.sync.accounts import usage_from
from tests.support.ends import KINDS, end
from tests.support.lines import Line


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    made = Line(tmp_path_factory.mktemp("line"), threads=1)
    made.grow(3)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_counted_there(line: Line, kind: str) -> None:
    ids = sorted(line.saves)[:2]
    with end(line.vault, kind) as there:
        assert there.usage(ids, line.vault.snapshots()) == line.vault.usage(*ids)
        assert there.usage([], line.vault.snapshots()[:2]).vault == line.vault.usage().vault


@pytest.mark.parametrize("kind", KINDS)
def test_one_chunk(line: Line, kind: str) -> None:
    manifest = line.vault.manifest(max(line.saves))
    with end(line.vault, kind) as there:
        for file in manifest.files:
            plain = b"".join(there.chunk(chunk.digest, chunk.size) for chunk in file.chunks)
            assert plain == line.saves[manifest.id][file.path]
        with pytest.raises(MissingObject):
            there.chunk("0" * 64, 5)
        with pytest.raises(DamageError):
            there.chunk(manifest.files[0].chunks[0].digest, 5)


def _set(*path: str, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[int(key)] if key.isdigit() else document[key]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("vault", value=None),
        _set("vault", "objects", value=-1),
        _set("vault", "objects", value=1.5),
        _set("vault", "stored_bytes", value=1 << 70),
        _set("models", value={}),
        _set("models", "0", "name", value="x" * 2000),
        _set("snapshots", "0", "unique_bytes", value="many"),
        _set("snapshots", "0", "id", value=None),
        _set("growth", "0", "created", value="yesterday"),
        _set("chosen", value=[]),
    ],
)
def test_what_cannot_be_true_is_refused(line: Line, change: Callable[[Any], None]) -> None:
    document = line.vault.usage().to_json()
    heads = {head.id: head for head in line.vault.snapshots()}
    assert usage_from(json.dumps(document).encode(), heads).snapshots
    change(document)
    with pytest.raises(RemoteError, match="not to be trusted"):
        usage_from(json.dumps(document).encode(), heads)


@pytest.mark.parametrize("data", [b"", b"[]", b"[" * 100_000, b"\xff"])
def test_what_is_no_document_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(RemoteError):
        usage_from(data, {})
