"""The opcodes that would import, call or make something, and that here only describe it.

Strictly read, a pickle may only make numpy arrays and scalars in the known ways; otherwise whatever is not
known becomes an Opaque, so that the rest of the file can be walked.
"""

from __future__ import annotations

from collections.abc import Callable

from casvault.errors import FormatError
from casvault.formats import pickle_numpy
from casvault.formats.pickle_numpy import ALLOWED, Dtype, PendingArray
from casvault.formats.pickle_state import State
from casvault.formats.values import Global, Opaque, PersistentId

__all__ = [
    "build",
    "extension",
    "named_global",
    "new_object",
    "new_object_with_keywords",
    "persistent",
    "persistent_line",
    "reduce",
    "stacked_global",
]

_ORDERED_DICT = Global("collections", "OrderedDict")


def _push_global(state: State, module: object, name: object) -> None:
    if not isinstance(module, str) or not isinstance(name, str):
        raise FormatError("the pickle names something with what is not text")
    found = Global(module, name)
    if state.strict and found not in ALLOWED:
        raise FormatError(f"the pickle names {f'{module}.{name}'[:80]!r}, which plain data does not need")
    state.charge(200 + 4 * (len(module) + len(name)))
    state.push(found)


def _push_opaque(state: State, function: object, args: object) -> None:
    if state.strict:
        raise FormatError("the pickle makes an object that is not plain data")
    state.charge(250)
    state.push(Opaque(function, args))


def named_global(state: State) -> None:
    """GLOBAL: a module and a name, each on a line."""
    module = state.window.line()
    _push_global(state, module, state.window.line())


def stacked_global(state: State) -> None:
    """STACK_GLOBAL: a module and a name from the stack."""
    name = state.pop()
    _push_global(state, state.pop(), name)


def extension(width: int) -> Callable[[State], None]:
    """EXT1, EXT2, EXT4: a number that a registry of the writer turns into a global."""
    return lambda state: _push_global(state, "copyreg", f"extension {state.window.number(width)}")


def reduce(state: State) -> None:
    """REDUCE: a call."""
    args = state.pop()
    function = state.pop()
    if isinstance(function, Global) and function in ALLOWED:
        try:
            state.charge(200)
            state.push(pickle_numpy.call(function, args))
            return
        except FormatError:
            if state.strict:
                raise
    if not state.strict and function == _ORDERED_DICT and isinstance(args, tuple) and not args:
        state.charge(232)
        state.push({})
        return
    _push_opaque(state, function, args)


def new_object(state: State) -> None:
    """NEWOBJ: a class and its arguments."""
    args = state.pop()
    _push_opaque(state, state.pop(), args)


def new_object_with_keywords(state: State) -> None:
    """NEWOBJ_EX: a class, its arguments and its keyword arguments."""
    keywords = state.pop()
    args = state.pop()
    _push_opaque(state, state.pop(), (args, keywords))


def build(state: State) -> None:
    """BUILD: the state of the object on top."""
    given = state.pop()
    target = state.top()
    if isinstance(target, PendingArray):
        state.charge(200)
        try:
            state.replace_array(target, pickle_numpy.finish_array(given))
        except FormatError:
            if state.strict:
                raise
            state.replace_array(target, Opaque(None, (given,)))
    elif isinstance(target, Dtype):
        target.set_state(given)
    elif state.strict:
        raise FormatError("the pickle sets the state of something that is not plain data")
    elif isinstance(target, Opaque):
        target.state = given


def persistent(state: State) -> None:
    """BINPERSID: something that the writer keeps elsewhere, by an id from the stack."""
    _push_persistent(state, state.pop())


def persistent_line(state: State) -> None:
    """PERSID: the same, by an id on a line."""
    _push_persistent(state, state.window.line())


def _push_persistent(state: State, identifier: object) -> None:
    if state.strict:
        raise FormatError("the pickle refers to something outside itself")
    state.charge(100)
    state.push(PersistentId(identifier))
