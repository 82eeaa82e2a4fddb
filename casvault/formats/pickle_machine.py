"""A bounded interpreter of pickles that imports nothing, calls nothing and leaves long payloads in the file.

It tells what a pickle holds: plain values, numpy arrays as Tensors, anything else (unless read strictly)
as Opaque. It owns the promise that no bytes, however made, run code or cost more than its bounds.
"""

from __future__ import annotations

from casvault.errors import FormatError
from casvault.files.source import ByteSource
from casvault.formats.pickle_opcodes import TABLE
from casvault.formats.pickle_state import State
from casvault.formats.values import FloatRows, Global, InlineBytes, Opaque, PersistentId, Span, Tensor

__all__ = ["FloatRows", "Global", "InlineBytes", "Opaque", "PersistentId", "Span", "Tensor", "run"]

_STOP = ord(".")


def run(
    source: ByteSource,
    *,
    strict: bool,
    max_nodes: int = 3_000_000,
    max_depth: int = 1000,
    max_bytes: int = 96 << 20,
    cpu_seconds: float = 1.5,
) -> object:
    """Interpret the pickle that ``source`` starts with and return the value that it ends with.

    ``strict`` refuses every global, persistent id and object beyond numpy's arrays and scalars. The bounds:
    ``max_nodes`` opcodes, ``max_depth`` marks open at once, ``max_bytes`` of memory kept (roughly; the memo
    included), ``cpu_seconds`` of this thread. Raises FormatError for anything that is malformed, refused or
    out of bounds, OSError where the source cannot be read. The value may share parts and contain itself.
    """
    state = State(
        source,
        strict=strict,
        max_nodes=max_nodes,
        max_depth=max_depth,
        max_bytes=max_bytes,
        cpu_seconds=cpu_seconds,
    )
    take = state.window.byte
    spend = state.spend
    while (code := take()) != _STOP:
        spend(1)
        opcode = TABLE[code]
        if opcode is None:
            raise FormatError(f"the pickle has an opcode that is not known: {code:#04x}")
        opcode(state)
    return state.pop()
