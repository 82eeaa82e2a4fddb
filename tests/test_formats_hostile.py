"""Hostile pickles: nothing of them runs, and none of them costs much."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.errors import FormatError
from casvault.files.source import MemorySource
from casvault.formats import Region, load_plain, scan
from casvault.formats.pickle_machine import run
from casvault.formats.pickles import scan_pickle
from tests.support.format_files import assert_same_bytes, data_dat, row, text

PROTOCOLS = [2, 3, 4, 5]


def plain(data: bytes) -> object:
    return load_plain(MemorySource(data))


class Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_called(tmp_path: Path, protocol: int) -> None:
    array = np.arange(5000, dtype="f4")
    data = pickle.dumps({"iter": 3, "options": Harm(tmp_path / "harm"), "w": array}, protocol)
    with pytest.raises(FormatError, match="mkdir"):
        plain(data)
    assert_same_bytes(data, scan(MemorySource(data)), {} if protocol == 2 else {"w": array})
    assert list(tmp_path.iterdir()) == []
    pickle.loads(data)
    assert [path.name for path in tmp_path.iterdir()] == ["harm"], "the pickle was harmless anyway"


@pytest.mark.parametrize(
    "name",
    ["numpy load", "numpy.core.multiarray fromfile", "numpy.testing._private.utils runstring",
     "numpy ndarray.tofile", "builtins eval", "numpy.core.multiarray scalar.x", "_codecs decode"],
)  # fmt: skip
def test_only_the_known_globals_are_read(name: str) -> None:
    module, attribute = name.split()
    with pytest.raises(FormatError, match="does not need"):
        plain(b"\x80\x03c" + f"{module}\n{attribute}\n".encode() + b".")
    with pytest.raises(FormatError, match="does not need"):
        plain(b"\x80\x04" + short_text(module) + short_text(attribute) + b"\x93.")


def short_text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


NDARRAY = b"cnumpy\nndarray\n"
DTYPE = b"cnumpy\ndtype\n"
F4 = DTYPE + text("f4") + b"\x85R"


@pytest.mark.parametrize(
    "body",
    [
        NDARRAY,
        F4,
        NDARRAY + b")R",
        NDARRAY + b")\x81",
        b"cnumpy.core.multiarray\n_reconstruct\n(" + DTYPE + b"K\x00\x85C\x01btR",
        b"cnumpy.core.multiarray\n_reconstruct\n(" + NDARRAY + b"K\x00\x85C\x01btR",
        b"cnumpy.core.multiarray\n_reconstruct\n(" + NDARRAY + b"K\x00\x85C\x01btRNb",
        b"cnumpy.core.multiarray\nscalar\n" + F4 + b"C\x03abc\x86R",
        b"cnumpy.core.numeric\n_frombuffer\n(C\x04abcd" + F4 + b"K\x02\x85X\x01\x00\x00\x00CtR",
        b"cnumpy.core.numeric\n_frombuffer\n(C\x04abcd" + F4 + b"J\xff\xff\xff\xff\x85X\x01\x00\x00\x00CtR",
        b"c_codecs\nencode\n" + text("a") + text("rot13") + b"\x86R",
        b"c_codecs\nencode\n" + text("a") + b"]\x86R",
        b"c_codecs\nencode\n" + text("\u0100") + text("latin1") + b"\x86R",
        b"]" + text("x") + b"b",
        b"Pid\n",
        b"NQ",
        b"\x82\x01",
        b"}(]Nu",
        b"}(K\x01u",
        b"]\x97",
        b"NNN\x8b\xff\xff\xff\x7f",
        b"\x80\x06N",
        b"I01\n",
        b"e",
        b"Na",
        b"",
    ],
)
def test_shapes_that_are_not_known_are_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        plain(b"\x80\x03" + body + b".")


def doubling(levels: int) -> bytes:
    leaf = b"\x80\x04]\x94"
    return leaf + b"".join(b"](h" + bytes([i]) * 1 + b"h" + bytes([i]) + b"e\x94" for i in range(levels)) + b"."


@pytest.mark.parametrize(
    "data",
    [
        doubling(27),
        b"\x80\x04]\x94h\x00a.",
        b"\x80\x04]" + b"]" * 100_000 + b"a" * 100_000 + b".",
        b"\x80\x04)" + b"\x85" * 100_000 + b".",
        b"\x80\x04" + b"(" * 100_000 + b"t" * 100_000 + b".",
        b"\x80\x04B\xff\xff\xff\xff.",
        b"\x80\x04\x8e" + b"\xff" * 8 + b".",
        b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.",
        b"\x80\x04\x95" + b"\xff" * 8 + b"N.",
        b"\x80\x04\x8b\xff\xff\xff\x7f.",
        b"\x80\x04c" + b"a" * 5000,
        b"\x80\x04}()" + b"\x85" * 100_000 + b"Nu.",
    ],
    ids=range(12),
)
def test_explosions_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        plain(data)
    assert scan(MemorySource(data)) == []


def test_every_bound_holds() -> None:
    def refused(body: bytes, **bounds: float) -> None:
        source = MemorySource(b"\x80\x04" + body)
        run(source, strict=True)
        with pytest.raises(FormatError, match="too"):
            run(source, strict=True, **bounds)  # type: ignore[arg-type]

    refused(b"(" + b"N" * 500 + b"t.", max_nodes=400)
    refused(b"(" * 20 + b"t" * 20 + b".", max_depth=19)
    refused(b"(" + b"]" * 500 + b"t.", max_bytes=10_000)
    refused(b"N" + b"\x94" * 500 + b".", max_bytes=10_000)
    refused(b"](" + b"".join(row([i, i]) for i in range(900)) + b"e.", max_bytes=10_000)
    refused(b"X\x00\x10\x00\x00" + b"a" * 4096 + b".", max_bytes=10_000)
    refused(b"(" + b"N" * 5000 + b"t.", cpu_seconds=-1)
    many = b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(50_000)) + b"u."
    with pytest.raises(FormatError, match="too much work"):
        run(MemorySource(many), strict=True, cpu_seconds=1000)


def test_a_persistent_id_is_refused_where_it_stands() -> None:
    for body in (b"Pid\n0N.", b"NQ0N."):
        with pytest.raises(FormatError, match="outside"):
            plain(b"\x80\x03" + body)


SMALL = {p: pickle.dumps({"a": [1, 2.5, "x"], "w": np.arange(5, dtype="f4"), "n": np.int64(3)}, p) for p in PROTOCOLS}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_truncated_pickles_are_refused(protocol: int) -> None:
    data = SMALL[protocol]
    for length in range(len(data)):
        with pytest.raises(FormatError):
            plain(data[:length])
        assert scan(MemorySource(data[:length])) == []
    plain(data)


class Shrinking(MemorySource):
    """A file that was truncated after its size was taken."""

    @property
    def size(self) -> int:
        return super().size + 1000


def test_a_source_that_ends_early_is_refused() -> None:
    data = data_dat([[1.0, 2.0]] * 50, 4)
    for length in range(0, len(data), len(data) // 40):
        with pytest.raises(FormatError):
            load_plain(Shrinking(data[:length]))


mutations = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4)


@given(protocol=st.sampled_from(PROTOCOLS), changes=mutations)
def test_mutated_pickles_are_read_or_refused(protocol: int, changes: list[tuple[int, int]]) -> None:
    small = bytearray(SMALL[protocol])
    for at, byte in changes:
        small[at % len(small)] = byte
    with contextlib.suppress(FormatError):
        plain(bytes(small))
    check_regions(scan(MemorySource(bytes(small))), len(small))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for body in (data, b"\x80\x04" + data + b"."):
        with contextlib.suppress(FormatError):
            plain(body)
        scan_pickle_or_refuse(body)


def scan_pickle_or_refuse(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        scan_pickle(MemorySource(data))


def check_regions(regions: list[Region], size: int) -> None:
    assert all(0 <= region.offset < region.end <= size for region in regions)
