"""Holdings: what a snapshot holds, and that in doubt a chunk is held."""

from __future__ import annotations

import pytest

from casvault.digest import digest_of
from casvault.errors import BadManifest
from casvault.manifest.label import Label
from casvault.usage.holdings import HoldingsReader
from casvault.vault.pending import Pending
from casvault.vault.vault import Vault
from tests.support.vaults import make_manifest, memory_vault, sealed, stamp

DATA, WEIGHTS = digest_of(b"data"), digest_of(b"weights")


@pytest.fixture
def vault() -> Vault:
    """A vault in memory with two snapshots of one content, whose objects nobody asks for."""
    vault = memory_vault()
    for number in (1, 2):
        vault.commit(make_manifest(stamp(number)), Label(stamp(number), f"s{number}"))
    return vault


def held(vault: Vault) -> list[set[str]]:
    return [set(holding.chunks) for holding in HoldingsReader(vault).read().snapshots]


def test_a_snapshot_holds_the_chunks_of_its_files(vault: Vault) -> None:
    first, second = HoldingsReader(vault).read().snapshots
    assert (first.id, second.id) == (stamp(1), stamp(2))
    assert first.chunks == {DATA: 4, WEIGHTS: 7}
    assert first.logical_bytes == 11


def test_what_was_thinned_is_not_held(vault: Vault) -> None:
    vault.write_label(Label(stamp(1), thinned=("new_SAEHD_encoder.npy",)))
    first, second = HoldingsReader(vault).read().snapshots
    assert (first.chunks, first.logical_bytes) == ({DATA: 4}, 4)
    assert second.chunks == {DATA: 4, WEIGHTS: 7}


def test_what_was_deleted_holds_nothing(vault: Vault) -> None:
    vault.write_label(Label(stamp(1), deleted=True))
    found = HoldingsReader(vault).read()
    assert [holding.id for holding in found.snapshots] == [stamp(2)]
    assert found.doomed == (stamp(1),)


def test_what_is_on_its_way_is_held(vault: Vault) -> None:
    other = digest_of(b"other")
    Pending.write(vault.backend, stamp(3), (other,))
    found = HoldingsReader(vault).read()
    assert found.pending == {other}
    assert found.held() == {DATA, WEIGHTS, other}


def test_with_only_nothing_else_is_given_up(vault: Vault) -> None:
    vault.write_label(Label(stamp(1), deleted=True))
    vault.write_label(Label(stamp(2), thinned=("new_SAEHD_encoder.npy",)))
    found = HoldingsReader(vault).read(only={stamp(3)})
    assert [set(holding.chunks) for holding in found.snapshots] == [{DATA, WEIGHTS}] * 2
    found = HoldingsReader(vault).read(only={stamp(1)})
    assert found.doomed == (stamp(1),)
    assert [holding.chunks for holding in found.snapshots] == [{DATA: 4, WEIGHTS: 7}]


@pytest.mark.parametrize("change", [{"deleted": True}, {"thinned": ("new_SAEHD_encoder.npy",)}])
def test_a_damaged_newest_label_gives_up_nothing(vault: Vault, change: dict[str, object]) -> None:
    vault.write_label(Label(stamp(1), **change))  # type: ignore[arg-type]
    name = vault.write_label(Label(stamp(1), "still wanted"))
    blob = f"labels/{stamp(1)}.{name}.json"
    vault.backend.write(blob, vault.backend.read(blob)[:-1])
    assert held(vault) == [{DATA, WEIGHTS}] * 2


def test_a_damaged_manifest_is_undecided_until_it_is_deleted(vault: Vault) -> None:
    blob = f"snapshots/{stamp(1)}.json"
    HoldingsReader(vault).read()
    vault.backend.write(blob, vault.backend.read(blob).replace(b"new_SAEHD", b"old_SAEHD"))
    found = HoldingsReader(vault).read()
    assert list(found.undecided) == [stamp(1)]
    assert isinstance(found.undecided[stamp(1)], BadManifest)
    assert [holding.id for holding in found.snapshots] == [stamp(2)]
    vault.write_label(Label(stamp(1), deleted=True))
    found = HoldingsReader(vault).read()
    assert (found.undecided, found.doomed) == ({}, (stamp(1),))


def test_a_damaged_pending_document_is_an_error(vault: Vault) -> None:
    vault.backend.write(f"pending/{stamp(3)}.json", sealed(b'{"format":1}'))
    with pytest.raises(BadManifest):
        HoldingsReader(vault).read()


def test_manifests_are_read_once(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = HoldingsReader(vault)
    before = reader.read()
    monkeypatch.setattr(vault, "manifest", None)
    assert reader.read() == before
