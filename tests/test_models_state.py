"""What a DeepFaceLab model tells of itself: iteration, losses, options, and whether its files are of one save."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from casvault.files.source import ByteSource, MemorySource
from casvault.models import DeepFaceLab, Generic, State

DFL = DeepFaceLab()
PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3, 4, 5])
NAN = math.nan


def _reader(**roles: bytes) -> Callable[[str], ByteSource | None]:
    sources = {name.replace("__", "."): MemorySource(data) for name, data in roles.items()}
    return sources.get


def _data(protocol: int = 4, **values: Any) -> bytes:
    record = {"iter": 3, "options": {"archi": "liae-ud"}, "loss_history": [[1.0, 2.0]], **values}
    preview = [[np.zeros((2, 8, 8, 3), np.float32)]]
    return pickle.dumps({**record, "sample_for_preview": preview, "choosed_gpu_indexes": [0]}, protocol)


def _state(protocol: int = 4, **values: Any) -> State:
    return DFL.state(_reader(data__dat=_data(protocol, **values)), "SAEHD")


@PROTOCOLS
def test_everything_is_read(protocol: int) -> None:
    history = [[float(i), i / 2] for i in range(250)]
    options = {
        "archi": "df-ud",
        "adabelief": True,
        "batch_size": 8,
        "gan_power": 0.1,
        "resolution": np.int64(224),
        "lr": np.float64(0.5),
        "ae_dims": np.int32(256),
        "clip": np.float32(0.25),
        "on": np.bool_(True),
    }
    state = _state(protocol, iter=250, options=options, loss_history=history)
    assert state.problems == ()
    assert state.iteration == 250
    assert state.loss == {"src": 199.5, "dst": 99.75}
    assert state.loss_last == {"src": 249.0, "dst": 124.5}
    assert state.options is not None
    assert state.options == {
        "archi": "df-ud",
        "adabelief": True,
        "batch_size": 8,
        "gan_power": 0.1,
        "resolution": 224,
        "lr": 0.5,
        "ae_dims": 256,
        "clip": 0.25,
        "on": True,
    }
    assert {type(value) for value in state.options.values()} <= {str, bool, int, float}
    assert state.options["adabelief"] is True


@pytest.mark.parametrize(
    ("history", "loss", "last"),
    [
        ([[0.5], [0.25]], {"loss": 0.375}, {"loss": 0.25}),
        ([[1.0, 2.0]], {"src": 1.0, "dst": 2.0}, {"src": 1.0, "dst": 2.0}),
        (
            [[1.0, 2.0, 3.0]],
            {"loss_1": 1.0, "loss_2": 2.0, "loss_3": 3.0},
            {"loss_1": 1.0, "loss_2": 2.0, "loss_3": 3.0},
        ),
        ([], None, None),
        (None, None, None),
    ],
)
def test_losses_by_column(history: Any, loss: Any, last: Any) -> None:
    state = _state(loss_history=history)
    assert (state.loss, state.loss_last, state.problems) == (loss, last, ())


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_losses_that_are_not_finite_are_none_and_told(bad: float) -> None:
    state = _state(loss_history=[[1.0, 2.0]] * 50 + [[bad, 2.0]] + [[3.0, 4.0]])
    assert state.loss is not None
    assert state.loss["src"] is None
    assert state.loss["dst"] == pytest.approx(106 / 52)
    assert state.loss_last == {"src": 3.0, "dst": 4.0}
    assert len(state.problems) == 1
    assert "'src'" in state.problems[0]
    ended = _state(loss_history=[[1.0, 2.0], [1.0, bad]])
    assert ended.loss_last == {"src": 1.0, "dst": None}


def test_a_loss_that_was_not_finite_long_ago_is_forgotten() -> None:
    state = _state(loss_history=[[NAN, 1.0]] + [[2.0, 1.0]] * 100)
    assert state.loss == {"src": 2.0, "dst": 1.0}
    assert state.problems == ()


def test_a_mean_beyond_all_floats_is_none() -> None:
    state = _state(loss_history=[[1e308, 1.0]] * 3)
    assert state.loss == {"src": None, "dst": 1.0}
    assert state.loss_last == {"src": 1e308, "dst": 1.0}


def test_options_fit_into_a_manifest() -> None:
    odd = {
        "text": "x" * 5000,
        "surrogate": "a\ud800b",
        "nan": NAN,
        "huge": 1 << 70,
        "none": None,
        "list": [1, "a", 2.5],
        "nested": [[1]],
        "dict": {"a": 1},
        "array": np.zeros(4, np.float32),
        7: "number as a key",
    }
    kept = _state(options={**odd, **{f"option {i}": i for i in range(500)}}).options
    assert kept is not None
    assert len(kept) == 200
    assert kept["text"] == "x" * 1000
    assert str(kept["surrogate"]).replace("?", "").replace("\ufffd", "") == "ab"
    assert kept["nan"] == "nan"
    assert kept["list"] == "1, a, 2.5"
    assert not {"huge", "none", "nested", "dict", "array", 7} & kept.keys()
    json.dumps(kept, allow_nan=False, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize("iteration", [-1, True, 1.5, "3", None, 1 << 63])
def test_an_iteration_that_is_none_is_told(iteration: Any) -> None:
    state = _state(iter=iteration)
    assert state.iteration is None
    assert state.problems
    assert state.loss == {"src": 1.0, "dst": 2.0}


def test_rows_of_different_length_are_told() -> None:
    state = _state(loss_history=[[1.0, 2.0], [1.0]])
    assert (state.iteration, state.loss, state.loss_last) == (3, None, None)
    assert len(state.problems) == 1


def test_a_history_of_a_thousand_columns_is_told() -> None:
    state = _state(loss_history=[[1.0] * 1000])
    assert state.loss is None
    assert "1000 columns" in state.problems[0]


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 4096, b"not a pickle", pickle.dumps([1, 2, 3]), _data()[:-20], _data()[:40], pickle.dumps(5)],
)
def test_an_unreadable_file_is_told(data: bytes) -> None:
    state = DFL.state(_reader(data__dat=data), "SAEHD")
    assert (state.iteration, state.loss, state.loss_last, state.options) == (None, None, None, None)
    assert len(state.problems) == 1
    assert "data.dat" in state.problems[0]


def test_a_file_that_cannot_be_read_is_told() -> None:
    class Broken:
        size = 100

        def read_at(self, offset: int, length: int) -> bytes:
            raise OSError(5, "Input/output error")

    state = DFL.state(lambda role: Broken(), "SAEHD")
    assert state.iteration is None
    assert "Input/output error" in state.problems[0]


def test_without_data_dat_the_summary_is_not_believed() -> None:
    state = DFL.state(_reader(summary__txt=_summary(77)), "SAEHD")
    assert state.iteration is None
    assert "data.dat" in state.problems[0]


def test_a_hostile_file_runs_nothing(tmp_path: Any) -> None:
    sign = tmp_path / "sign"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {sign}",)

    state = _state(options=Evil())
    assert not sign.exists()
    assert state.iteration is None or state.options is None
    pickle.loads(_data(options=Evil()))
    assert sign.exists(), "the pickle of this test must be able to do harm"


def test_a_hostile_file_imports_nothing() -> None:
    code = (
        "import sys\n"
        "from casvault.files.source import MemorySource\n"
        "from casvault.models import DeepFaceLab\n"
        "data = b'\\x80\\x04}\\x8c\\x04iter' + b'cantigravity\\nfly\\n)R' + b's.'\n"
        "state = DeepFaceLab().state(lambda role: MemorySource(data), 'SAEHD')\n"
        "assert state.iteration is None and state.problems, state\n"
        "assert 'antigravity' not in sys.modules and 'numpy' not in sys.modules and 'pickle' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def _summary(iteration: object) -> bytes:
    return (
        "=========== Model Summary ============\n"
        "==                                  ==\n"
        "==            Model name: new_SAEHD ==\n"
        "==                                  ==\n"
        f"==     Current iteration: {iteration!s:<10}==\n"
        "==--------- Model Options ----------==\n"
        "==           target_iter: 9         ==\n"
    ).encode()


@pytest.mark.parametrize(
    ("summary", "iteration", "reason"),
    [
        (None, 3, None),
        (_summary(3), 3, None),
        (_summary(0), 0, None),
        (_summary(3).replace(b"\n", b"\r\n"), 3, None),
        (_summary(4), 3, "iteration 4"),
        (_summary(30), 3, "iteration 30"),
        (_summary(3), None, None),
        (b"", 3, "half-written"),
        (b"", None, "half-written"),
        (_summary(3)[:100], 3, "half-written"),
        (_summary(12345)[: _summary(12345).index(b"12345") + 2], 12, "half-written"),
        (_summary("x"), 3, "half-written"),
        (_summary(-3), 3, "half-written"),
        (b"\0" * 500, 3, "half-written"),
        (_summary(3).replace(b"new_SAEHD", b"Current iteration: 9 x_SAEHD"), 3, None),
        (_summary(3).replace(b"new_SAEHD", "лицо".encode("cp1251")), 3, None),
        (b" " * (1 << 20) + _summary(3), 3, "half-written"),
    ],
)
def test_torn(summary: bytes | None, iteration: int | None, reason: str | None) -> None:
    read = _reader() if summary is None else _reader(summary__txt=summary)
    found = DFL.torn(read, State(iteration=iteration))
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert reason in found


def test_a_generic_model_tells_nothing() -> None:
    assert Generic().state(_reader(data__dat=_data()), None) == State()
    assert Generic().torn(_reader(summary__txt=b""), State()) is None


@pytest.mark.parametrize(
    ("start", "end", "cut"),
    [
        (b"\x80\x04", b"u.", False),
        (b"\x93NUMPY", b"\0\0", False),
        (b"\x80\x04", b"u", True),
        (b"\0\0", b"\0.", True),
        (b"", b"", True),
    ],
)
def test_a_weight_file_that_a_power_cut_left_is_named(start: bytes, end: bytes, cut: bool) -> None:
    read = _reader(**{"encoder__npy": start + end, "data__dat": b"\0"})
    told = DFL.damage(read, ["encoder.npy", "data.dat"])
    assert told == (["encoder.npy is empty, cut short or overwritten."] if cut else [])
