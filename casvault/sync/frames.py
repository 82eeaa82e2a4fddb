"""Frames: what goes over a connection between two vaults, and never more of it than was agreed.

A frame is two lengths (4 bytes each, little-endian), a head, which is a JSON object, and a body, which is bytes. Two
lengths of zero are no frame but a sign of life, from who takes long to answer.

Owns the invariant that nothing is read without a bound: a stranger at the other end can end the connection, and no
more.
"""

from __future__ import annotations

import json
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple

from casvault.codecs import Bytes
from casvault.errors import BrokenLink, RemoteError
from casvault.objects import ObjectName
from casvault.objects.store import MAX_STORED
from casvault.sync.remote import Arrival

__all__ = [
    "GREETING",
    "MAX_BODY",
    "SLOTS",
    "Beginning",
    "Frame",
    "Heading",
    "Wire",
    "had_of",
    "pack_arrivals",
    "pack_digests",
    "pack_names",
    "unpack_digests",
    "unpack_names",
]

GREETING = b"casvault serve 1\n"
"""What a server says first; another number is another protocol."""

SLOTS = "abcdefghijklmnop"
"""Callers choose one by lot, so that there are few files to lock; two with the same one just do not wait."""

_LENGTHS = struct.Struct("<II")
MAX_HEAD = 4 << 20
MAX_BODY = 66 << 20
"""More than any object, manifest, or portion of objects has."""

_MAX_LINE = 200
_PIECE = 64 << 10
"""Bytes that are written at once: as many a link has to take in the time that it may be silent."""

_PIPE = 1 << 20
_RAW = 32
_NAME = struct.Struct("<32s32sQ")
_NONE = bytes(_RAW)
_MOST_NAMES = 450_000
"""Digests, or names, in a frame: more than a snapshot and its bases have. As Python's they take some 150 bytes each."""

_STRANGE = "something was sent that is no part of the protocol."
_BROKE_OFF = "the connection ended in the middle of something."

Beginning = Callable[[ObjectName, int], Bytes]
"""Gives the first so many bytes of an object that broke off before."""


class Frame(NamedTuple):
    """One frame, taken apart."""

    head: dict[str, Any]
    body: bytes | bytearray
    size: int = 0
    """Bytes of all of it."""


class Heading(NamedTuple):
    """The head of a frame whose body, of ``size`` bytes, is still to be read; ``above`` are the bytes before it."""

    head: dict[str, Any]
    size: int
    above: int = 0


class Wire:
    """Two streams, one to read and one to write; ``moved`` counts the bytes of both, ``lived`` is when the last moved.

    One thread may read while others write. Raises BrokenLink where a stream ends, RemoteError for what is no frame.
    """

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer
        for stream in (reader, writer):
            _widen(stream)
        # One call of the system, which returns what there is: so it is seen that bytes come, however slowly.
        self._into = getattr(reader, "readinto1", None) or reader.readinto  # type: ignore[attr-defined]
        self._writing = threading.Lock()
        self.read = 0
        self.written = 0
        self.received = 0
        """Frames and objects that came."""
        self.lived = time.monotonic()
        self.part: tuple[ObjectName, Bytes] | None = None
        """What came of the object in which the link broke."""

    @property
    def moved(self) -> int:
        """Bytes that went both ways."""
        return self.read + self.written

    def send(self, head: dict[str, Any], pieces: Sequence[Bytes] = ()) -> None:
        """Write one frame, with the pieces one after another as its body."""
        text = json.dumps(head, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
        size = sum(map(len, pieces))
        if len(text) > MAX_HEAD or size > MAX_BODY:
            raise RemoteError("what was to be sent is larger than the protocol allows.")
        self._write((_LENGTHS.pack(len(text), size) + text, *pieces))

    def show_life(self) -> None:
        """Say that an answer is still to come."""
        self._write([bytes(_LENGTHS.size)])

    def receive(self) -> Frame | None:
        """Read one frame; None where the other side ended the connection between two frames."""
        heading = self.heading()
        return self.rest(heading) if heading is not None else None

    def rest(self, heading: Heading) -> Frame:
        """Read the body that belongs to a head."""
        return Frame(heading.head, self.exactly(heading.size), heading.above + heading.size)

    def heading(self) -> Heading | None:
        """Read the head of a frame; None where the other side ended the connection between two frames."""
        while True:
            lengths = self.exactly(_LENGTHS.size, may_end=True)
            if not lengths:
                return None
            head_size, body_size = _LENGTHS.unpack(lengths)
            if head_size or body_size:
                break
        if head_size > MAX_HEAD or body_size > MAX_BODY:
            raise RemoteError(_STRANGE)
        try:
            head = json.loads(self.exactly(head_size))
        except (ValueError, RecursionError) as error:
            raise RemoteError(_STRANGE) from error
        if not isinstance(head, dict):
            raise RemoteError(_STRANGE)
        self.received += 1
        return Heading(head, body_size, _LENGTHS.size + head_size)

    def arrivals(self, heading: Heading, beginning: Beginning) -> Iterator[Arrival]:
        """Yield the objects in the body of a frame as they come, those before a break too; to be read to its end.

        ``beginning`` is asked for the first bytes of those of which only the rest is sent.
        """
        count = heading.head.get("names")
        if type(count) is not int or not 0 <= count * _NAME.size <= heading.size:
            raise RemoteError("objects were sent that do not add up.")
        names = unpack_names(self.exactly(count * _NAME.size))
        had = had_of(heading.head, names)
        if sum(name.size for name in names) - sum(had.values()) != heading.size - count * _NAME.size:
            raise RemoteError("objects were sent that do not add up.")
        if any(name.size > MAX_STORED for name in names):
            raise RemoteError("an object was sent that is larger than objects are.")
        for number, name in enumerate(names):
            data, done = bytearray(name.size), had.get(number, 0)
            if done:
                data[:done] = beginning(name, done)
            view = memoryview(data)
            done += self._fill(view[done:])
            if done < name.size:
                self.part = name, view[:done].toreadonly()
                raise BrokenLink(_BROKE_OFF)
            self.received += 1
            yield Arrival(name, view.toreadonly())

    def line(self) -> bytes:
        """Read one line, or as much of it as anybody would read."""
        try:
            data = self._reader.readline(_MAX_LINE)
        except (OSError, ValueError) as error:
            raise BrokenLink("the connection ended.") from error
        self.read += len(data)
        return data

    def exactly(self, size: int, *, may_end: bool = False) -> bytearray:
        """Read so many bytes; none where the stream ended before the first and ``may_end``."""
        data = bytearray(size)
        done = self._fill(memoryview(data))
        if done < size:
            if done or not may_end:
                raise BrokenLink(_BROKE_OFF)
            return bytearray()
        return data

    def _fill(self, view: memoryview) -> int:
        """Read until ``view`` is full or the stream ends; return how many bytes came."""
        done = 0
        with suppress(OSError, ValueError):
            while done < len(view) and (count := self._into(view[done:])):
                done += count
                self.read += count
                self.lived = time.monotonic()
        return done

    def _write(self, pieces: Sequence[Bytes]) -> None:
        with self._writing:
            try:
                for piece in pieces:
                    view = memoryview(piece)
                    for start in range(0, len(view), _PIECE):
                        part = view[start : start + _PIECE]
                        self._writer.write(part)
                        self.written += len(part)
                        self.lived = time.monotonic()
                self._writer.flush()
            except (OSError, ValueError) as error:
                raise BrokenLink("the connection ended.") from error


def _widen(stream: BinaryIO) -> None:
    """Let a pipe hold more than the system gives it: then neither side waits for the other all the time."""
    if sys.platform == "linux":
        import fcntl

        # Neither a pipe, nor allowed: it goes on as it is.
        with suppress(OSError, ValueError, AttributeError):
            fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)


