"""Ways in which a model goes wrong: numbers put into the real files at the place of a tensor, histories that jump."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from casvault.demo.model import SampleModel
from casvault.files.source import MemorySource
from casvault.formats import Region, scan

__all__ = ["put", "region_of", "with_losses"]


def region_of(path: Path, name: str) -> Region:
    """Return the tensor ``name`` of a file."""
    return next(region for region in scan(MemorySource(path.read_bytes())) if region.name == name)


def put(path: Path, name: str, values: object, first: int = 0) -> None:
    """Overwrite float32 numbers of the tensor ``name`` from its number ``first`` on, as a new file."""
    region = region_of(path, name)
    data = bytearray(path.read_bytes())
    packed = np.asarray(values, "<f4").tobytes()
    start = region.offset + 4 * first
    assert start + len(packed) <= region.end
    data[start : start + len(packed)] = packed
    path.unlink()
    path.write_bytes(data)


def with_losses(model: SampleModel, *parts: tuple[int, float, float]) -> None:
    """Save ``model`` with a history of so many rows of these losses, one part after another."""
    model.losses = [[src, dst] for count, src, dst in parts for _ in range(count)]
    model.iteration = len(model.losses)
    model.save()
