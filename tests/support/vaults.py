"""Vaults, manifests and heads for tests, made without taking a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from casvault.backends.backend import Backend
from casvault.backends.local import LocalBackend
from casvault.backends.memory import MemoryBackend
from casvault.codecs.choose import encode
from casvault.codecs.codec import Layout
from casvault.digest import digest_of
from casvault.formats.region import Region
from casvault.manifest.label import Label
from casvault.manifest.manifest import ChunkRef, FileEntry, Manifest
from casvault.objects.frame import Frame
from casvault.objects.store import ObjectName
from casvault.vault.config import VaultConfig
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["ID", "make_entry", "make_head", "make_manifest", "make_vault", "memory_vault", "sealed", "stamp", "store"]

ID = "20261124T031500.123Z-1f3c9a"


def stamp(number: int) -> str:
    """Return a stamp; those of larger numbers are later."""
    hours, rest = divmod(number, 3600)
    minutes, seconds = divmod(rest, 60)
    days, hours = divmod(hours, 24)
    return f"202611{days + 1:02}T{hours:02}{minutes:02}{seconds:02}.000Z-{number:06x}"


def make_vault(tmp_path: Path) -> Vault:
    """Make a vault at ``tmp_path/.casvault`` and open it."""
    path = tmp_path / ".casvault"
    Vault.create_at(path)
    backend = LocalBackend(path)
    return Vault(backend, VaultConfig.parse(backend.read("vault.json"), str(path)), path, threads=2)


def memory_vault() -> Vault:
    """Make a vault in memory."""
    return Vault(MemoryBackend(), VaultConfig(), threads=1)


def make_entry(path: str, data: bytes, regions: tuple[Region, ...] = (), chunk: int = 1 << 20) -> FileEntry:
    """Return the entry of a file with these bytes, cut every ``chunk`` bytes."""
    pieces = [data[start : start + chunk] for start in range(0, len(data), chunk)]
    return FileEntry(
        path=path,
        role=path.rpartition("_")[2],
        size=len(data),
        mtime_ns=1_764_000_000_123_456_789,
        mode=0o644,
        digest=digest_of(data),
        chunks=tuple(ChunkRef(digest_of(piece), len(piece)) for piece in pieces),
        regions=regions,
    )


def make_manifest(id: str = ID, files: Mapping[str, bytes] | None = None, **changes: Any) -> Manifest:
    """Return the manifest of a small whole model; ``changes`` replace members."""
    contents = {"new_SAEHD_data.dat": b"data", "new_SAEHD_encoder.npy": b"weights"} if files is None else files
    made = Manifest(
        id=id,
        created="2026-11-24T03:15:00.123Z",
        saved_at="2026-11-24T03:12:00.000Z",
        kind="manual",
        model_kind="deepfacelab",
        model_name="new_SAEHD",
        model_type="SAEHD",
        source="workspace/model",
        iteration=48_200,
        run=1,
        loss={"src": 0.21, "dst": 0.19},
        loss_last={"src": 0.2, "dst": 0.18},
        options={"batch_size": 8, "archi": "liae-ud"},
        meta=None,
        parent=None,
        restored_from=None,
        incomplete=False,
        health=None,
        files=tuple(make_entry(path, data) for path, data in contents.items()),
    )
    return replace(made, **changes)


def make_head(id: str = ID, name: str | None = None, deleted: bool = False, **changes: Any) -> Head:
    """Return the head of `make_manifest`."""
    manifest = make_manifest(id, **changes)
    label = Label(id, name=name, deleted=deleted)
    return Head(manifest.head(), label, manifest.logical_size, len(manifest.files), manifest.contents)


def sealed(body: bytes) -> bytes:
    """Write by hand the document of a JSON object: its bytes but the brace, and their checksum."""
    assert body.endswith(b"}")
    return body[:-1] + b',"checksum":"' + digest_of(body[:-1]).encode() + b'"}\n'


def store(backend: Backend, plain: bytes, layout: Layout | None = None) -> ObjectName:
    """Put a chunk into a vault as an object of its own."""
    shape = layout or Layout()
    codec, payload = encode(plain, shape)
    pieces = Frame(codec, shape, len(plain), None, payload).pieces()
    name = ObjectName(digest_of(plain), None, sum(len(piece) for piece in pieces))
    backend.write(name.blob, b"".join(pieces))
    return name
