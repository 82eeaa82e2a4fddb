"""Lines of snapshots: a small model of numbers that drift, one file that never changes, one that changes wholly."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from casvault import api
from casvault.capture import Patience

__all__ = ["Line", "copy_of", "objects_on_disk"]

_ITEMS = 18_000


class Line:
    """A vault in ``root``, and a generic model called line whose snapshots lean on each other.

    ``saves`` are path -> bytes of the model at each snapshot, by its id.
    """

    def __init__(self, root: Path, seed: int = 1, threads: int | None = None) -> None:
        self.root = root
        self.folder = root / "runs" / "line"
        self.folder.mkdir(parents=True)
        self._random = np.random.default_rng(seed)
        self._weights = [self._random.standard_normal((100, _ITEMS // 100)).astype(np.float32) for _ in range(2)]
        (self.folder / "frozen.bin").write_bytes(self._random.bytes(5_000))
        api.init(root / ".casvault")
        self.vault = api.open(root / ".casvault", threads=threads)
        self.saves: dict[str, dict[str, bytes]] = {}

    def snapshot(self, name: str | None = None) -> str:
        """Let the model drift, take a snapshot, and return its id."""
        for number, old in enumerate(self._weights):
            noise = self._random.standard_normal(old.shape).astype(np.float32) * np.float32(1e-4)
            self._weights[number] = old + noise
            np.save(self.folder / f"layer{number}.npy", self._weights[number])
        (self.folder / "log.bin").write_bytes(self._random.bytes(3_000))
        # The model is at rest: there is nothing to wait for.
        id = self.vault.snapshot(self.folder, name=name, patience=Patience(0.0)).id
        self.saves[id] = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        return id

    def grow(self, count: int) -> list[str]:
        """Take that many snapshots and return their ids."""
        return [self.snapshot() for _ in range(count)]

    def check(self, vault: api.Vault, ids: list[str] | None = None) -> None:
        """Assert that these snapshots (all that are left) come out of ``vault`` byte for byte."""
        for id in ids if ids is not None else [head.id for head in vault.snapshots()]:
            # Who reads without the lock may be told of an object that gc has replaced by another since.
            with vault.locks.shared("check"):
                vault.objects.forget()
                for file in vault.manifest(id).files:
                    plain = b"".join(bytes(vault.objects.read(chunk.digest, chunk.size)) for chunk in file.chunks)
                    assert plain == self.saves[id][file.path], (id, file.path)


def copy_of(vault: api.Vault, place: Path) -> api.Vault:
    """Return a copy of a vault in the folder ``place``, which is replaced."""
    assert vault.path is not None
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(vault.path, place / ".casvault")
    return api.open(place / ".casvault", threads=vault.threads)


def objects_on_disk(vault: api.Vault) -> dict[str, int]:
    """Return name -> bytes of every file below objects/, whatever it is."""
    assert vault.path is not None
    root = vault.path / "objects"
    return {path.relative_to(root).as_posix(): path.stat().st_size for path in root.rglob("*") if path.is_file()}
