"""vault.json: what is of a newer format is refused, what is no vault is said to be none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from casvault.chunking.parameters import ChunkingParameters
from casvault.errors import NoVault, StorageError, UnsupportedVault
from casvault.vault.config import VaultConfig
from casvault.vault.vault import open_vault

GOOD: dict[str, Any] = {
    "format": 1,
    "required": [],
    "uuid": "0d9ce1b0-6d2a-4a39-8a7e-2b3f6f3c9a11",
    "created": "2026-11-24T03:15:00.123Z",
    "chunking": {
        "max_chunk": 1 << 20,
        "min_region": 1 << 16,
        "cdc_min": 1 << 14,
        "cdc_average": 1 << 16,
        "cdc_max": 1 << 18,
    },
    "max_depth": 3,
}


def anything(*values: Any) -> tuple[Any, ...]:
    return values


def test_what_was_written_is_read() -> None:
    made = VaultConfig()
    assert VaultConfig.parse(made.to_bytes(), "here") == made
    assert VaultConfig().uuid != made.uuid


def test_a_document_written_by_hand() -> None:
    config = VaultConfig.parse(json.dumps({**GOOD, "later": {"x": 1}}).encode(), "here")
    assert config == VaultConfig(
        GOOD["uuid"], GOOD["created"], ChunkingParameters(1 << 20, 1 << 16, 1 << 14, 1 << 16, 1 << 18), 3
    )
    assert json.loads(config.to_bytes()) == GOOD


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff", b"{}", b'{"format":1}', b"[" * 100_000]
)
def test_what_is_no_configuration(data: bytes) -> None:
    with pytest.raises(NoVault, match="here is not a vault") as caught:
        VaultConfig.parse(data, "here")
    assert type(caught.value) is NoVault


@pytest.mark.parametrize(
    "change",
    [{"format": number} for number in anything(0, 2, 99, "1", None, [])]
    + [{"required": required} for required in anything(["encryption"], [5], "encryption", None, {"a": 1})],
)
def test_what_is_newer(change: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedVault, match="newer casvault") as caught:
        VaultConfig.parse(json.dumps({**GOOD, **change}).encode(), "here")
    assert caught.value.exit_code == 10


def test_a_newer_vault_may_have_anything_else() -> None:
    with pytest.raises(UnsupportedVault):
        VaultConfig.parse(b'{"format": 2, "required": ["x"]}', "here")


@pytest.mark.parametrize(
    "change",
    [{"uuid": value} for value in anything(None, 5, "", "x", [])]
    + [{"max_depth": value} for value in anything(None, -1, 65, True, 1.0, "2", 1 << 70)]
    + [{"chunking": value} for value in anything(None, [], "x", 5, {}, {**GOOD["chunking"], "max_chunk": 1 << 40})]
    + [{"chunking": {**GOOD["chunking"], "cdc_min": value}} for value in anything(0, -1, 1.5, None, "x", 1 << 30)],
)
def test_wrong_values(change: dict[str, Any]) -> None:
    with pytest.raises(NoVault, match="wrong value"):
        VaultConfig.parse(json.dumps({**GOOD, **change}).encode(), "here")


@pytest.mark.parametrize("key", sorted(GOOD))
def test_missing_values(key: str) -> None:
    with pytest.raises(NoVault):
        VaultConfig.parse(json.dumps({name: GOOD[name] for name in GOOD if name != key}).encode(), "here")


def test_opening(tmp_path: Path) -> None:
    with pytest.raises(NoVault, match="casvault init"):
        open_vault(tmp_path)
    (tmp_path / "vault.json").write_bytes(json.dumps(GOOD).encode())
    backend, config = open_vault(tmp_path)
    assert config.max_depth == 3
    assert backend.read("vault.json") == json.dumps(GOOD).encode()


def test_a_configuration_that_is_too_large_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "vault.json").write_bytes(b" " * (2 << 20))
    with pytest.raises(NoVault, match="cannot be read"):
        open_vault(tmp_path)
    (tmp_path / "vault.json").unlink()
    (tmp_path / "vault.json").mkdir()
    with pytest.raises((NoVault, StorageError)):
        open_vault(tmp_path)
