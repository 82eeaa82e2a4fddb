"""Differences: what a comparison found, in words and in shares of a bar, as the page of the comparison shows it.

Owns the invariant that however many tensors a model has, or claims to have, a page has so many rows at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from casvault.api import Diff, FileChange, TensorChange, ValueChange
from casvault.figures import size
from casvault.panel.words import exact, moment_of

__all__ = ["Differences", "Moved", "Part", "Value", "differences_of"]

_MOST = 500
"""Tensors of a part that are on a page; the command line shows all."""
_FIRST = {"weights": 15, "optimizer": 5, "records": 5}
"""How many of them are seen at first."""
_TITLES = {"weights": "Weights", "optimizer": "Optimizer", "records": "What the trainer notes down"}
_NAMES = {"saved_at": "Saved", "iteration": "Iteration", "model": "Model", "type": "Type"}
_LONGEST = 300


@dataclass(frozen=True)
class Value:
    """Something that is another now: its name, both values, and where they are numbers by how much."""

    name: str
    a: str
    b: str
    by: str = ""
    better: bool | None = None


@dataclass(frozen=True)
class Moved:
    """A tensor: how far it moved, as text and as a length from 0 to 100."""

    name: str
    file: str
    shape: str
    text: str
    length: float


@dataclass(frozen=True)
class Part:
    """The tensors of the weights, of the optimizer, or of what the trainer notes down; what moved most comes first."""

    title: str
    told: str
    first: tuple[Moved, ...]
    rest: tuple[Moved, ...]
    left_out: int


@dataclass(frozen=True)
class File:
    """A file: what became of it, its sizes, how many of its tensors changed, and how far the middle one moved."""

    role: str
    change: str
    sizes: str
    tensors: str
    typical: str
    length: float


@dataclass(frozen=True)
class Differences:
    """All that differs; ``same`` says that nothing does."""

    same: bool
    losses: tuple[Value, ...]
    options: tuple[Value, ...]
    state: tuple[Value, ...]
    files: tuple[File, ...]
    parts: tuple[Part, ...]


def differences_of(found: Diff) -> Differences:
    """Return a comparison in words."""
    losses = [one for one in found.metadata if one.key.startswith(("loss ", "last loss "))]
    others = [one for one in found.metadata if one not in losses]
    return Differences(
        found.same,
        tuple(_loss(one) for one in losses),
        tuple(_value(one) for one in found.options),
        tuple(_value(one) for one in others),
        tuple(_files(found)),
        tuple(_parts(found.tensors)),
    )


def _loss(change: ValueChange) -> Value:
    a, b = change.a, change.b
    name = change.key.removeprefix("loss ")
    if not (_is_number(a) and _is_number(b)) or a == 0:
        return Value(name, _text(a), _text(b))
    return Value(name, f"{a:.4f}", f"{b:.4f}", f"{(b - a) / abs(a):+.1%}", b < a)


def _value(change: ValueChange) -> Value:
    name = _NAMES.get(change.key, change.key)
    if change.key == "saved_at":
        before, after = (exact(moment_of(each)) if each else "unknown" for each in (change.a, change.b))
        return Value(name, before, after)
    if change.key == "iteration" and _is_number(change.a) and _is_number(change.b):
        return Value(name, f"{change.a:,}", f"{change.b:,}", f"{change.b - change.a:+,}")
    return Value(name, _text(change.a), _text(change.b))


def _text(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:_LONGEST]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _files(found: Diff) -> Iterable[File]:
    middles = {file.role: _middle(found.tensors, file.role) for file in found.files}
    most = max((value for value in middles.values() if value is not None), default=0.0)
    for file in found.files:
        middle = middles[file.role]
        text = "" if middle is None else f"{middle:.2%}"
        length = 100 * middle / most if middle is not None and most else 0.0
        yield File(file.role, file.change, _sizes(file), _counts(file), text, round(length, 2))


def _middle(tensors: Iterable[TensorChange], role: str) -> float | None:
    moved = [one.relative for one in tensors if one.role == role and one.change == "changed" and one.relative]
    return median(moved) if moved else None


def _sizes(file: FileChange) -> str:
    return " → ".join(dict.fromkeys(size(number) for number in (file.size_a, file.size_b) if number is not None))


def _counts(file: FileChange) -> str:
    return f"{file.moved:,} of {file.tensors:,}" if file.tensors else "-"


def _parts(tensors: Sequence[TensorChange]) -> Iterable[Part]:
    for part, title in _TITLES.items():
        mine = [one for one in tensors if one.part == part]
        changed = [one for one in mine if one.change != "same"]
        if not mine or (part == "records" and not changed):
            continue
        most = max((one.relative for one in changed if one.relative is not None), default=0.0)
        shown = [_moved(one, most) for one in changed[:_MOST]]
        told = f"{len(changed):,} of {len(mine):,} changed"
        first = _FIRST[part]
        yield Part(title, told, tuple(shown[:first]), tuple(shown[first:]), len(changed) - len(shown))


def _moved(tensor: TensorChange, most: float) -> Moved:
    length = 100 * tensor.relative / most if tensor.relative is not None and most else 0.0
    return Moved(tensor.name, tensor.role, _shape(tensor), _how_far(tensor), round(length, 2))


def _how_far(tensor: TensorChange) -> str:
    if tensor.change != "changed":
        return tensor.change
    if tensor.relative is not None:
        return f"{tensor.relative:.2%}"
    return "from zero" if tensor.rms_a == 0 else "not a number" if tensor.differing else "changed"


def _shape(tensor: TensorChange) -> str:
    kinds = [kind for kind in (tensor.kind_a, tensor.kind_b) if kind is not None]
    return " → ".join(dict.fromkeys("x".join(map(str, shape)) or "1" for _, shape in kinds))
