"""What a comparison found: the values that `casvault diff` prints. A is what was there before, B what came after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Diff", "FileChange", "Side", "TensorChange", "ValueChange"]


@dataclass(frozen=True)
class Side:
    """One of the two; ``snapshot`` is its id, None of a live model; ``incomplete`` says why it is no whole save."""

    title: str
    snapshot: str | None
    model: str
    folder: str
    iteration: int | None
    saved_at: str | None
    incomplete: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the side for `--json`."""
        return {
            "snapshot": self.snapshot,
            "model": self.model,
            "folder": self.folder,
            "iteration": self.iteration,
            "saved_at": self.saved_at,
            "incomplete": self.incomplete,
        }


@dataclass(frozen=True)
class FileChange:
    """One file, by its role. ``change`` is added, removed, changed or same (byte for byte); sizes in bytes, None where
    it is not there; ``tensors`` are those that both have, ``moved`` how many of them changed.
    """

    role: str
    change: str
    size_a: int | None
    size_b: int | None
    tensors: int = 0
    moved: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the change for `--json`."""
        return {
            "role": self.role,
            "change": self.change,
            "size_a": self.size_a,
            "size_b": self.size_b,
            "tensors": self.tensors,
            "tensors_changed": self.moved,
        }


@dataclass(frozen=True)
class TensorChange:
    """One tensor, by the role of its file and its name.

    ``change`` is added, removed, reshaped (another shape or dtype), changed or same. ``relative`` is the root mean
    square of the difference by that of A, ``rms_difference`` / ``rms_a``. It is None where one of them is not finite,
    A is zero all over, or bytes are not kept any more; of what did not change only ``relative`` is told, which is 0.
    ``part`` is weights, optimizer or records: what the trainer notes down.
    """

    role: str
    name: str
    part: str
    change: str
    kind_a: tuple[str, tuple[int, ...]] | None
    kind_b: tuple[str, tuple[int, ...]] | None
    rms_a: float | None = None
    rms_difference: float | None = None
    relative: float | None = None
    differing: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the change for `--json`."""
        return {
            "role": self.role,
            "name": self.name,
            "part": self.part,
            "change": self.change,
            "a": _kind(self.kind_a),
            "b": _kind(self.kind_b),
            "rms_a": self.rms_a,
            "rms_difference": self.rms_difference,
            "relative": self.relative,
            "numbers_changed": self.differing,
        }


@dataclass(frozen=True)
class ValueChange:
    """Something that is told beside the tensors and is another now; None is unknown, or not set."""

    key: str
    a: Any
    b: Any

    def to_json(self) -> dict[str, Any]:
        """Return the change for `--json`."""
        return {"key": self.key, "a": self.a, "b": self.b}


@dataclass(frozen=True)
class Diff:
    """How B differs from A. ``tensors`` are sorted: what moved most first, what did not change last."""

    a: Side
    b: Side
    files: tuple[FileChange, ...]
    tensors: tuple[TensorChange, ...]
    metadata: tuple[ValueChange, ...]
    options: tuple[ValueChange, ...]

    @property
    def same(self) -> bool:
        """Whether all files are the same, byte for byte."""
        return all(file.change == "same" for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison for `--json`."""
        return {
            "same": self.same,
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "files": [file.to_json() for file in self.files],
            "tensors": [tensor.to_json() for tensor in self.tensors],
            "metadata": [value.to_json() for value in self.metadata],
            "options": [value.to_json() for value in self.options],
        }


def _kind(kind: tuple[str, tuple[int, ...]] | None) -> dict[str, Any] | None:
    return None if kind is None else {"dtype": kind[0], "shape": list(kind[1])}
