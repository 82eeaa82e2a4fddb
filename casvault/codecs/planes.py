"""Byte planes: the bytes of equal weight of all numbers, one plane after another.

Each word, or what is left of it after a prediction, is turned (`casvault.codecs.words`), then the words are split into
planes, the lowest byte first, and each plane is stored raw or as a zstd frame, whichever is smaller. Neighbouring
planes that are noise stay together in one wider plane, since to split them would gain nothing. The rotation decides
which bits share a byte: the few that are not noise (a sign, an exponent, where a difference begins) cost least when
they lie in as few planes as they fill, and a sample tells which rotation does that. The payload's layout is in
docs/format.md.

Words go through all steps in blocks as large as a usual chunk. Smaller ones would stay in a core's own cache, but each
step of numpy takes the interpreter's lock again when it is done: threads that do so every few microseconds only wait
for each other.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from casvault.codecs.codec import Attempt, Bytes, Codec, Layout
from casvault.codecs.sample import NumbersCodec, Sample
from casvault.codecs.words import WORD_SIZES, bias, turn, turn_back
from casvault.codecs.zstd import compress_entropy, decompress, entropy_compressor
from casvault.errors import FormatError

__all__ = ["Planes", "PlanesAttempt", "Predict", "TurnedPlanes", "read_planes", "write_planes"]

Predict = Callable[[int, int, Any, Any], None]
"""Puts the predicted words from one index to another, less a bias, into an array."""

_BLOCK = 1 << 21
"""Bytes of words in a block."""

_ROTATIONS = {2: (1, 3), 4: (3,), 8: (3, 5)}
"""What is tried for words as they are, by their size. Where floats have 8 or more bits of exponent, the highest two
hardly ever change, and rotating by 3 leaves room for the 2 highest bits of the mantissa, which do not spread evenly."""

_ABOVE = 3
"""How many bits above 1.6 times the upper sixth of the differences the bias lies, rounded up to a multiple of 3.

