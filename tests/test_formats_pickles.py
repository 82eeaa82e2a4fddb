"""Pickles: what is found in them, and what they cannot do to us."""

from __future__ import annotations

import io
import math
import pickle
import struct
from array import array
from typing import Any

import numpy as np
import pytest

from casvault.errors import FormatError
from casvault.files.source import MemorySource
from casvault.formats import FloatRows, Tensor, float_rows, load_plain, scan
from casvault.formats.pickle_machine import Opaque, Span
from tests.support.format_files import Array, CountingSource, assert_same_bytes, data_dat, row, weights

PROTOCOLS = [2, 3, 4, 5]
BINARY = [3, 4, 5]


def plain(data: bytes) -> Any:
    return load_plain(MemorySource(data))


def bytes_of(data: bytes, tensor: Tensor) -> bytes:
    return data[tensor.offset : tensor.offset + tensor.size]


@pytest.mark.parametrize("protocol", BINARY)
def test_weights_are_found_and_not_loaded(protocol: int) -> None:
    tensors = weights()
    data = pickle.dumps(tensors, protocol)
    source = CountingSource(data)
    assert_same_bytes(data, scan(source), tensors)
    assert source.read < len(data) / 20


@pytest.mark.parametrize("protocol", BINARY)
def test_an_optimizer_has_a_counter_beside_its_tensors(protocol: int) -> None:
    tensors = {f"{kind}_{name}": value for kind in ("ms", "vs") for name, value in weights(2, 4000).items()}
    data = pickle.dumps({"iters:0": np.int64(1500), **tensors}, protocol)
    assert_same_bytes(data, scan(MemorySource(data)), tensors)
    assert plain(data)["iters:0"] == 1500


@pytest.mark.parametrize("protocol", BINARY)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "bool", ">u1"])
def test_every_simple_dtype(protocol: int, dtype: str) -> None:
    for size in (1, 7, 5000):
        array = (np.arange(size) % 2).astype(dtype)
        data = pickle.dumps({"a": array}, protocol)
        assert_same_bytes(data, scan(MemorySource(data)), {"a": array})


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(3000, dtype=">f4"),
        np.array(["some", "text"]),
        np.array([{}], dtype=object),
        np.zeros(700, dtype=[("a", "<f4"), ("b", "<i8")]),
        np.zeros(700, dtype="c8"),
        np.zeros(700, dtype="M8[s]"),
        np.zeros((0, 4), "f4"),
    ],
    ids=lambda array: array.dtype.name,
)
def test_other_dtypes_have_no_region(protocol: int, array: Array) -> None:
    kept = np.arange(2000, dtype="i4")
    data = pickle.dumps({"a": array, "kept": kept}, protocol)
    expected = {} if protocol == 2 else {"kept": kept}
    assert_same_bytes(data, scan(MemorySource(data)), expected)


@pytest.mark.parametrize("protocol", BINARY)
def test_shapes_are_in_storage_order(protocol: int) -> None:
    base = np.arange(24_000, dtype="f4").reshape(20, 30, 40)
    turned = base.transpose(2, 0, 1)
    stored = {
        "c": (base, base),
        "fortran": (np.asfortranarray(base), base.T),
        "strided": (base[:, ::2], base[:, ::2]),
        "turned": (turned, base if protocol == 5 and _keeps_axes(turned) else turned),
    }
    data = pickle.dumps({name: array for name, (array, _) in stored.items()}, protocol)
    assert_same_bytes(data, scan(MemorySource(data)), {name: array for name, (_, array) in stored.items()})


def _keeps_axes(array: Array) -> bool:
    """Whether this numpy pickles a transposed array as it lies in memory; older ones copy it."""
    return len(array.__reduce_ex__(5)[1]) == 5


def test_names_follow_keys_and_indices() -> None:
    array = np.arange(10, dtype="f4")
    nested = {"a": {"b": [array + 1, (array + 2,)]}, 7: array + 3, "shared": None}
    data = pickle.dumps(nested, 4)
    expected = {"a/b/0": array + 1, "a/b/1/0": array + 2, "7": array + 3}
    assert_same_bytes(data, scan(MemorySource(data)), expected)
    data = pickle.dumps(array, 4)
    assert_same_bytes(data, scan(MemorySource(data)), {"": array})


