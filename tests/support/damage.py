"""Damage to a vault: objects with wrong bits, objects that are gone, and which of them others lean on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from casvault import api
from casvault.vault.vault import Vault

__all__ = ["flip", "lean_on", "object_files", "of_file", "path_of", "quarantined"]


def object_files(vault: Vault) -> list[Path]:
    """Return every file below objects/, in order."""
    assert vault.path is not None
    return sorted(path for path in (vault.path / "objects").rglob("*") if path.is_file())


def path_of(vault: Vault, digest: str) -> Path:
    """Return the one file that holds a chunk."""
    (path,) = [path for path in object_files(vault) if path.name[:64] == digest]
    return path


def of_file(vault: api.Vault, snapshot: str, path: str) -> list[str]:
    """Return the chunks of a file of a snapshot."""
    (file,) = [file for file in vault.show(snapshot).files if file.path == path]
    return [chunk.digest for chunk in file.chunks]


def lean_on(vault: Vault) -> list[str]:
    """Return the chunks that others lean on, those first on which most do."""
    return [base for base, _ in Counter(path.name[65:] for path in object_files(vault)).most_common() if base]


def flip(path: Path, position: int = -1) -> None:
    """Make one bit of a file wrong, the last one unless told."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def quarantined(vault: Vault) -> list[str]:
    """Return the names of what lies in quarantine."""
    assert vault.path is not None
    return sorted(path.name for path in (vault.path / "quarantine").glob("*"))
