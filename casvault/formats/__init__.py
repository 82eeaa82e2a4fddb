"""Finding tensors in files, by their bytes and not their names, without loading or running anything.

Formats only hint at where to cut a file: for bytes that no scanner understands there are no regions, and
that is never an error. What they hold back from a caller is bounded in time and memory.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from casvault.formats.region import ITEM_SIZES, Region

if TYPE_CHECKING:
    from casvault.files.source import ByteSource
    from casvault.formats.pickles import float_rows, load_plain
    from casvault.formats.values import FloatRows, Tensor

__all__ = ["ITEM_SIZES", "FloatRows", "Region", "Tensor", "float_rows", "load_plain", "scan"]


# Whoever reads a manifest needs to know what a region is, and none of the scanners.
_HOMES = {"FloatRows": "values", "Tensor": "values", "float_rows": "pickles", "load_plain": "pickles"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"casvault.formats.{_HOMES[name]}"), name)


def scan(source: ByteSource) -> list[Region]:
    """Find the tensors in ``source``: a pickle, ``.npy``, ``.npz``, torch archive or safetensors file.

    The regions are inside the file, do not overlap, stand in the order of their offsets and have unique
    names of at most 500 printable characters. Never raises: what cannot be understood has no regions.
    """
    from casvault.formats.tidy import tidy

    try:
        return tidy(_find(source), source.size)
    except Exception:  # noqa: BLE001 - a hint that cannot be had, for whatever reason, must not stop a snapshot
        return []


def _find(source: ByteSource) -> list[Region]:
    # Each scanner is imported for the files that may need it: a command should start quickly.
    start = source.read_at(0, 9)
    if start[8:] == b"{":
        from casvault.formats.safetensors import header_length, scan_safetensors

        if header_length(start, source.size) is not None:
            return scan_safetensors(source)
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        from casvault.formats.pickles import scan_pickle

        return scan_pickle(source)
    if start[:2] == b"\x93N":
        from casvault.formats.numpy_files import scan_npy

        return scan_npy(source)
    if start[:2] == b"PK":
        from casvault.formats.zips import scan_zip

        return scan_zip(source)
    return []
