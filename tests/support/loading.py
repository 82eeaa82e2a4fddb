"""What DeepFaceLab does with a folder when it starts, as docs/deepfacelab.md tells it.

Without data.dat it is a first run, and everything is initialised. With it each weight file is read: one that is missing
or of other shapes is initialised afresh without a word, one that is cut short stops the trainer with an error. Without
the optimizer's file only the moments begin anew.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Started", "start"]

_OPTIMIZER = "src_dst_opt"
_WEIGHTS = ("encoder", "inter_AB", "inter_B", "decoder")


@dataclass(frozen=True)
class Started:
    """How a start went: ``kind`` is ``first run``, ``error`` or ``goes on``; from which iteration, with which numbers.

    ``afresh`` are the weight files that the trainer initialised though it took the model for one that goes on.
    """

    kind: str
    iteration: int | None = None
    numbers: dict[str, bytes] | None = None
    afresh: tuple[str, ...] = ()


def start(folder: Path, name: str) -> Started:
    """Start a SAEHD model as the trainer does, without changing anything."""
    data = folder / f"{name}_data.dat"
    if not data.exists():
        return Started("first run")
    try:
        state = pickle.loads(data.read_bytes())
        files = {role: _load(folder / f"{name}_{role}.npy") for role in (*_WEIGHTS, _OPTIMIZER)}
    except (pickle.UnpicklingError, EOFError, ValueError):
        return Started("error")
    found = {role: numbers for role, numbers in files.items() if numbers is not None}
    afresh = tuple(role for role in _WEIGHTS if role not in found)
    return Started("goes on", state["iter"], {role: _bytes(numbers) for role, numbers in found.items()}, afresh)


def _load(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    loaded = pickle.loads(path.read_bytes())
    assert isinstance(loaded, dict)
    return loaded


def _bytes(numbers: dict[str, Any]) -> bytes:
    """Return names, shapes and bytes of all tensors as one: two are equal only if every number is."""
    parts = [(name, getattr(value, "shape", ()), value.tobytes()) for name, value in sorted(numbers.items())]
    return pickle.dumps(parts, 4)
