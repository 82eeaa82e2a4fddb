"""Builders of the files that the scanners know, and a source that tells how much of it was read."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from casvault.files.source import MemorySource
from casvault.formats import Region

Array = npt.NDArray[Any]


class CountingSource(MemorySource):
    """Bytes in memory that count how many of them were read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.read = 0

    def read_at(self, offset: int, length: int) -> bytes:
        data = super().read_at(offset, length)
        self.read += len(data)
        return data


def weights(count: int = 4, size: int = 300_000) -> dict[str, Array]:
    """Named float32 tensors as DeepFaceLab has them, ``size`` bytes each."""
    rng = np.random.default_rng(1)
    return {f"enc/down{i}/conv:0": rng.standard_normal((size // 400, 100), "f4") for i in range(count)}


def data_dat(history: list[list[float]], protocol: int, **more: object) -> bytes:
    """A ``data.dat`` in the trainer's order of keys."""
    preview = [[np.full((2, 64, 64, 3), n, "f4"), np.full((2, 64, 64, 1), n, "f4")] for n in (1, 2)]
    options = {"batch_size": np.int64(8), "lr": np.float64(5e-5), "archi": "liae-ud", "gan": False}
    record = {
        "iter": len(history),
        "options": options | more,
        "loss_history": history,
        "sample_for_preview": preview,
        "choosed_gpu_indexes": None,
    }
    return pickle.dumps(record, protocol)


def safetensors(tensors: Mapping[str, tuple[str, list[int], bytes]]) -> bytes:
    """A safetensors file of (dtype, shape, bytes) by name."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


class Torch:
    """Builds what ``torch.save`` writes: first ``storage`` and ``tensor``, then ``pickle_of`` and ``archive``."""

    def __init__(self) -> None:
        self.members: dict[str, bytes] = {}

    def storage(self, kind: str, data: bytes, items: int, module: str = "torch") -> bytes:
        """Opcodes of a persistent storage."""
        key = str(len(self.members))
        self.members[key] = data
        parts = [text("storage"), f"c{module}\n{kind}\n".encode(), text(key), text("cpu"), integer(items)]
        return b"(" + b"".join(parts) + b"tQ"

    @staticmethod
    def tensor(storage: bytes, first: int, shape: Iterable[int], stride: Iterable[int]) -> bytes:
        """Opcodes of a tensor over a storage."""
        hooks = b"ccollections\nOrderedDict\n)R"
        args = storage + integer(first) + integers(shape) + integers(stride) + b"\x89" + hooks
        return b"ctorch._utils\n_rebuild_tensor_v2\n(" + args + b"tR"

    @staticmethod
    def typed_tensor(storage: bytes, shape: Iterable[int], stride: Iterable[int], dtype: str) -> bytes:
        """Opcodes of a tensor over an untyped storage."""
        args = storage + integer(0) + integers(shape) + integers(stride) + b"\x89N"
        return b"ctorch._utils\n_rebuild_tensor_v3\n(" + args + f"ctorch\n{dtype}\n".encode() + b"tR"

    @staticmethod
    def parameter(tensor: bytes) -> bytes:
        """Opcodes of a parameter around a tensor."""
        return b"ctorch._utils\n_rebuild_parameter\n(" + tensor + b"\x88NtR"

    @staticmethod
    def mapping(entries: Mapping[str, bytes]) -> bytes:
        """Opcodes of an OrderedDict with a ``_metadata`` state, as state dicts are."""
        items = b"".join(text(key) + value for key, value in entries.items())
        return b"ccollections\nOrderedDict\n)R(" + items + b"u}" + text("_metadata") + b"}sb"

    def archive(self, value: bytes, order: bytes = b"little", method: int = zipfile.ZIP_STORED) -> bytes:
        """The zip of ``value`` and all storages."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as target:
            target.writestr("net/data.pkl", b"\x80\x02" + value + b".")
            target.writestr("net/byteorder", order)
            for key, data in self.members.items():
                target.writestr(f"net/data/{key}", data)
        return out.getvalue()


def row(values: list[float], memo: bytes = b"") -> bytes:
    """Opcodes of a list of floats, as a row of a loss history."""
    return b"]" + memo + b"(" + b"".join(b"G" + struct.pack(">d", value) for value in values) + b"e"


def text(value: str) -> bytes:
    """Opcodes of a text, as protocol 2 has it."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value: int) -> bytes:
    """Opcodes of a small integer."""
    return b"J" + struct.pack("<i", value)


def integers(values: Iterable[int]) -> bytes:
    """Opcodes of a tuple of small integers."""
    return b"(" + b"".join(integer(value) for value in values) + b"t"


def assert_same_bytes(data: bytes, regions: Iterable[Region], expected: Mapping[str, Array]) -> None:
    """Check that the regions are exactly ``expected``: names, dtypes, shapes and, in ``data``, bytes."""
    found = {region.name: region for region in regions}
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        region = found[name]
        assert region.dtype == array.dtype.name
        assert region.shape == array.shape
        assert data[region.offset : region.end] == array.tobytes()
