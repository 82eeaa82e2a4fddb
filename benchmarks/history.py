"""A vault with a long history, made quickly: manifests as real ones are, with tiny objects.

The snapshots are of the model that will be snapshotted next, so that everything a command looks up in them is there.
Every chunk has an object of its own, as it is where every byte changes from save to save. Nothing is flushed: nobody
minds when a benchmark's vault is lost.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from casvault.backends import LocalBackend
from casvault.codecs import CODEC_IDS, Layout
from casvault.digest import digest_of
from casvault.formats import Region
from casvault.manifest.label import Label
from casvault.manifest.manifest import ChunkRef, FileEntry, Manifest
from casvault.manifest.stamp import Stamp, to_iso
from casvault.objects import Frame, ObjectName
from casvault.vault.vault import Vault, open_vault

__all__ = ["History", "write_history"]

_APART = timedelta(minutes=25)
_ROLES = ("encoder.npy", "inter_AB.npy", "inter_B.npy", "decoder.npy", "src_dst_opt.npy", "data.dat")
_PLAIN = 64
"""Bytes of a chunk."""


@dataclass(frozen=True)
class History:
    """How many snapshots of ``model``, and chunks and regions in each."""

    model: str
    snapshots: int
    chunks: int = 200
    regions: int = 300


def write_history(path: Path, history: History) -> None:
    """Make a vault at ``path`` whose newest snapshot is an hour old."""
    Vault.create_at(path)
    vault = Vault(_Unflushed(path), open_vault(path)[1], path)
    objects: dict[str, bytes] = {}
    numbers = itertools.count()
    begin = datetime.now(timezone.utc) - timedelta(hours=1) - _APART * history.snapshots
    parent = None
    for number in range(history.snapshots):
        moment = begin + _APART * number
        files = tuple(_file(history, role, numbers, objects) for role in _ROLES)
        id = Stamp.new(now=moment)
        vault.commit(_manifest(id, moment, history, number, parent, files), Label(id, name=f"save {number}"))
        parent = id
    _store(path, objects)


class _Unflushed(LocalBackend):
    def _write(self, name: str, data: bytes, durable: bool) -> None:
        super()._write(name, data, False)


def _file(history: History, role: str, numbers: itertools.count[int], objects: dict[str, bytes]) -> FileEntry:
    chunks = []
    for _ in range(-(-history.chunks // len(_ROLES))):
        plain = next(numbers).to_bytes(_PLAIN, "big")
        chunks.append(ChunkRef(digest_of(plain), len(plain)))
        pieces = Frame(CODEC_IDS["raw"], Layout(), len(plain), None, plain).pieces()
        objects[ObjectName(digest_of(plain), None, 0).blob] = b"".join(pieces)
    size = sum(chunk.size for chunk in chunks)
    regions = tuple(
        Region(f"upscale{number}/conv1/weight:0", 0, 16, "float32", (1, 1, 2, 2))
        for number in range(history.regions // len(_ROLES))
    )
    return FileEntry(
        path=f"{history.model}_{role}",
        role=role,
        size=size,
        mtime_ns=0,
        mode=0o644,
        digest=digest_of("".join(chunk.digest for chunk in chunks).encode()),
        chunks=tuple(chunks),
        regions=regions,
    )


def _store(path: Path, objects: dict[str, bytes]) -> None:
    # Folder by folder: then the file system need not go back to a folder that it has left.
    folder = path
    for blob in sorted(objects):
        target = path / blob
        if target.parent != folder:
            folder = target.parent
            folder.mkdir(exist_ok=True)
        target.write_bytes(objects[blob])


def _manifest(
    id: str, moment: datetime, history: History, number: int, parent: str | None, files: tuple[FileEntry, ...]
) -> Manifest:
    loss = {"src": 0.2 + 1 / (number + 1), "dst": 0.19 + 1 / (number + 1)}
    return Manifest(
        id=id,
        created=to_iso(moment),
        saved_at=to_iso(moment),
        kind="manual",
        model_kind="deepfacelab",
        model_name=history.model,
        model_type="SAEHD",
        source="workspace/model",
        iteration=500 * number,
        run=0,
        loss=loss,
        loss_last=loss,
        options={"resolution": 128, "archi": "liae-ud", "batch_size": 8},
        meta=None,
        parent=parent,
        restored_from=None,
        incomplete=False,
        health=None,
        files=files,
    )
