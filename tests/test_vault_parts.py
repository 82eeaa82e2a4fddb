"""Parts: what broke off is kept for a while, and counts only where it is just what was said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from casvault import api
from casvault.objects import ObjectName
from casvault.vault import parts
from casvault.vault.parts import Parts

NAME = ObjectName("a" * 64, "b" * 64, 100_000)
DATA = bytes(range(256)) * 200


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


@pytest.fixture
def kept(vault: api.Vault) -> Parts:
    found = Parts(vault.backend)
    found.keep(NAME, DATA)
    return found


def test_kept_and_taken_once(kept: Parts) -> None:
    assert kept.every() == {NAME: len(DATA)}
    assert kept.take(NAME, len(DATA)) == DATA
    assert kept.every() == {}
    assert kept.take(NAME, len(DATA)) is None


def test_only_what_is_just_that(kept: Parts) -> None:
    for name, size in ((NAME, 7), (NAME._replace(size=7), len(DATA)), (NAME._replace(base=None), len(DATA))):
        kept.keep(NAME, DATA)
        assert kept.take(name, size) is None


def test_what_is_not_worth_it_is_not_kept(vault: api.Vault) -> None:
    some = Parts(vault.backend)
    some.keep(NAME, DATA[:100])
    some.keep(NAME._replace(size=len(DATA)), DATA)
    assert some.every() == {}
    for number in range(40):
        some.keep(NAME._replace(digest=f"{number:064x}"), DATA)
    assert len(some.every()) == 16


def test_what_a_power_cut_left_is_dropped(vault: api.Vault, kept: Parts) -> None:
    assert vault.path is not None
    path = next((vault.path / "tmp").glob("part-*"))
    whole = path.read_bytes()
    for broken in (b"", whole[:50], whole[:-1], whole[:-100] + bytes(100)):
        path.write_bytes(broken)
        assert kept.every() == {}
        assert not path.exists()


def test_gc_removes_those_whose_rest_never_came(vault: api.Vault, kept: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vault.path is not None
    vault.gc()
    assert kept.every() == {NAME: len(DATA)}
    monkeypatch.setattr(parts, "time", SimpleNamespace(time=lambda: 1e10))
    vault.gc()
    assert not list((vault.path / "tmp").glob("part-*"))
