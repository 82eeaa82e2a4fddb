"""What holds for the regions of any bytes at all."""

from __future__ import annotations

import io
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.files.source import MemorySource
from casvault.formats import ITEM_SIZES, Region, scan
from casvault.formats.tidy import tidy
from tests.support.format_files import Torch, data_dat, safetensors


def npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.ones(20, "f4"), b=np.ones((2, 3), "i8"))
    return out.getvalue()


def npy() -> bytes:
    out = io.BytesIO()
    np.save(out, np.ones((3, 4), "f4"))
    return out.getvalue()


def torch_archive() -> bytes:
    torch = Torch()
    storage = torch.storage("FloatStorage", bytes(24), 6)
    tensors = {"a": torch.tensor(storage, 0, (3,), (1,)), "b": torch.tensor(storage, 3, (3,), (1,))}
    return torch.archive(torch.mapping(tensors))


VALID = {
    "pickle 3": pickle.dumps({"a": np.ones(5, "f4"), "b": [np.ones((2, 3), "i8")]}, 3),
    "pickle 5": pickle.dumps({"a": np.ones(5, "f4"), "b": [np.ones((2, 3), "i8")]}, 5),
    "data.dat": data_dat([[1.0, 2.0]] * 30, 4)[:1500],
    "npy": npy(),
    "npz": npz(),
    "torch": torch_archive(),
    "safetensors": safetensors({"a": ("F32", [3], bytes(12)), "b": ("U8", [4], bytes(4))}),
}


def check(regions: list[Region], size: int) -> None:
    end = 0
    for region in regions:
        assert end <= region.offset
        assert 0 < region.size == math.prod(region.shape) * ITEM_SIZES[region.dtype]
        assert region.end <= size
        assert len(region.name) <= 500
        assert region.name.isprintable()
        end = region.end
    assert len({region.name for region in regions}) == len(regions)


changes = st.lists(
    st.tuples(st.integers(0, 5000), st.one_of(st.binary(max_size=1), st.integers(0, 8).map(bytes))), max_size=5
)


@pytest.mark.parametrize("kind", VALID)
@given(mutations=changes, cut=st.integers(0, 5000), whole=st.booleans())
def test_mutated_files_never_raise(kind: str, mutations: list[tuple[int, bytes]], cut: int, whole: bool) -> None:
    data = bytearray(VALID[kind])
    for at, new in mutations:
        place = at % max(1, len(data))
        data[place : place + 1] = new
    if not whole:
        del data[cut % max(1, len(data)) :]
    check(scan(MemorySource(bytes(data))), len(data))


STARTS = [b"", b"\x80\x02", b"\x80\x04", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x10\0\0\0\0\0\0\0{"]


@given(st.sampled_from(STARTS), st.binary(max_size=200))
def test_any_bytes_never_raise(start: bytes, data: bytes) -> None:
    check(scan(MemorySource(start + data)), len(start + data))


@pytest.mark.parametrize("kind", [kind for kind in VALID if kind != "data.dat"])
def test_the_valid_files_have_regions(kind: str) -> None:
    regions = scan(MemorySource(VALID[kind]))
    check(regions, len(VALID[kind]))
    assert len(regions) == (1 if kind == "npy" else 2)


class Failing(MemorySource):
    def __init__(self, data: bytes, error: BaseException) -> None:
        super().__init__(data)
        self.error = error

    def read_at(self, offset: int, length: int) -> bytes:
        raise self.error


@pytest.mark.parametrize("error", [OSError(5, "I/O"), MemoryError(), RecursionError(), ValueError()])
def test_failures_of_any_kind_give_no_regions(error: BaseException) -> None:
    assert scan(Failing(VALID["npy"], error)) == []


def test_an_interruption_is_no_failure() -> None:
    with pytest.raises(KeyboardInterrupt):
        scan(Failing(VALID["npy"], KeyboardInterrupt()))


def region(offset: int, count: int, name: str = "w", **more: object) -> Region:
    values = {"name": name, "offset": offset, "size": 4 * count, "dtype": "float32", "shape": (count,)}
    return Region(**(values | more))  # type: ignore[arg-type]


def test_regions_that_do_not_hold_together_are_dropped() -> None:
    good = region(8, 4, "good")
    bad = [
        region(-4, 1),
        region(96, 2),
        region(200, 1),
        region(40, 0),
        region(40, 1, shape=(2,)),
        region(40, 1, shape=(-1,)),
        region(40, 1, shape=(-1, -1)),
        region(40, 1, dtype="complex64"),
        region(8, 3, "shorter"),
        region(20, 2, "overlaps"),
    ]
    assert tidy([*bad, good], 100) == [good]


def test_regions_are_sorted_and_may_touch() -> None:
    regions = [region(16, 4, "c"), region(0, 2, "a"), region(8, 2, "b")]
    assert [found.name for found in tidy(regions, 32)] == ["a", "b", "c"]


def test_names_are_made_unique_and_printable() -> None:
    names = ["w", "w", "w#2", "w", "a\x00b\n", "\ud800", "n" * 600, "n" * 601, "rtl\u202e", "ä", ""]
    regions = [region(4 * i, 1, name) for i, name in enumerate(names)]
    cut = "n" * 480
    found = [found.name for found in tidy(regions, 1000)]
    assert found == ["w", "w#2", "w#2#2", "w#3", "a?b?", "?", cut, cut + "#2", "rtl?", "ä", ""]


def test_there_are_at_most_100_000_regions() -> None:
    regions = [region(4 * i, 1, "w") for i in range(100_010)]
    found = tidy(regions, 4 * 100_010)
    assert len(found) == 100_000
    check(found, 4 * 100_010)


def test_importing_formats_is_cheap() -> None:
    code = "import sys, casvault.formats; print(sorted({'numpy', 'json', 'zipfile', 'pickle'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