Of real and generated saves this makes what is at most a few parts in 10,000 larger than the best of all rotations."""

_TABLE = 48
"""Bytes of a small frame that tell how it is coded; those of a large one do not count."""

_HEAD = struct.Struct("<BBI")
_OLD_HEAD = struct.Struct("<BI")
_RAW, _ZSTD = 0, 1


class TurnedPlanes(NumbersCodec):
    """Planes of the words as they are, rotated."""

    name = "turned-planes"

    def weigh(self, sample: Sample) -> PlanesAttempt:
        """Size up a chunk."""
        return PlanesAttempt(sample)

    def decode(self, payload: Bytes, plain_size: int, layout: Layout, base: Bytes | None = None) -> Bytes:
        """Return the words that the planes were made of; raises FormatError."""
        return read_planes(memoryview(payload), plain_size, layout.item_size, None)


class Planes(Codec):
    """Planes of words that are always rotated by 1, in a payload that does not say so; read, and written no more."""

    name = "planes"

    def attempt(self, data: Bytes, layout: Layout, base: Bytes | None = None) -> Attempt | None:
        """Return None: `TurnedPlanes` took its place."""
        return None

    def decode(self, payload: Bytes, plain_size: int, layout: Layout, base: Bytes | None = None) -> Bytes:
        """Return the words that the planes were made of; raises FormatError."""
        size = layout.item_size
        if size not in WORD_SIZES or len(payload) < _OLD_HEAD.size * size:
            raise FormatError("byte planes that end in their heads, or of words that are none")
        heads = [_OLD_HEAD.unpack_from(payload, _OLD_HEAD.size * weight) for weight in range(size)]
        now = b"".join([b"\1", *(_HEAD.pack(1, *head) for head in heads), payload[_OLD_HEAD.size * size :]])
        return read_planes(memoryview(now), plain_size, size, None)


class PlanesAttempt(Attempt):
    """The words, less what ``predict`` says of them, as planes; the rotation that promises most is taken.

    ``left`` is what that leaves of the sample's lines, None where nothing is predicted.
    """

    def __init__(self, sample: Sample, left: Any = None, predict: Predict | None = None) -> None:
        self._sample, self._left, self._predict = sample, left, predict

    @property
    def spared(self) -> int:
        """How many bits most of what is left of words does not have."""
        return self._rotation

    @property
    def expected(self) -> int:
        """What the sample takes, times how many there would be."""
        size: int = self._sample.words.nbytes
        return sum(self._sizes) * size // max(1, self._sample.lines.nbytes) + len(self._sample.tail)

    def pieces(self) -> list[Any]:
        """Return the payload's parts."""
        made = write_planes(self._sample.words, self._predict, self._rotation, self._widths)
        return [*made, self._sample.tail]

    @cached_property
    def _sizes(self) -> list[int]:
        if self._left is None:
            return _sizes(self._sample.lines, self._rotation)
        return _sizes(self._left + bias(self._left, self._rotation), self._rotation)

    @property
    def _widths(self) -> Sequence[int]:
        return _widths(tuple([size == self._sample.lines.size for size in self._sizes]))

    @cached_property
    def _rotation(self) -> int:
        if self._left is None:
            rotations = _ROTATIONS[self._sample.layout.item_size]
            if len(rotations) == 1:
                return rotations[0]
            return min(rotations, key=lambda rotation: sum(_sizes(self._sample.lines, rotation)))
        kind = self._left.dtype
        bits: int = 8 * kind.itemsize
        sizes = np.abs(self._left.reshape(-1)[::2].view(f"<i{kind.itemsize}")).view(kind)
        place = 5 * len(sizes) // 6
        most = int(np.partition(sizes, place)[place]) if len(sizes) else 0
        return bits - min(bits, -(-((most * 8 // 5).bit_length() + _ABOVE) // 3) * 3)


def _block(size: int, unit: int) -> int:
    """Return how many words of ``size`` bytes make a block of whole units."""
    return max(1, _BLOCK // size // unit) * unit


def write_planes(words: Any, predict: Predict | None, rotation: int, widths: Sequence[int], unit: int = 1) -> list[Any]:
    """Return the rotation, heads and planes of ``widths`` bytes of ``words`` less what ``predict`` says, in pieces."""
    count, step = len(words), _block(words.dtype.itemsize, unit)
    planes = [np.empty(count, f"<u{width}") for width in widths]
    turned, scratch = np.empty((2, min(step, count)), words.dtype)
    order, left = _turned(planes, rotation)
    for start in range(0, count, step):
        stop = min(start + step, count)
        out, spare, source = turned[: stop - start], scratch[: stop - start], words[start:stop]
        if predict is not None:
            predict(start, stop, bias(words, rotation), spare)
            source = np.subtract(source, spare, out=out)
        turn(source, left, out, spare)
        _split(out, [plane[start:stop] for plane in order])
    heads, bodies = [bytes([rotation])], []
    for plane in planes:
        width = plane.dtype.itemsize
        packed = compress_entropy(plane) if width == 1 else None
        method, body = (_ZSTD, packed) if packed is not None and len(packed) < count else (_RAW, plane.data.cast("B"))
        heads.append(_HEAD.pack(width, method, len(packed) if method == _ZSTD and packed else plane.nbytes))
        bodies.append(body)
    return [*heads, *bodies]


def read_planes(view: memoryview, plain_size: int, size: int, predict: Predict | None, unit: int = 1) -> Bytes:
    """Return the plain bytes of planes that `write_planes` made, and of the tail behind them; raises FormatError."""
    if size not in WORD_SIZES:
        raise FormatError(f"byte planes of {size}-byte words")
    if not view or view[0] >= size * 8:
        raise FormatError("byte planes with no rotation, or one beyond the word")
    rotation, count = view[0], plain_size // size
    planes, tail = _planes(view[1:], count, size)
    if len(tail) != plain_size - count * size:
        raise FormatError("byte planes whose lengths do not add up")
    words = np.empty(count, dtype=f"<u{size}")
    planes, done = _in_halves(planes, size // 2)
    step = _block(size, unit)
    scratch = np.empty(min(step, count), words.dtype)
    for start in range(0, count, step):
        stop = min(start + step, count)
        _join([plane[start:stop] for plane in planes], words[start:stop], scratch[: stop - start])
        turn_back(words[start:stop], (rotation - done) % (8 * size), scratch[: stop - start])
        if predict is not None:
            predict(start, stop, bias(words, rotation), scratch[: stop - start])
            np.add(words[start:stop], scratch[: stop - start], out=words[start:stop])
    return words.tobytes() + tail if tail else words.data.cast("B")


def _turned(planes: list[Any], rotation: int) -> tuple[list[Any], int]:
    """Return ``planes`` in an order that rotates words, and the bits that are left to rotate: none, or all."""
    for first in range(1, len(planes)):
        if 8 * _width(planes[:first]) == rotation:
            return planes[first:] + planes[:first], 0
    return planes, rotation


def _split(words: Any, planes: Sequence[Any]) -> None:
    """Fill each plane with its bytes of ``words``, which are overwritten: an assignment keeps the lowest bytes."""
    for index, plane in enumerate(planes):
        if index:
            np.right_shift(words, words.dtype.type(8 * planes[index - 1].dtype.itemsize), out=words)
        plane[...] = words


def _in_halves(planes: list[Any], half: int) -> tuple[list[Any], int]:
    """Return ``planes`` in the order, round and round, in which they make halves of words, if there is one.

    Also the bits by which the words that they make so are turned to the right.
    """
    for first in range(len(planes)):
        order = planes[first:] + planes[:first]
        if any(_width(order[:count]) == half for count in range(1, len(order))):
            return order, 8 * _width(planes[:first])
    return planes, 0


def _join(planes: list[Any], words: Any, scratch: Any) -> None:
    """Put the words together from ``planes``, the lowest first; ``scratch``, of the same kind, is overwritten.

    In whole arrays, and halves of words first: to write every fourth byte takes twice as long.
    """
    if len(planes) == 1:
        np.copyto(words, planes[0])
        return
    half = words.dtype.itemsize // 2
    first = next((count for count in range(1, len(planes)) if _width(planes[:count]) == half), 1)
    low, high = planes[:first], planes[first:]
    if len(high) == 1 or _width(high) != half:
        _join(high, words, scratch)
    else:
        np.copyto(words, _half(high, half))
    np.left_shift(words, words.dtype.type(8 * _width(low)), out=words)
    np.copyto(scratch, low[0] if len(low) == 1 else _half(low, half))
    np.bitwise_or(words, scratch, out=words)


def _half(planes: list[Any], width: int) -> Any:
    words, scratch = np.empty((2, len(planes[0])), f"<u{width}")
    _join(planes, words, scratch)
    return words


def _width(planes: list[Any]) -> int:
    return sum(plane.dtype.itemsize for plane in planes)


def _planes(view: memoryview, count: int, size: int) -> tuple[list[Any], bytes]:
    """Return the planes of words of ``size`` bytes that begin with their heads, and what follows them."""
    heads: list[tuple[int, int, int]] = []
    offset = 0
    while sum(width for width, _, _ in heads) < size:
        if len(view) - offset < _HEAD.size:
            raise FormatError("byte planes that end in their heads")
        heads.append(_HEAD.unpack_from(view, offset))
        offset += _HEAD.size
        if heads[-1][0] not in (1, 2, 4):
            raise FormatError("a plane of an unknown width")
    if sum(width for width, _, _ in heads) != size:
        raise FormatError("planes that are wider than their words")
    planes = []
    for width, method, length in heads:
        body = view[offset : offset + length]
        if len(body) != length:
            raise FormatError("a byte plane that ends early")
        planes.append(np.frombuffer(_plane(method, body, count * width), f"<u{width}"))
        offset += length
    return planes, bytes(view[offset:])


def _plane(method: int, body: memoryview, size: int) -> Bytes:
    if method == _ZSTD:
        return decompress(body, size)
    if method != _RAW or len(body) != size:
        raise FormatError("a byte plane of an unknown kind or a wrong length")
    return body


def _sizes(lines: Any, rotation: int) -> list[int]:
    """Return the bytes of each of the planes of ``lines``."""
    count, size = lines.size, lines.dtype.itemsize
    turned, scratch = np.empty((2, *lines.shape), lines.dtype)
    turn(lines, rotation, turned, scratch)
    planes = np.ascontiguousarray(turned.view(np.uint8).reshape(count, size).T)
    compress = entropy_compressor().compress
    packed = [len(compress(plane)) for plane in planes]
    return [count if each >= count else max(each - _TABLE, each // 2) for each in packed]


@lru_cache(maxsize=1024)
def _widths(noise: tuple[bool, ...]) -> Sequence[int]:
    """Return the widths of the planes: those that are noise together, as far as there are words of such a width."""
    widths: list[int] = []
    while sum(widths) < len(noise):
        done = sum(widths)
        widths.append(next(width for width in (4, 2, 1) if width == 1 or _all(noise[done : done + width], width)))
    return widths


def _all(noise: tuple[bool, ...], width: int) -> bool:
    return len(noise) == width and all(noise)