@pytest.mark.parametrize("protocol", BINARY)
def test_an_array_that_is_shared_is_one_region_and_one_value(protocol: int) -> None:
    array = np.arange(5000, dtype="f4")
    data = pickle.dumps({"a": array, "b": [array, array]}, protocol)
    assert_same_bytes(data, scan(MemorySource(data)), {"a": array})
    value = plain(data)
    assert value["b"] == [value["a"]] * 2
    assert bytes_of(data, value["a"]) == array.tobytes()


def test_protocol_2_has_arrays_as_text_which_is_no_region() -> None:
    data = pickle.dumps({"a": np.arange(20_000), "b": np.arange(3), "n": np.float32(0.5), "raw": b"\x00\xff"}, 2)
    value = plain(data)
    assert isinstance(value["a"], Opaque)
    assert isinstance(value["b"], Opaque)
    assert (value["n"], value["raw"]) == (0.5, b"\x00\xff")
    assert scan(MemorySource(data)) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back_as_they_are(protocol: int) -> None:
    value: dict[object, object] = {
        "ints": [0, 1, 255, 256, -1, 65535, 65536, 2**31, -(2**31) - 1, 2**100, -(2**2000)],
        "floats": (0.0, -0.0, 1.5, math.inf, -math.inf),
        "text": ["", "é", "x" * 300, "\U0001f600" * 9000],
        "none": None,
        "nested": {"t": (), "t1": (1,), "t2": (1, 2), "t3": (1, 2, 3), "t4": (1, 2, 3, 4), "d": {}},
        ("key", 1): True,
        2: False,
    }
    if protocol >= 4:
        value |= {"set": {1, 2}, "frozen": frozenset({"a"}), "raw": b"abc"}
    assert plain(pickle.dumps(value, protocol)) == value
    long = pickle.dumps({"long": b"x" * 5000, "text": "y" * 70_000}, 4)
    assert plain(long) == {"long": Span(long.index(b"xx"), 5000), "text": Span(long.index(b"yy"), 70_000)}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])
def test_numpy_scalars_are_plain_numbers(protocol: int, kind: str) -> None:
    scalar = np.dtype(kind).type(1)
    value = plain(pickle.dumps([scalar, scalar], protocol))
    assert value == [1, 1]
    assert type(value[0]) is type(scalar.item())


def test_older_and_newer_numpy_name_their_functions_differently() -> None:
    for protocol in BINARY:
        data = pickle.dumps({"a": np.arange(4000.0), "n": np.int32(3)}, protocol)
        old = data.replace(b"numpy._core.", b"numpy.core.")
        shift = len(b"numpy._core.") - len(b"numpy.core.")
        if protocol >= 4:  # the lengths of the names, and of the frame which we do not rely on
            for name in (b"numpy.core.multiarray", b"numpy.core.numeric"):
                old = old.replace(bytes([len(name) + shift]) + name, bytes([len(name)]) + name)
            old = old[:3] + struct.pack("<Q", 0) + old[11:]
        assert old != data
        assert plain(old)["n"] == 3
        assert bytes_of(old, plain(old)["a"]) == np.arange(4000.0).tobytes()


@pytest.mark.parametrize("protocol", BINARY)
def test_data_dat(protocol: int) -> None:
    history = [[i / 7, -i / 3] for i in range(3000)]
    data = data_dat(history, protocol)
    source = CountingSource(data)
    value: Any = load_plain(source)
    assert source.read < len(data) / 2
    assert list(value) == ["iter", "options", "loss_history", "sample_for_preview", "choosed_gpu_indexes"]
    assert value["options"] == {"batch_size": 8, "lr": 5e-5, "archi": "liae-ud", "gan": False}
    assert value["iter"] == 3000
    rows = float_rows(value["loss_history"])
    assert (len(rows), rows.columns) == (3000, 2)
    assert rows.values.tolist() == [loss for row in history for loss in row]
    second = value["sample_for_preview"][1][0]
    assert (second.dtype, second.shape) == ("float32", (2, 64, 64, 3))
    assert bytes_of(data, second) == np.full((2, 64, 64, 3), 2, "f4").tobytes()
    names = [region.name for region in scan(MemorySource(data))]
    assert names == [f"sample_for_preview/{i}/{j}" for i in (0, 1) for j in (0, 1)]


def pickled_by_python(value: object, protocol: int) -> bytes:
    """The other pickler that there is; it breaks frames and batches elsewhere."""
    out = io.BytesIO()
    pickle._Pickler(out, protocol).dump(value)
    return out.getvalue()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 300, 999, 1000, 1001, 2001])
