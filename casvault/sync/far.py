"""The near end: a vault that is reached over two streams, such as a program's that `ssh` runs elsewhere.

Owns the invariant that whatever comes back is checked or ends the transfer with one sentence.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from casvault import errors
from casvault.codecs import Bytes
from casvault.errors import BrokenLink, CasvaultError, DamageError, RemoteError
from casvault.objects import ObjectName
from casvault.sync.accounts import usage_from
from casvault.sync.channel import Channel, End, Link
from casvault.sync.frames import (
    GREETING,
    Frame,
    pack_arrivals,
    pack_digests,
    pack_names,
    unpack_digests,
    unpack_names,
)
from casvault.sync.remote import Arrival, Commit, Outcome, Remote, Standing, State, Wanted
from casvault.sync.server import SLOTS
from casvault.sync.states import state_of
from casvault.usage.usage import Usage
from casvault.vault.head import Head

__all__ = ["FarRemote"]

_AHEAD = 2
"""Portions that are asked for before the one that is being read."""

_MOST_PARTS = 100
_UNHEARD = 2
"""Portions that were sent before it is heard what became of the first."""

_PASSED_ON = ("BadManifest", "DamageError", "Locked", "MissingObject", "NoSpace", "NotFound", "StorageError")
_MAX_DEPTH = 64


class FarRemote(Remote):
    """The vault that answers at the other end of what ``dial`` returns.

    Raises RemoteError where there is no vault that speaks this protocol.
    """

    def __init__(self, dial: Callable[[], Link], title: str) -> None:
        self.title = title
        self._dial = dial
        self._before = 0
        self._part: tuple[ObjectName, Bytes] | None = None
        self._slot = random.choice(SLOTS)
        self._connect(again=False)

    @property
    def wire_bytes(self) -> int:
        """Bytes that went over the connection, both ways."""
        return self._before + self._channel.moved

    @property
    def begun(self) -> int:
        """Bytes of objects whose transfer broke off, on either side."""
        return sum(self._parts.values()) + (len(self._part[1]) if self._part is not None else 0)

    def reconnect(self) -> None:
        """Reach it anew where the connection broke."""
        if not self._channel.broken:
            return
        uuid = self.uuid
        self._before += self._channel.moved
        self._part = self._link.wire.part or self._part
        self.close()
        try:
            self._connect(again=True)
        except RemoteError as error:
            # It was there a moment ago: the next try may be luckier.
            raise BrokenLink(str(error)) from error
        if self.uuid != uuid:
            raise RemoteError(f"{self.title}: another vault answers there now.")

    def state(self) -> State:
        """Return which snapshots and labels there are."""
        self._send({"do": "state"})

        def rows() -> Iterator[tuple[dict[str, Any], int]]:
            while True:
                frame = self._receive()
                if "row" not in frame.head:
                    return
                yield frame.head["row"], frame.size

        try:
            return state_of(rows())
        except RemoteError as error:
            raise self._failed(error) from error

    def manifest(self, id: str) -> bytes:
        """Return the document of a snapshot."""
        return bytes(self._ask({"do": "manifest", "id": id}).body)

    def label(self, id: str, stamp: str) -> bytes:
        """Return the document of a label."""
        return bytes(self._ask({"do": "label", "id": id, "stamp": stamp}).body)

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
        """Yield objects as they come; the next portions are on their way meanwhile. To be closed by who stops early."""
        waiting = iter(portions)
        under_way = 0
        try:
            while True:
                for portion in islice(waiting, _AHEAD - under_way):
                    alone = [number for number, each in enumerate(portion) if each.alone]
                    head = {"do": "read", "alone": alone, "had": self._had_here(portion)}
                    self._send(head, [pack_names([each.name for each in portion])])
                    under_way += 1
                if not under_way:
                    return
                while not isinstance(item := self._next(), End):
                    if not isinstance(item, list):
                        under_way -= 1
                        raise self._refused(item)
                    yield item
                under_way -= 1
        finally:
            # The answers to what was asked ahead must not be taken for those to the next question.
            self._stale += under_way

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
        self._hear(_UNHEARD)
        had = []
        for number, arrival in enumerate(portion):
            size = self._parts.pop(arrival.name, 0)
            if 0 < size < arrival.name.size:
                had.append((number, size))
        self._send({"do": "put", "names": len(portion), "had": had}, pack_arrivals(portion, had))
        self._unheard += 1

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

    def usage(self, ids: Sequence[str], heads: Sequence[Head]) -> Usage:
        """Have counted there what the vault takes."""
        try:
            found = usage_from(bytes(self._ask({"do": "usage", "ids": list(ids)}).body), {one.id: one for one in heads})
        except RemoteError as error:
            raise self._failed(error) from error
        if ids and list(found.chosen) != list(ids):
            raise self._failed(RemoteError("an answer does not add up."))
        return found

    def close(self) -> None:
        """End the connection."""
        self._channel.close()
        self._link.close()

    def _connect(self, *, again: bool) -> None:
        self._stale = self._unheard = 0
        self._link = self._dial()
        self._channel = Channel(self._link)
        try:
            self._greet()
            told = self._ask({"do": "begin", "slot": self._slot, "again": again})
            self._parts = self._parts_of(told.head.get("parts"))
        except BaseException:
            self._link.cut()
            self.close()
            raise

    def _greet(self) -> None:
        greeting = self._next()
        if greeting != GREETING:
            said = greeting.decode("utf-8", "replace").strip() if isinstance(greeting, bytes) else ""
            if said.startswith(GREETING.decode()[:-2]):
                raise self._failed(RemoteError("it speaks another version of the protocol; update both sides."))
            what = f"it said {said!r} where a vault should answer." if said else "nothing answered."
            raise self._failed(RemoteError(what))
        hello = self._receive().head
        uuid, depth = hello.get("uuid"), hello.get("max_depth")
        if not isinstance(uuid, str) or len(uuid) > 50 or type(depth) is not int or not 0 <= depth <= _MAX_DEPTH:
            raise self._failed(RemoteError("it does not say which vault it is."))
        self.uuid, self.max_depth = uuid, depth

    def _parts_of(self, told: object) -> dict[ObjectName, int]:
        """Return of which objects the other side has a beginning, and how many bytes."""
        if not isinstance(told, list) or len(told) > _MOST_PARTS:
            raise self._failed(RemoteError("what it has begun to receive does not add up."))
        found = {}
        for one in told:
            match one:
                case [str() as digest, str() | None as base, int() as size, int() as had]:
                    found[ObjectName(digest, base, size)] = had
                case _:
                    raise self._failed(RemoteError("what it has begun to receive does not add up."))
        return found

    def _had_here(self, portion: Sequence[Wanted]) -> list[tuple[int, int]]:
        """Tell of which objects the beginning came before the link broke."""
        if self._part is not None:
            name, data = self._part
            for number, each in enumerate(portion):
                if each.name == name and not each.alone and len(data):
                    self._part = None
                    self._channel.beginnings[name] = data
                    return [(number, len(data))]
        return []

    def _ask(self, head: dict[str, Any], pieces: Sequence[Bytes] = ()) -> Frame:
        self._hear(0)
        while self._stale:
            self._stale -= 1
            while isinstance(self._next(), list):
                pass
        self._send(head, pieces)
        return self._receive()

    def _hear(self, most: int) -> None:
        """Hear what became of what was put, until at most so many portions are left."""
        while self._unheard > most:
            self._unheard -= 1
            try:
                self._receive()
            except BrokenLink:
                raise
            except CasvaultError:
                # What was sent after it failed as well, or belongs to what failed.
                while self._unheard:
                    self._unheard -= 1
                    self._next()
                raise

    def _send(self, head: dict[str, Any], pieces: Sequence[Bytes] = ()) -> None:
        try:
            self._channel.send(head, pieces)
        except RemoteError as error:
            raise self._failed(error) from error

    def _next(self) -> bytes | Frame | list[Arrival] | End:
        try:
            return self._channel.receive()
        except RemoteError as error:
            raise self._failed(error) from error

    def _receive(self) -> Frame:
        frame = self._next()
        if not isinstance(frame, Frame) or frame.head.get("error") is not None:
            raise self._refused(frame)
        return frame

    def _refused(self, item: object) -> CasvaultError:
        """Return what an answer that is none says."""
        text = item.head.get("error") if isinstance(item, Frame) else None
        if text is None:
            return self._failed(RemoteError("something was sent that is no part of the protocol."))
        kind = str(item.head.get("kind")) if isinstance(item, Frame) else ""
        named: type[CasvaultError] = getattr(errors, kind) if kind in _PASSED_ON else RemoteError
        return named(f"{self.title}: {str(text)[:500]}")

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
        told = self._link.told()
        way_out = "; `casvault remote add --program PATH` says where casvault is there." if "not found" in told else ""
        return type(error)(f"{self.title}: {error}{f' What came back: {told}' if told else ''}{way_out}")
