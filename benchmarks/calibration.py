"""How well generated saves resemble real ones: sizes after simple codings, as parts of the plain bytes.

The codings are written out here, on whole tensors, and are not casvault's own: what is measured must not change with
what is tried. Planes: words rotated left by one bit, each byte plane as zstd. Difference: numbers in their order as
integers, minus those of the save before, folded to unsigned, byte planes. Rank-one: the same, minus the means of rows
and columns of that difference.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from benchmarks.tensors import CLASSES, Tensor, read_tensors

__all__ = ["calibrate"]

_SIZE = 37_000_000
_Save = dict[str, Tensor]
_Coding = Callable[[Any, Any, int], int]


def calibrate(place: Path, trajectory: Path | None) -> str:
    """Return a table of real figures, where there are real saves 500 iterations apart, beside generated ones."""
    far = _generate(place / "far", 3, 500)
    columns = {"generated": _figures(far)}
    if trajectory is not None:
        folders = sorted(path for path in trajectory.iterdir() if path.is_dir())
        columns = {"real": _figures([read_tensors(folder) for folder in folders[-3:]]), **columns}
    for apart in (10, 100):
        near = _generate(place / f"apart_{apart}", 2, apart)
        columns["generated"] |= _near(near, apart)
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name in columns["generated"]:
        cells = [f"{column[name]:.3f}" if name in column else "" for column in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _generate(folder: Path, saves: int, apart: int) -> list[_Save]:
    command = [sys.executable, "-m", "benchmarks.drift", str(folder)]
    subprocess.run([*command, f"--size={_SIZE}", f"--saves={saves}", f"--apart={apart}"], check=True)
    return [read_tensors(folder / f"{number:02}") for number in range(saves)]


def _figures(saves: Sequence[_Save]) -> dict[str, float]:
    figures = {}
    for kind in CLASSES:
        figures[f"{kind}: planes"] = _share(saves[-1], saves[-1], kind, _planes)
        figures[f"{kind}: rank-one alone"] = _share(saves[-1], None, kind, _rank_one)
        for number in range(1, len(saves)):
            label = f"{kind}: difference, 500 apart, save {number} to {number + 1}"
            figures[label] = _share(saves[number], saves[number - 1], kind, _difference)
        if len(saves) > 2:
            figures[f"{kind}: difference, 1,000 apart"] = _share(saves[2], saves[0], kind, _difference)
        figures[f"{kind}: rank-one difference, 500 apart"] = _share(saves[-1], saves[-2], kind, _rank_one)
    return figures


def _near(saves: Sequence[_Save], apart: int) -> dict[str, float]:
    return {
        f"{kind}: difference, {apart} apart": _share(saves[1], saves[0], kind, _difference)
        for kind in ("weights", "vs")
    }


def _share(save: _Save, base: _Save | None, kind: str, coding: _Coding) -> float:
    wanted = [tensor for tensor in save.values() if tensor.kind == kind]
    coded = 0
    for tensor in wanted:
        words = np.frombuffer(tensor.data, "<u4")
        before = np.frombuffer(base[tensor.name].data, "<u4") if base is not None else np.zeros_like(words)
        coded += coding(words, before, tensor.row_length)
    return coded / sum(len(tensor.data) for tensor in wanted)


def _planes(words: Any, _: Any, __: int) -> int:
    return _coded((words << np.uint32(1)) | (words >> np.uint32(31)))


def _difference(words: Any, before: Any, _: int) -> int:
    return _coded(_folded(_ordered(words) - _ordered(before)))


def _rank_one(words: Any, before: Any, row_length: int) -> int:
    change = (_ordered(words) - _ordered(before)).reshape(-1, row_length)
    told = change.mean(axis=1, keepdims=True) + change.mean(axis=0, keepdims=True) - change.mean()
    return _coded(_folded(change - np.rint(told).astype(np.int64)).reshape(-1))


def _ordered(words: Any) -> Any:
    """Return integers in the order of the floats that the words are."""
    signed = words.view("<i4").astype(np.int64)
    return np.where(signed < 0, -(signed & 0x7FFFFFFF), signed)


def _folded(change: Any) -> Any:
    wrapped = change.astype(np.uint64).astype(np.uint32).view(np.int32)
    return ((wrapped << 1) ^ (wrapped >> 31)).view(np.uint32)


def _coded(words: Any) -> int:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, min_match=7, hash_log=6, window_log=18)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    columns = np.ascontiguousarray(words).view(np.uint8).reshape(-1, 4)
    planes = [columns[:, weight].tobytes() for weight in range(4)]
    return sum(min(len(plane), len(compressor.compress(plane))) for plane in planes)
