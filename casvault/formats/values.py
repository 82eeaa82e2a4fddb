"""What a scanned pickle is made of, beside Python's own plain values.

None of these can do anything: they say what stands in the file and where.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

__all__ = ["FloatRows", "Global", "InlineBytes", "Opaque", "PersistentId", "Span", "Tensor"]


@dataclass(frozen=True, slots=True)
class Span:
    """A long bytes or text payload left where it is: ``size`` bytes at ``offset`` of the source."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A numpy array: ``size`` little-endian bytes at ``offset`` of the source.

    ``dtype`` is a key of ITEM_SIZES; ``shape`` is in storage order, the slowest axis first.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass
class FloatRows:
    """Many rows of ``columns`` floats each, kept as one array, row after row; its length is their number."""

    columns: int
    values: array[float]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values) // self.columns if self.columns else 0


class InlineBytes(bytes):
    """A short bytes payload that was read; it remembers its ``offset`` in the source."""

    offset: int


@dataclass(frozen=True, slots=True)
class Global:
    """The name of a class or function that a pickle refers to; it was not looked up."""

    module: str
    name: str


class PersistentId:
    """What a pickle refers to by an id of its own; torch names its storages this way."""

    __slots__ = ("id",)

    def __init__(self, identifier: object) -> None:
        self.id = identifier


class Opaque:
    """An object that was described and not made.

    ``callable`` and ``args`` are what would have been called; ``state``, ``items`` and ``mapping`` what
    would have been put into the result. It compares by identity, so that it can stand for a dict's key.
    """

    __slots__ = ("args", "callable", "items", "mapping", "state")

    def __init__(self, function: object, args: object) -> None:
        self.callable = function
        self.args = args
        self.state: object = None
        self.items: list[object] = []
        self.mapping: dict[object, object] = {}
