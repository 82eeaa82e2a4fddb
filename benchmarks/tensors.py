"""The large float32 tensors of a saved model, read by the scanner that snapshots use: no pickle is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from casvault.files.source import MemorySource
from casvault.formats import scan

__all__ = ["CLASSES", "Tensor", "read_tensors"]

CLASSES = ("weights", "ms", "vs")
"""Weights, and the two moments that AdaBelief keeps of each."""

_SMALLEST = 64 << 10


@dataclass(frozen=True)
class Tensor:
    """One tensor's plain bytes; ``row_length`` is the numbers along its last axis."""

    name: str
    data: bytes
    row_length: int

    @property
    def kind(self) -> str:
        """Which of CLASSES it is of."""
        return self.name[:2] if self.name.startswith(("ms_", "vs_")) else "weights"


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of at least 64 KiB by a name that is the same in every save of a model."""
    return {tensor.name: tensor for path in sorted(folder.glob("*.npy")) for tensor in _tensors_of(path)}


def _tensors_of(path: Path) -> Iterator[Tensor]:
    data = path.read_bytes()
    role = path.stem.rpartition("_SAEHD_")[2]
    for region in scan(MemorySource(data)):
        if region.dtype == "float32" and region.size >= _SMALLEST:
            name = region.name if region.name.startswith(("ms_", "vs_")) else f"{role}/{region.name}"
            yield Tensor(name, data[region.offset : region.end], region.shape[-1])