def pack_arrivals(arrivals: Sequence[Arrival], had: Sequence[tuple[int, int]] = ()) -> list[Bytes]:
    """Return the body of a frame with these objects, in pieces: their names, then their bytes; none is copied.

    ``had`` are places of objects of which the first so many bytes are left out.
    """
    pieces: list[Bytes] = [arrival.data for arrival in arrivals]
    for number, size in had:
        pieces[number] = memoryview(pieces[number])[size:]
    return [pack_names([arrival.name for arrival in arrivals]), *pieces]


def had_of(head: dict[str, Any], names: Sequence[ObjectName]) -> dict[int, int]:
    """Return of which objects only the rest is sent, and how much of them not; raises RemoteError."""
    had = head.get("had", [])
    if not isinstance(had, list) or len(had) > len(names):
        raise RemoteError(_STRANGE)
    found = {}
    for pair in had:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(number) is int for number in pair):
            raise RemoteError(_STRANGE)
        if not 0 <= pair[0] < len(names) or not 0 < pair[1] < names[pair[0]].size:
            raise RemoteError("objects were sent that do not add up.")
        found[pair[0]] = pair[1]
    return found


def pack_digests(digests: Sequence[str]) -> bytes:
    """Return digests as 32 bytes each."""
    return b"".join(map(bytes.fromhex, digests))


def unpack_digests(data: Bytes | bytearray) -> list[str]:
    """Read what `pack_digests` wrote; raises RemoteError."""
    if len(data) % _RAW:
        raise RemoteError("digests were sent that are none.")
    if len(data) > _MOST_NAMES * _RAW:
        raise RemoteError("more digests were sent than the protocol allows.")
    return [data[at : at + _RAW].hex() for at in range(0, len(data), _RAW)]


def pack_names(names: Sequence[ObjectName]) -> bytes:
    """Return names of objects as 72 bytes each: digest, base or zeros, size."""
    return b"".join(
        _NAME.pack(bytes.fromhex(name.digest), bytes.fromhex(name.base) if name.base else _NONE, name.size)
        for name in names
    )


def unpack_names(data: Bytes | bytearray) -> list[ObjectName]:
    """Read what `pack_names` wrote; raises RemoteError."""
    if len(data) % _NAME.size:
        raise RemoteError("names of objects were sent that are none.")
    if len(data) > _MOST_NAMES * _NAME.size:
        raise RemoteError("more names of objects were sent than the protocol allows.")
    return [
        ObjectName(digest.hex(), None if base == _NONE else base.hex(), size)
        for digest, base, size in _NAME.iter_unpack(data)
    ]
