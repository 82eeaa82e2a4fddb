"""How numpy's arrays, scalars and dtypes stand in a pickle, told without numpy.

An array is ``_reconstruct(ndarray, (0,), b'b')`` with the state ``(1, shape, dtype, fortran, data)``, or,
under protocol 5, ``_frombuffer(data, dtype, shape, order)``. A scalar is ``scalar(dtype, data)``. A dtype is
``dtype('f4', False, True)`` with the state ``(3, '<', None, ...)``. The two stateful ones are made first
and filled later, as pickle does it; once an array has its state, a Tensor takes its place.
This module owns the list of globals that may stand in a pickle that we read plainly.
"""

from __future__ import annotations

import math
import struct

from casvault.errors import FormatError
from casvault.formats.region import ITEM_SIZES
from casvault.formats.values import Global, InlineBytes, Opaque, Span, Tensor

__all__ = ["ALLOWED", "Dtype", "PendingArray", "call", "finish_array", "simple_dtype"]

_RECONSTRUCT = {Global(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")}
_SCALAR = {Global(f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")}
_FROMBUFFER = {Global(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")}
_DTYPE = Global("numpy", "dtype")
_NDARRAY = Global("numpy", "ndarray")
_ENCODE = Global("_codecs", "encode")

ALLOWED = frozenset({*_RECONSTRUCT, *_SCALAR, *_FROMBUFFER, _DTYPE, _NDARRAY, _ENCODE})
"""The only globals of a pickle that is read plainly."""

_LATIN_1 = {"latin1", "latin-1", "latin_1", "iso-8859-1"}
_KINDS = {"f": "float", "i": "int", "u": "uint"}
_SCALARS = {
    "float16": "<e",
    "float32": "<f",
    "float64": "<d",
    "int8": "<b",
    "int16": "<h",
    "int32": "<i",
    "int64": "<q",
    "uint8": "<B",
    "uint16": "<H",
    "uint32": "<I",
    "uint64": "<Q",
    "bool": "<?",
}


def simple_dtype(text: str) -> str | None:
    """Turn numpy's short form (``<f4``, ``|b1``, ``i8``) into a key of ITEM_SIZES; None for all others."""
    order, code = (text[:1], text[1:]) if text[:1] in ("<", "|", "=", ">") else ("<", text)
    if order == ">" and code[1:] != "1":
        return None
    if code in ("b1", "?"):
        return "bool"
    kind, digits = _KINDS.get(code[:1]), code[1:]
    if kind is None or digits not in ("1", "2", "4", "8"):
        return None
    name = f"{kind}{int(digits) * 8}"
    return name if name in ITEM_SIZES else None


class Dtype:
    """A dtype on its way: ``name`` is a key of ITEM_SIZES, or None when no region can have it."""

    __slots__ = ("_text", "name")

    def __init__(self, text: str) -> None:
        self._text = text
        self.name = simple_dtype(text)

    def set_state(self, state: object) -> None:
        """Take the byte order; fields or a subarray make it a dtype that no region can have."""
        if not isinstance(state, tuple) or len(state) < 5 or not isinstance(state[1], str):
            raise FormatError("a numpy dtype has a state that is not known")
        plain = state[2] is None and state[3] is None and state[4] is None
        self.name = simple_dtype(state[1] + self._text.lstrip("<>|=")) if plain else None


class PendingArray:
    """An array that still waits for its state; ``memo`` are the memo entries that hold it."""

    __slots__ = ("memo",)

    def __init__(self) -> None:
        self.memo: list[int] = []


def call(function: object, args: object) -> object:
    """Tell what ``function(*args)`` makes, for a function of ALLOWED; FormatError for any other call."""
    if not isinstance(args, tuple) or not isinstance(function, Global):
        raise FormatError("the pickle calls something that is not known")
    if function in _RECONSTRUCT and args[:1] == (_NDARRAY,):
        return PendingArray()
    if function in _SCALAR and len(args) == 2:
        return _scalar(function, args)
    if function in _FROMBUFFER and len(args) in (4, 5):
        return _array(args[2], args[1], args[3] == "F", args[0])
    if function == _DTYPE and args and isinstance(args[0], str):
        return Dtype(args[0])
    if function == _ENCODE and len(args) == 2 and isinstance(args[1], str) and args[1] in _LATIN_1:
        return _encode(function, args)
    raise FormatError(f"the pickle calls {function.module}.{function.name} in a way that is not known")


def finish_array(state: object) -> Tensor | Opaque:
    """Turn the state of a reconstructed array into a Tensor, or an Opaque where it cannot be one."""
    if not isinstance(state, tuple) or len(state) != 5:
        raise FormatError("a numpy array has a state that is not known")
    _, shape, dtype, fortran, data = state
    return _array(shape, dtype, fortran is True, data)


def _array(shape: object, dtype: object, fortran: bool, data: object) -> Tensor | Opaque:
    if not isinstance(dtype, Dtype) or not isinstance(shape, tuple):
        raise FormatError("a numpy array has a dtype or shape that is not known")
    if dtype.name is None or not isinstance(data, (Span, InlineBytes)):
        return Opaque(_NDARRAY, (shape,))
    if len(shape) > 64 or not all(type(axis) is int and 0 <= axis < 1 << 62 for axis in shape):
        raise FormatError("a numpy array has a shape that cannot be")
    size = data.size if isinstance(data, Span) else len(data)
    if size != math.prod(shape) * ITEM_SIZES[dtype.name]:
        raise FormatError("a numpy array has fewer or more bytes than its shape says")
    return Tensor(dtype.name, shape[::-1] if fortran else shape, data.offset, size)


def _scalar(function: Global, args: tuple[object, ...]) -> object:
    dtype, data = args
    if isinstance(data, str):  # Python 2's str
        data = _encode(_ENCODE, (data,))
    if not isinstance(dtype, Dtype):
        raise FormatError("a numpy scalar has a dtype that is not known")
    if dtype.name is None or not isinstance(data, bytes):
        return Opaque(function, ())
    if len(data) != ITEM_SIZES[dtype.name]:
        raise FormatError("a numpy scalar has fewer or more bytes than its dtype")
    value: object = struct.unpack(_SCALARS[dtype.name], data)[0]
    return value


def _encode(function: Global, args: tuple[object, ...]) -> object:
    """Protocols up to 2 have no bytes: they are latin-1 text, encoded again by whoever loads it."""
    text = args[0]
    if isinstance(text, str):
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError as error:
            raise FormatError("bytes written as text hold a character above 255") from error
    if isinstance(text, Span):
        return Opaque(function, ())
    raise FormatError("the pickle encodes something that is not text")
