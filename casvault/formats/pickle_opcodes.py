"""The opcodes of pickle, protocols 2 to 5, on values that are only described.

The format is the one in Python's own ``pickletools`` module. Protocol 0's text opcodes are not here, nor
are out-of-band buffers, whose bytes are not in the file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from casvault.errors import FormatError
from casvault.formats import pickle_objects
from casvault.formats.pickle_state import State
from casvault.formats.row_runs import BUFFER, find_run
from casvault.formats.values import FloatRows, Opaque

__all__ = ["TABLE"]

_NEWEST_PROTOCOL = 5
_LONGEST_INT = 1024


def _protocol(state: State) -> None:
    if state.window.byte() > _NEWEST_PROTOCOL:
        raise FormatError("the pickle is of a newer protocol")


def _frame(state: State) -> None:
    length = state.window.number(8)
    if length > state.size - state.window.position:
        raise FormatError("the pickle ends early")


def _pop(state: State) -> None:
    if state.stack:
        state.pop()
    else:
        state.pop_mark()


def _duplicate(state: State) -> None:
    state.push(state.top())


def _constant(value: object) -> Callable[[State], None]:
    return lambda state: state.push(value)


def _unsigned(width: int) -> Callable[[State], None]:
    return lambda state: state.push(state.window.number(width))


def _signed_4(state: State) -> None:
    state.push(int.from_bytes(state.window.take(4), "little", signed=True))


def _float(state: State) -> None:
    state.push(struct.unpack(">d", state.window.take(8))[0])


def _long(width: int) -> Callable[[State], None]:
    def read(state: State) -> None:
        length = state.window.number(width)
        if length > _LONGEST_INT:
            raise FormatError("the pickle has an integer that is too long")
        state.charge(length)
        state.push(int.from_bytes(state.window.take(length), "little", signed=True))

    return read


def _bytes(width: int) -> Callable[[State], None]:
    return lambda state: state.push(state.payload(state.window.number(width)))


def _text(width: int, encoding: str = "utf-8") -> Callable[[State], None]:
    return lambda state: state.push(state.text(state.window.number(width), encoding))


def _empty_list(state: State) -> None:
    """Make a list, or, where many rows of floats begin here, take them all at once."""
    window = state.window
    window.at -= 1
    window.fill(BUFFER)
    run = find_run(window.data, window.at)
    if run is not None and (not run.memo or state.pass_over(len(run.rows), run.index)):
        window.at += run.length
        state.charge(200 + 8 * len(run.rows.values))
        state.push(run.rows)
        return
    window.at += 1
    state.charge(64)
    state.push([])


def _list(state: State) -> None:
    items = state.pop_items()
    state.charge(64)
    state.push(items)


def _append(state: State) -> None:
    value = state.pop()
    _extend(state, state.top(), [value])


def _appends(state: State) -> None:
    items = state.pop_mark()
    _extend(state, state.top(), items)


def _extend(state: State, target: object, items: list[object]) -> None:
    if isinstance(target, Opaque):
        target = target.items
    if not isinstance(target, list):
        raise FormatError("the pickle appends to something that is not a list")
    for item in items:
        last = target[-1] if target else None
        if isinstance(item, FloatRows) and isinstance(last, FloatRows) and item.columns == last.columns:
            last.values.extend(item.values)
        else:
            target.append(item)


def _tuple(state: State) -> None:
    _push_tuple(state, state.pop_items())


def _tuple_of(count: int) -> Callable[[State], None]:
    def make(state: State) -> None:
        _push_tuple(state, [state.pop() for _ in range(count)][::-1])

    return make


def _push_tuple(state: State, items: list[object]) -> None:
    state.charge(64 + 8 * len(items))
    state.push(tuple(items))


def _empty_dict(state: State) -> None:
    state.charge(232)
    state.push({})


def _dict(state: State) -> None:
    items = state.pop_items()
    _empty_dict(state)
    _update(state, items)


def _set_item(state: State) -> None:
    value = state.pop()
    _update(state, [state.pop(), value])


def _set_items(state: State) -> None:
    _update(state, state.pop_items())


def _update(state: State, items: list[object]) -> None:
    target = state.top()
    if isinstance(target, Opaque):
        target = target.mapping
    if not isinstance(target, dict) or len(items) % 2:
        raise FormatError("the pickle sets items of something that is not a dict")
    state.charge(32 * len(items))
    for i in range(0, len(items), 2):
        target[state.key(items[i])] = items[i + 1]


def _empty_set(state: State) -> None:
    state.charge(232)
    state.push(set())


def _add_items(state: State) -> None:
    items = state.pop_items()
    target = state.top()
    state.charge(80 * len(items))
    if isinstance(target, set):
        for item in items:
            target.add(state.key(item))
    elif isinstance(target, Opaque):
        target.items.extend(items)
    else:
        raise FormatError("the pickle adds items to something that is not a set")


def _frozen_set(state: State) -> None:
    items = state.pop_items()
    state.charge(232 + 80 * len(items))
    state.push(frozenset([state.key(item) for item in items]))


def _put(width: int) -> Callable[[State], None]:
    return lambda state: state.put(state.window.number(width))


def _get(width: int) -> Callable[[State], None]:
    return lambda state: state.push(state.get(state.window.number(width)))


_OPCODES: dict[bytes, Callable[[State], object]] = {
    b"\x80": _protocol,
    b"\x95": _frame,
    b"(": State.mark,
    b"0": _pop,
    b"1": State.pop_mark,
    b"2": _duplicate,
    b"N": _constant(None),
    b"\x88": _constant(True),
    b"\x89": _constant(False),
    b"J": _signed_4,
    b"K": _unsigned(1),
    b"M": _unsigned(2),
    b"G": _float,
    b"\x8a": _long(1),
    b"\x8b": _long(4),
    b"T": _text(4, "latin-1"),
    b"U": _text(1, "latin-1"),
    b"X": _text(4),
    b"\x8c": _text(1),
    b"\x8d": _text(8),
    b"B": _bytes(4),
    b"C": _bytes(1),
    b"\x8e": _bytes(8),
    b"\x96": _bytes(8),
    b"]": _empty_list,
    b"l": _list,
    b"a": _append,
    b"e": _appends,
    b")": _constant(()),
    b"t": _tuple,
    b"\x85": _tuple_of(1),
    b"\x86": _tuple_of(2),
    b"\x87": _tuple_of(3),
    b"}": _empty_dict,
    b"d": _dict,
    b"s": _set_item,
    b"u": _set_items,
    b"\x8f": _empty_set,
    b"\x90": _add_items,
    b"\x91": _frozen_set,
    b"q": _put(1),
    b"r": _put(4),
    b"\x94": State.put_next,
    b"h": _get(1),
    b"j": _get(4),
    b"c": pickle_objects.named_global,
    b"\x93": pickle_objects.stacked_global,
    b"R": pickle_objects.reduce,
    b"\x81": pickle_objects.new_object,
    b"\x92": pickle_objects.new_object_with_keywords,
    b"b": pickle_objects.build,
    b"P": pickle_objects.persistent_line,
    b"Q": pickle_objects.persistent,
    b"\x82": pickle_objects.extension(1),
    b"\x83": pickle_objects.extension(2),
    b"\x84": pickle_objects.extension(4),
}

TABLE: list[Callable[[State], object] | None] = [_OPCODES.get(bytes([code])) for code in range(256)]
"""What each opcode does, by its number; None for those that are refused. STOP is the machine's own."""
