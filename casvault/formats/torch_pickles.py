"""Tensors in the archives that ``torch.save`` writes.

``data.pkl`` describes the object; each storage's bytes are a member ``data/<key>``, which the pickle refers
to by the persistent id ``('storage', torch.FloatStorage, key, location, numel)``. A tensor is
``torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...)``, offset and stride in items; version
3, for the untyped storages of newer dtypes, adds the dtype. All of it is told without torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from casvault.errors import FormatError
from casvault.formats.members import Member
from casvault.formats.pickle_machine import run
from casvault.formats.region import ITEM_SIZES, Region
from casvault.formats.values import Global, Opaque, PersistentId
from casvault.formats.walk import named_parts

__all__ = ["scan_torch"]

_REBUILD = Global("torch._utils", "_rebuild_tensor_v2")
_REBUILD_TYPED = Global("torch._utils", "_rebuild_tensor_v3")
_STORAGES = {
    Global("torch", "HalfStorage"): "float16",
    Global("torch", "BFloat16Storage"): "bfloat16",
    Global("torch", "FloatStorage"): "float32",
    Global("torch", "DoubleStorage"): "float64",
    Global("torch", "CharStorage"): "int8",
    Global("torch", "ShortStorage"): "int16",
    Global("torch", "IntStorage"): "int32",
    Global("torch", "LongStorage"): "int64",
    Global("torch", "ByteStorage"): "uint8",
    Global("torch", "BoolStorage"): "bool",
    Global("torch.storage", "UntypedStorage"): "uint8",
}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    member: Member


def scan_torch(open_member: Callable[[str], Member | None]) -> list[Region]:
    """Find the tensors of a torch archive; ``open_member`` finds a stored member in the archive's folder.

    Each is named by the dict keys that lead to it, joined with "."; a storage of which no contiguous tensor
    was found is a region of one axis, named by its key. Regions may overlap where tensors share a storage.
    Raises FormatError when the pickle cannot be followed, or the archive is big-endian.
    """
    order, pickle = open_member("byteorder"), open_member("data.pkl")
    if pickle is None or (order is not None and order.read_at(0, 16) != b"little"):
        raise FormatError("this is not a little-endian torch archive")
    storages: dict[str, _Storage] = {}
    regions: list[Region] = []
    used: set[str] = set()
    for name, part in named_parts(run(pickle, strict=False), "."):
        if isinstance(part, PersistentId) and (storage := _storage(part.id, open_member)) is not None:
            storages[storage.key] = storage
        if isinstance(part, Opaque) and (tensor := _tensor(name, part, open_member)) is not None:
            used.add(tensor[0])
            regions.append(tensor[1])
    return regions + [_whole(storage) for key, storage in storages.items() if key not in used]


def _storage(identifier: object, open_member: Callable[[str], Member | None]) -> _Storage | None:
    if not isinstance(identifier, tuple) or len(identifier) < 5 or identifier[0] != "storage":
        return None
    kind, key = identifier[1:3]
    dtype = _STORAGES.get(kind) if isinstance(kind, Global) else None
    member = open_member(f"data/{key}") if isinstance(key, str) else None
    return None if dtype is None or member is None else _Storage(key, dtype, member)


def _whole(storage: _Storage) -> Region:
    count = storage.member.size // ITEM_SIZES[storage.dtype]
    size = count * ITEM_SIZES[storage.dtype]
    return Region(storage.key, storage.member.offset, size, storage.dtype, (count,))


def _tensor(name: str, part: Opaque, open_member: Callable[[str], Member | None]) -> tuple[str, Region] | None:
    """Return the key of its storage and the region of a contiguous tensor; None for all other objects."""
    args = part.args
    fewest = {_REBUILD: 6, _REBUILD_TYPED: 7}.get(part.callable) if isinstance(part.callable, Global) else None
    if fewest is None or not isinstance(args, tuple) or len(args) < fewest:
        return None
    reference, first, shape, stride = args[:4]
    storage = _storage(reference.id, open_member) if isinstance(reference, PersistentId) else None
    if storage is None or type(first) is not int or not _contiguous(shape, stride):
        return None
    dtype = _named_dtype(args[6]) if part.callable == _REBUILD_TYPED else storage.dtype
    if dtype is None or first < 0:
        return None
    item = ITEM_SIZES[dtype]
    offset, size = first * item, math.prod(shape) * item
    if offset + size > storage.member.size:
        return None
    return storage.key, Region(name, storage.member.offset + offset, size, dtype, shape)


def _named_dtype(value: object) -> str | None:
    if isinstance(value, Global) and value.module == "torch" and value.name in ITEM_SIZES:
        return value.name
    return None


def _contiguous(shape: object, stride: object) -> bool:
    """Tell whether the items lie one after another, the last axis fastest; axes of one item do not matter."""
    if not isinstance(shape, tuple) or not isinstance(stride, tuple) or len(shape) != len(stride):
        return False
    if len(shape) > 64 or not all(type(number) is int and number >= 0 for number in shape + stride):
        return False
    step = 1
    for axis, distance in zip(reversed(shape), reversed(stride), strict=True):
        if axis != 1 and distance != step:
            return False
        step *= axis
    return True