def test_rows_of_floats(protocol: int, columns: int, count: int) -> None:
    history = [[i + column / 8 for column in range(columns)] for i in range(count)]
    shared = ["after"]
    value = {"before": shared, "h": history, "after": [shared, shared, history]}
    for data in (pickle.dumps(value, protocol), pickled_by_python(value, protocol)):
        found = plain(data)
        rows = float_rows(found["h"])
        assert rows == FloatRows(columns if count else 0, array("d", [x for row in history for x in row]))
        assert found["after"] == [shared, shared, found["h"]]
        assert found["after"][0] is found["before"]
        assert (count < 4) == (not any(isinstance(row, FloatRows) for row in found["h"]))


def test_float_values_of_a_fast_run_keep_every_bit() -> None:
    rng = np.random.default_rng(2)
    values = np.frombuffer(rng.bytes(8 * 4000), "f8").copy()
    values[:4] = [np.nan, np.inf, -np.inf, -0.0]
    history = values.reshape(-1, 2).tolist()
    for protocol in PROTOCOLS:
        rows = float_rows(plain(pickle.dumps(history, protocol)))
        assert rows.values.tobytes() == np.array(history).tobytes()
        assert math.isnan(rows.values[0])


def test_runs_that_something_else_than_a_list_takes_are_lists_again() -> None:
    rows = [[float(i), 0.5] for i in range(8)]
    for protocol in PROTOCOLS:
        for value in (tuple(rows), [rows[0], *rows[1:5], (rows[5], rows[6], rows[7])]):
            found = plain(pickle.dumps(value, protocol))
            if isinstance(value, tuple):
                assert found == value
            else:
                assert found[-1] == value[-1]
                assert float_rows(found[:-1]).values.tolist() == [x for row in rows[:5] for x in row]


def test_what_follows_a_run_may_change_its_last_row() -> None:
    run_of_rows = b"".join(row([i, i]) for i in range(5))
    found = plain(b"\x80\x03(" + run_of_rows + b"K\x07at.")
    assert found == tuple([[i, i] for i in range(4)] + [[4, 4, 7]])
    found = plain(b"\x80\x03(" + run_of_rows + b"02t.")
    assert found == ([0, 0], [1, 1], [2, 2], [3, 3], [3, 3])
    assert found[3] is found[4]


def test_rows_of_a_run_are_not_kept_for_later() -> None:
    rows = b"".join(row([i, i], b"q" + bytes([i])) for i in range(5))
    with pytest.raises(FormatError, match="refers to value 3"):
        plain(b"\x80\x03(" + rows + b"h\x03t.")
    found = plain(b"\x80\x03(" + rows + b"\x8c\x01xq\x05h\x05t.")
    assert found[-2:] == ("x", "x")
    reused = b"\x80\x03\x8c\x01xq\x00(" + rows + b"h\x00t."
    assert plain(reused)[-1] == [0, 0], "a memo number that is given again stands for the new value"


def test_float_rows_joins_what_it_is_given_and_refuses_the_rest() -> None:
    run_of_rows = FloatRows(2, array("d", [1, 2, 3, 4]))
    joined = float_rows([[0, 0.5], run_of_rows, [5, 6]])
    assert joined == FloatRows(2, array("d", [0, 0.5, 1, 2, 3, 4, 5, 6]))
    assert len(float_rows([])) == 0
    ragged: list[object] = [[[1], [1, 2]], [run_of_rows, [1]], [[]]]
    others: list[object] = [None, "ab", [["1"]], [[True]], [1.0], [[10**400]]]
    for bad in ragged + others:
        with pytest.raises(FormatError):
            float_rows(bad)


def test_rows_of_different_lengths_are_not_joined() -> None:
    for protocol in BINARY:
        found = plain(pickle.dumps([[0.5, 2.0] for _ in "abcdef"] + [[1.0, 2.0, 3.0] for _ in "abcdef"], protocol))
        assert found == [FloatRows(2, array("d", [0.5, 2.0] * 6)), FloatRows(3, array("d", [1.0, 2.0, 3.0] * 6))]
        with pytest.raises(FormatError, match="differ"):
            float_rows(found)


def test_parts_that_are_shared_are_walked_once() -> None:
    shared: list[object] = ["leaf"]
    for _ in range(40):
        shared = [shared, shared]
    array_after = np.arange(5, dtype="f4")
    data = pickle.dumps({"shared": shared, "w": array_after}, 4)
    assert_same_bytes(data, scan(MemorySource(data)), {"w": array_after})
