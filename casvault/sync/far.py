"""The near end: a vault that is reached over two streams, such as a program's that `ssh` runs elsewhere.

Owns the invariant that whatever comes back is checked or ends the transfer with one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from casvault import errors
from casvault.codecs import Bytes
from casvault.errors import CasvaultError, DamageError, RemoteError
from casvault.objects import ObjectName
from casvault.sync.frames import (
    GREETING,
    Frame,
    Wire,
    pack_digests,
    pack_names,
    unpack_digests,
    unpack_names,
)
from casvault.sync.remote import Arrival, Commit, Outcome, Remote, Standing, State, Wanted
from casvault.sync.server import unpack_arrivals
from casvault.sync.states import state_of

__all__ = ["FarRemote"]

_AHEAD = 2
"""Portions that are asked for before the one that is being read."""

_PASSED_ON = ("BadManifest", "DamageError", "Locked", "MissingObject", "NoSpace", "NotFound", "StorageError")
_MAX_DEPTH = 64


class FarRemote(Remote):
    """The vault at the other end of ``wire``; ``close`` ends the connection, ``told`` what the other side complained.

    Raises RemoteError where there is no vault that speaks this protocol.
    """

    def __init__(self, wire: Wire, title: str, close: Callable[[], None], told: Callable[[], str]) -> None:
        self.title = title
        self._wire = wire
        self._close = close
        self._told = told
        self._greet()

    @property
    def wire_bytes(self) -> int:
        """Bytes that went over the connection, both ways."""
        return self._wire.moved

    def state(self) -> State:
        """Return which snapshots and labels there are."""
        self._send({"do": "state"})

        def rows() -> Iterator[tuple[dict[str, Any], int]]:
            while True:
                before = self._wire.moved
                frame = self._receive()
                if "row" not in frame.head:
                    return
                yield frame.head["row"], self._wire.moved - before

        try:
            return state_of(rows())
        except RemoteError as error:
            raise self._failed(error) from error

    def manifest(self, id: str) -> bytes:
        """Return the document of a snapshot."""
        return self._ask({"do": "manifest", "id": id}).body

    def label(self, id: str, stamp: str) -> bytes:
        """Return the document of a label."""
        return self._ask({"do": "label", "id": id, "stamp": stamp}).body

    def closure(self, digests: Collection[str]) -> list[ObjectName]:
        """Return the objects that give these chunks and all their bases, if that is the order they come in."""
        names = self._unpacked(unpack_names, self._ask({"do": "closure"}, [pack_digests(sorted(digests))]).body)
        seen = set[str]()
        for name in names:
            if name.digest in seen or (name.base is not None and name.base not in seen):
                raise DamageError(f"{self.title} lists objects that cannot be.")
            seen.add(name.digest)
        return names

    def read(self, portions: Iterable[Sequence[Wanted]]) -> Generator[list[Arrival], None, None]:
        """Yield each portion of objects; the next ones are on their way meanwhile. To be closed by who stops early."""
        waiting = iter(portions)
        under_way = 0
        try:
            while True:
                for portion in islice(waiting, _AHEAD - under_way):
                    alone = [number for number, each in enumerate(portion) if each.alone]
                    self._send({"do": "read", "alone": alone}, [pack_names([each.name for each in portion])])
                    under_way += 1
                if not under_way:
                    return
                under_way -= 1
                yield self._unpacked(unpack_arrivals, self._receive())
        finally:
            # The answers to what was asked ahead must not be taken for those to the next question.
            for _ in range(under_way):
                self._drop()

    def announce(self, id: str, digests: Collection[str]) -> None:
        """Say which chunks snapshot ``id`` will need."""
        self._ask({"do": "announce", "id": id}, [pack_digests(sorted(digests))])

    def withdraw(self, id: str) -> None:
        """Take back what was announced for ``id``."""
        self._ask({"do": "withdraw", "id": id})

    def standing(self, digests: Collection[str]) -> Standing:
        """Tell which of these chunks can be had there."""
        frame = self._ask({"do": "standing"}, [pack_digests(sorted(digests))])
        alone = frame.head.get("alone")
        if type(alone) is not int or alone < 0 or (len(frame.body) - 32 * alone) % 33 or len(frame.body) < 32 * alone:
            raise self._failed(RemoteError("an answer does not add up."))
        count = (len(frame.body) - 32 * alone) // 33
        there = unpack_digests(frame.body[: 32 * count])
        depths = dict(zip(there, frame.body[32 * count : 33 * count], strict=True))
        return Standing(depths, frozenset(unpack_digests(frame.body[33 * count :])))

    def put(self, portion: Sequence[Arrival]) -> None:
        """Send objects; while they are checked and written there, the next ones can be sent."""
        names = pack_names([arrival.name for arrival in portion])
        self._ask({"do": "put", "names": len(portion)}, [names, *(arrival.data for arrival in portion)])

    def settle(self) -> None:
        """Return when all that was put is on the disk there."""
        self._ask({"do": "settle"})

    def commit(self, commit: Commit) -> Outcome:
        """Have the snapshot made real."""
        head = {"do": "commit", "id": commit.id, "stamp": commit.stamp, "manifest": len(commit.manifest)}
        return self._outcome(self._ask(head, [commit.manifest, commit.label or b""]))

    def bury(self, id: str, stamp: str, label: bytes) -> Outcome:
        """Have a snapshot marked as deleted."""
        return self._outcome(self._ask({"do": "bury", "id": id, "stamp": stamp}, [label]))

    def close(self) -> None:
        """End the connection."""
        self._close()

    def _greet(self) -> None:
        try:
            greeting = self._wire.line()
        except RemoteError as error:
            raise self._failed(error) from error
        if greeting != GREETING:
            if greeting.startswith(GREETING[:-2]):
                raise self._failed(RemoteError("it speaks another version of the protocol; update both sides."))
            said = greeting.decode("utf-8", "replace").strip()
            what = f"it said {said!r} where a vault should answer." if said else "nothing answered."
            raise self._failed(RemoteError(what))
        hello = self._receive().head
        uuid, depth = hello.get("uuid"), hello.get("max_depth")
        if not isinstance(uuid, str) or len(uuid) > 50 or type(depth) is not int or not 0 <= depth <= _MAX_DEPTH:
            raise self._failed(RemoteError("it does not say which vault it is."))
        self.uuid, self.max_depth = uuid, depth

    def _ask(self, head: dict[str, Any], pieces: Sequence[Bytes] = ()) -> Frame:
        self._send(head, pieces)
        return self._receive()

    def _send(self, head: dict[str, Any], pieces: Sequence[Bytes] = ()) -> None:
        try:
            self._wire.send(head, pieces)
        except RemoteError as error:
            raise self._failed(error) from error

    def _receive(self) -> Frame:
        try:
            frame = self._wire.receive()
        except RemoteError as error:
            raise self._failed(error) from error
        if frame is None:
            raise self._failed(RemoteError("the connection ended."))
        text = frame.head.get("error")
        if text is not None:
            kind = str(frame.head.get("kind"))
            named: type[CasvaultError] = getattr(errors, kind) if kind in _PASSED_ON else RemoteError
            raise named(f"{self.title}: {str(text)[:500]}")
        return frame

    def _drop(self) -> None:
        with suppress(CasvaultError):
            self._receive()

    def _outcome(self, frame: Frame) -> Outcome:
        refused = frame.head.get("refused")
        missing = self._unpacked(unpack_digests, frame.body)
        return Outcome(
            tuple(missing), str(refused)[:300] if refused is not None else None, bool(frame.head.get("conflict"))
        )

    def _unpacked(self, unpack: Callable[[Any], list[Any]], what: Any) -> list[Any]:
        try:
            return unpack(what)
        except RemoteError as error:
            raise self._failed(error) from error

    def _failed(self, error: RemoteError) -> RemoteError:
        if str(error).startswith(f"{self.title}: "):
            return error
        told = self._told()
        way_out = "; `casvault remote add --program PATH` says where casvault is there." if "not found" in told else ""
        return RemoteError(f"{self.title}: {error}{f' What came back: {told}' if told else ''}{way_out}")
