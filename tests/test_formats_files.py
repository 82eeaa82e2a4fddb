"""Numpy's own files, torch archives and safetensors: tensors found where the libraries themselves see them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from casvault.errors import FormatError
from casvault.files.source import MemorySource
from casvault.formats import Region, scan
from casvault.formats.numpy_files import scan_npy
from casvault.formats.safetensors import scan_safetensors
from casvault.formats.zips import scan_zip
from tests.support.format_files import (
    Array,
    CountingSource,
    Torch,
    assert_same_bytes,
    safetensors,
    text,
    weights,
)


def saved(array: Array, version: tuple[int, int] | None = None) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version)
    return out.getvalue()


def found(data: bytes) -> list[tuple[str, str, tuple[int, ...], bytes]]:
    regions = scan(MemorySource(data))
    return [(r.name, r.dtype, r.shape, data[r.offset : r.end]) for r in regions]


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("shape", [(), (7,), (5, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", ["f2", "f4", "i8", "u1", "?"])
def test_npy(version: tuple[int, int], shape: tuple[int, ...], dtype: str) -> None:
    array = np.ones(shape, dtype)
    data = saved(array, version)
    assert_same_bytes(data, scan(MemorySource(data)), {"": array})


def test_npy_in_fortran_order_has_its_axes_turned() -> None:
    array = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    data = saved(array)
    assert_same_bytes(data, scan(MemorySource(data)), {"": array.T})


@pytest.mark.parametrize(
    "array",
    [np.ones(3, ">f4"), np.ones(3, [("a", "<f4")]), np.array(["a"]), np.ones(3, "c8"), np.ones((0, 3))],
    ids=lambda array: str(array.dtype),
)
def test_npy_of_other_dtypes_has_no_region(array: Array) -> None:
    assert scan(MemorySource(saved(array))) == []


def npy(header: str, body: bytes = bytes(64)) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + body


def test_npy_headers_by_other_hands() -> None:
    (region,) = scan(MemorySource(npy("{'shape':(4L, 2L),'fortran_order':False,'descr':'<f8'}\n")))
    assert (region.dtype, region.shape) == ("float64", (4, 2))
    whole = "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }"
    assert len(scan(MemorySource(npy(whole)))) == 1
    for bad in (
        whole.replace("(4,)", "(-4,)"),
        whole.replace("(4,)", "(4 4)"),
        whole.replace("(4,)", "(" + "9" * 30 + ",)"),
        whole.replace("'<f4'", "[('a', '<f4')]"),
        whole.replace("}", "'more': 1}"),
        whole[:-1],
        whole[1:],
        whole + "x",
        whole.replace("'shape': (4,), ", ""),
        "-" * 9000 + "1",
        "",
    ):
        assert scan(MemorySource(npy(bad))) == []
    with pytest.raises(FormatError):
        scan_npy(MemorySource(npy(whole.replace("(4,)", "(17,)"))))
    with pytest.raises(FormatError):
        scan_npy(MemorySource(npy(whole)[:40]))
    with pytest.raises(FormatError):
        scan_npy(MemorySource(b"\x93NUMPY\x04\x00" + npy(whole)[8:]))


def test_npz() -> None:
    arrays = {"w": np.arange(50_000, dtype="f4"), "layer/b": np.ones((3, 4), "i8"), "s": np.asarray(np.float32(3))}
    out = io.BytesIO()
    np.savez(out, big=np.ones(3, ">f4"), **arrays)  # type: ignore[arg-type]
    source = CountingSource(out.getvalue())
    assert_same_bytes(out.getvalue(), scan(source), arrays)
    assert source.read < 10_000


def test_compressed_members_have_no_region() -> None:
    out = io.BytesIO()
    np.savez_compressed(out, w=np.arange(50_000, dtype="f4"))
    assert scan(MemorySource(out.getvalue())) == []


def test_npz_member_that_claims_more_than_it_has() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        target.writestr("a.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (17,), }"))
        target.writestr("b.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (16,), }"))
    assert [region.name for region in scan(MemorySource(out.getvalue()))] == ["b"]


def test_torch_state_dict() -> None:
    torch = Torch()
    parts = weights(2, 40_000)
    first, second = (array.tobytes() for array in parts.values())
    half = np.arange(12, dtype="f2").tobytes()
    brain = bytes(range(8))
    model = {
        "layer.weight": torch.tensor(torch.storage("FloatStorage", first, 10_000), 0, (100, 100), (100, 1)),
        "layer.bias": torch.parameter(torch.tensor(torch.storage("FloatStorage", second, 10_000), 0, (10_000,), (1,))),
    }
    more = {
        "half": torch.tensor(torch.storage("HalfStorage", half, 12), 4, (2, 1, 4), (4, 99, 1)),
        "brain": torch.tensor(torch.storage("BFloat16Storage", brain, 4), 0, (4,), (1,)),
        "new": torch.typed_tensor(
            torch.storage("UntypedStorage", bytes(8), 8, "torch.storage"), (2, 2), (2, 1), "uint16"
        ),
    }
    value = torch.mapping({"model": torch.mapping(model), "epoch": b"K\x05", **more})
    data = torch.archive(value)
    assert found(data) == [
        ("model.layer.weight", "float32", (100, 100), first),
        ("model.layer.bias", "float32", (10_000,), second),
        ("half", "float16", (2, 1, 4), half[8:]),
        ("brain", "bfloat16", (4,), brain),
        ("new", "uint16", (2, 2), bytes(8)),
    ]
    source = CountingSource(data)
    scan(source)
    assert source.read < len(data) / 8


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("Double", "f8"), ("Char", "i1"), ("Short", "i2"), ("Int", "i4"), ("Long", "i8"), ("Byte", "u1"), ("Bool", "?")],
)
def test_torch_dtypes(kind: str, dtype: str) -> None:
    torch = Torch()
    array = np.ones(6, dtype)
    tensor = torch.tensor(torch.storage(f"{kind}Storage", array.tobytes(), 6), 0, (6,), (1,))
    data = torch.archive(torch.mapping({"t": tensor}))
    assert_same_bytes(data, scan(MemorySource(data)), {"t": array})


def test_torch_storages_without_a_contiguous_tensor_are_named_by_their_key() -> None:
    torch = Torch()
    data_0, data_1 = np.arange(6, dtype="f4").tobytes(), np.arange(4, dtype="i8").tobytes()
    turned = torch.tensor(torch.storage("FloatStorage", data_0, 6), 0, (3, 2), (1, 3))
    bare = torch.storage("LongStorage", data_1, 4)
    data = torch.archive(torch.mapping({"turned": turned, "bare": bare}))
    assert found(data) == [("0", "float32", (6,), data_0), ("1", "int64", (4,), data_1)]


@pytest.mark.parametrize(
    ("first", "shape", "stride"),
    [(-1, (2,), (1,)), (5, (2,), (1,)), (0, (7,), (1,)), (0, (2, -1), (1, 1)), (0, (2,), (1, 1)), (0, (2, 2), (1, 1))],
)
def test_torch_tensors_that_do_not_fit_their_storage(
    first: int, shape: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    torch = Torch()
    storage = torch.storage("FloatStorage", bytes(24), 6)
    data = torch.archive(torch.mapping({"t": torch.tensor(storage, first, shape, stride)}))
    assert [(region.name, region.shape) for region in scan(MemorySource(data))] == [("0", (6,))]


def test_torch_tensors_that_share_a_storage_do_not_overlap() -> None:
    torch = Torch()
    storage = torch.storage("FloatStorage", np.arange(10, dtype="f4").tobytes(), 10)
    views = {"a": (0, 4), "tied": (0, 4), "b": (3, 3), "c": (6, 4)}
    tensors = {name: torch.tensor(storage, first, (count,), (1,)) for name, (first, count) in views.items()}
    regions = scan(MemorySource(torch.archive(torch.mapping(tensors))))
    assert [region.name for region in regions] == ["a", "c"]
    assert regions[0].end <= regions[1].offset


def test_torch_archives_that_cannot_be_used() -> None:
    torch = Torch()
    value = torch.tensor(torch.storage("FloatStorage", bytes(24), 6), 0, (6,), (1,))
    assert len(scan(MemorySource(torch.archive(value)))) == 1
    assert scan(MemorySource(torch.archive(value, order=b"big"))) == []
    assert scan(MemorySource(torch.archive(value, method=zipfile.ZIP_DEFLATED))) == []
    assert scan(MemorySource(torch.archive(b"e"))) == []
    unknown = torch.storage("QInt8Storage", bytes(24), 6)
    assert scan(MemorySource(torch.archive(torch.tensor(unknown, 0, (6,), (1,))))) == []
    missing = unknown.replace(text("1"), text("9")).replace(b"QInt8", b"Float")
    assert scan(MemorySource(torch.archive(missing))) == []


def test_zip_with_too_many_members_is_not_read() -> None:
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"a"
    directory = entry * 100_000
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 65535, 65535, len(directory), 4, 0)
    source = CountingSource(b"PK\x03\x04" + directory + end)
    with pytest.raises(FormatError, match="too long"):
        scan_zip(source)
    assert source.read < 200_000


DTYPES = [("F16", "float16", 2), ("BF16", "bfloat16", 2), ("F32", "float32", 4), ("F64", "float64", 8),
          ("I8", "int8", 1), ("I16", "int16", 2), ("I32", "int32", 4), ("I64", "int64", 8), ("U8", "uint8", 1),
          ("U16", "uint16", 2), ("U32", "uint32", 4), ("U64", "uint64", 8), ("BOOL", "bool", 1)]  # fmt: skip


def test_safetensors() -> None:
    tensors = {name: (name, [3, 2], bytes([i]) * 6 * size) for i, (name, _, size) in enumerate(DTYPES)}
    tensors["scalar"] = ("F32", [], b"abcd")
    tensors["tiny float"] = ("F8_E4M3", [4], b"abcd")
    data = safetensors(tensors)
    expected = [(name, dtype, (3, 2), tensors[name][2]) for name, dtype, _ in DTYPES]
    assert found(data) == [*expected, ("scalar", "float32", (), b"abcd")]


def test_safetensors_whose_first_bytes_look_like_a_pickle() -> None:
    tensors = {"w": ("F32", [2], b"abcdefgh")}
    for length in (0x280, 0x480):
        pad = length - len(safetensors(tensors)) + 8 + 8
        data = safetensors({"w" + "x" * pad: tensors["w"]})
        assert data[0] == 0x80
        assert data[1] in (2, 3, 4, 5)
        assert len(scan(MemorySource(data))) == 1


def header(value: str, body: bytes = bytes(8)) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode() + body


@pytest.mark.parametrize(
    "value",
    [
        '{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 9]}}',
        '{"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}',
        '{"w": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}',
        '{"w": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}}',
        '{"w": {"dtype": "F32", "shape": [true, 2], "data_offsets": [0, 8]}}',
        '{"w": {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}}',
        '{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}',
        '{"w": {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}}',
        '{"w": 3}',
    ],
)
def test_safetensors_entries_that_do_not_add_up(value: str) -> None:
    assert scan_safetensors(MemorySource(header(value))) == []


@pytest.mark.parametrize("value", ["{" * 100_000, '{"a":' + "1" * 100_000 + "}", "{]", '{"\udcff'[:2] + "\x00}"])
def test_safetensors_headers_that_are_not_read(value: str) -> None:
    with pytest.raises(FormatError):
        scan_safetensors(MemorySource(header(value)))


def test_safetensors_header_longer_than_the_file() -> None:
    source = CountingSource(struct.pack("<Q", 1 << 62) + b"{}" + bytes(100))
    with pytest.raises(FormatError):
        scan_safetensors(source)
    assert source.read < 20


@pytest.mark.parametrize("scanner", [scan_npy, scan_zip, scan_safetensors])
def test_scanners_refuse_what_is_not_theirs(scanner: Callable[[MemorySource], list[Region]]) -> None:
    for data in (b"", b"PK\x03\x04", b"\x93NUMPY", bytes(100), b"PK\x05\x06" + b"\xff" * 18):
        with pytest.raises(FormatError):
            scanner(MemorySource(data))
