"""The stack, the memo and the bounds of one run of the pickle machine.

It owns the invariant that no pickle, however made, costs more than its bounds: opcodes, depth, bytes kept
and seconds of this thread.
"""

from __future__ import annotations

import time

from casvault.errors import FormatError
from casvault.files.source import ByteSource
from casvault.formats.pickle_numpy import PendingArray
from casvault.formats.values import FloatRows, Global, InlineBytes, Opaque, Span, Tensor
from casvault.formats.window import Window

__all__ = ["State"]

_LONGEST_BYTES = 4 << 10
_LONGEST_TEXT = 64 << 10
_CHECK_EVERY = 2048
_LONGEST_KEY = 16
_KEYS = frozenset({str, int, float, bool, type(None), bytes, InlineBytes})


class State:
    """What the opcodes work on. Every method raises FormatError when the pickle makes no sense."""

    def __init__(
        self,
        source: ByteSource,
        *,
        strict: bool,
        max_nodes: int,
        max_depth: int,
        max_bytes: int,
        cpu_seconds: float,
    ) -> None:
        self.strict = strict
        self.window = Window(source)
        self.size = source.size
        self.stack: list[object] = []
        self._marks: list[list[object]] = []
        self._memo: dict[int, object] = {}
        self._memo_next = 0
        self._memo_dense = True
        self._max_nodes = max_nodes
        self._max_depth = max_depth
        self._bytes_left = max_bytes
        self._deadline = time.thread_time() + cpu_seconds
        self._nodes = 0
        self._next_check = 0

    def spend(self, nodes: int) -> None:
        """Count ``nodes`` opcodes' worth of work; look at the clock now and then."""
        self._nodes += nodes
        if self._nodes >= self._next_check:
            if self._nodes > self._max_nodes or time.thread_time() > self._deadline:
                raise FormatError("the pickle takes too much work to read")
            self._next_check = min(self._nodes + _CHECK_EVERY, self._max_nodes + 1)

    def charge(self, size: int) -> None:
        """Count ``size`` bytes of memory kept, roughly."""
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise FormatError("the pickle takes too much memory to read")

    def push(self, value: object) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def top(self) -> object:
        """Return the value on top."""
        if not self.stack:
            raise FormatError("the pickle takes more from its stack than it put there")
        if type(self.stack[-1]) is FloatRows:
            self.stack.extend(self._unroll([self.stack.pop()]))
        return self.stack[-1]

    def pop(self) -> object:
        """Take the value on top."""
        value = self.top()
        self.stack.pop()
        return value

    def mark(self) -> None:
        """Start a group of values."""
        if len(self._marks) >= self._max_depth:
            raise FormatError("the pickle is nested too deeply")
        self.charge(72)
        self._marks.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[object]:
        """Take all values since the last mark; runs of float rows stand as FloatRows."""
        if not self._marks:
            raise FormatError("the pickle ends a group that it did not start")
        items = self.stack
        self.stack = self._marks.pop()
        return items

    def pop_items(self) -> list[object]:
        """Take all values since the last mark, each row of floats as a list of its own."""
        return self._unroll(self.pop_mark())

    def _unroll(self, items: list[object]) -> list[object]:
        if not any(type(item) is FloatRows for item in items):
            return items
        flat: list[object] = []
        for item in items:
            if isinstance(item, FloatRows):
                self.spend(len(item.values))
                self.charge(len(item.values) * 40 + len(item) * 72)
                starts = range(0, len(item.values), item.columns)
                flat.extend(item.values[i : i + item.columns].tolist() for i in starts)
            else:
                flat.append(item)
        return flat

    def put(self, index: int) -> None:
        """Remember the value on top as ``index``."""
        value = self.top()
        self.charge(100)
        if isinstance(value, PendingArray):
            value.memo.append(index)
        self._memo[index] = value
        self._memo_dense = self._memo_dense and index <= self._memo_next
        self._memo_next = max(self._memo_next, index + 1)

    def put_next(self) -> None:
        """Remember the value on top under the next free number."""
        if not self._memo_dense:
            raise FormatError("the pickle numbers its memo in two ways")
        self.put(self._memo_next)

    def pass_over(self, count: int, first: int | None) -> bool:
        """Number ``count`` values that are not kept, from ``first``; False when that is not safe."""
        if not self._memo_dense or first not in (None, self._memo_next):
            return False
        self._memo_next += count
        return True

    def get(self, index: int) -> object:
        """Return what was remembered as ``index``."""
        try:
            return self._memo[index]
        except KeyError as error:
            raise FormatError(f"the pickle refers to value {index}, which was not kept") from error

    def replace_array(self, array: PendingArray, value: Tensor | Opaque) -> None:
        """Put what an array turned out to be wherever the array on top is remembered."""
        self.stack[-1] = value
        for index in array.memo:
            if self._memo[index] is array:
                self._memo[index] = value

    def key(self, value: object) -> object:
        """Return something that can safely be hashed for ``value``.

        Only text has a hash that a file's author cannot foresee, so other keys cost more: many of them
        could be made to collide.
        """
        kind = type(value)
        if kind is str:
            return value
        self.spend(64)
        if kind in _KEYS:
            return value
        if isinstance(value, tuple) and len(value) <= _LONGEST_KEY and all(type(v) in _KEYS for v in value):
            return value
        if self.strict:
            raise FormatError("the pickle has a key that is not a plain value")
        return value if isinstance(value, (Global, Opaque)) else Opaque(None, (value,))

    def payload(self, length: int) -> InlineBytes | Span:
        """Take bytes: short ones are read, long ones stay where they are."""
        offset = self.window.position
        if length > _LONGEST_BYTES:
            self.window.skip(length)
            self.charge(120)
            return Span(offset, length)
        self.charge(250 + length)
        value = InlineBytes(self.window.take(length))
        value.offset = offset
        return value

    def text(self, length: int, encoding: str = "utf-8") -> str | Span:
        """Take text: anything but a very long one is read; what cannot be decoded is replaced."""
        offset = self.window.position
        if length > _LONGEST_TEXT:
            self.window.skip(length)
            self.charge(120)
            return Span(offset, length)
        self.charge(64 + 4 * length)
        return self.window.take(length).decode(encoding, "replace")
