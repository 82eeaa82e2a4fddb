"""A conversation: questions to the vault at the other end of a link, and its answers, which come in the same order.

Owns the invariant that no answer is taken for that to another question, however many are asked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from casvault import errors
from casvault.codecs import Bytes
from casvault.errors import BrokenLink, CasvaultError, RemoteError
from casvault.objects import ObjectName
from casvault.sync.channel import Channel, End, Link
from casvault.sync.frames import GREETING, Frame
from casvault.sync.remote import Arrival

__all__ = ["Conversation"]

_MOST_PARTS = 100
_PASSED_ON = ("BadManifest", "DamageError", "Locked", "MissingObject", "NoSpace", "NotFound", "StorageError")
_MAX_DEPTH = 64


class Conversation:
    """What is said over the link that ``dial`` returns, with a vault that is called ``title`` in sentences.

    ``slot`` is what the far side knows a caller by whose link broke. With ``ahead`` the state is asked for at once.
    """

    _link: Link
    _channel: Channel

    def __init__(self, dial: Callable[[], Link], title: str, slot: str, *, ahead: bool) -> None:
        self.title = title
        self._dial = dial
        self._slot = slot
        self._ahead = ahead
        self._uuid, self._max_depth = "", 0
        self._parts: dict[ObjectName, int] = {}
        self._stale = self._unheard = 0
        self._again = self._met = self._closed = self._state_asked = False
        self._lost: BaseException | None = None
        self._connect(again=False)

    def close(self) -> None:
        """End the connection."""
        if not self._closed:
            self._closed = True
            self._channel.close()
            self._link.close()

    def ready(self) -> None:
        """Wait until the vault there has said which it is."""
        if self._lost is not None:
            raise self._lost
        if self._met:
            return
        self._met = True
        try:
            self._greet()
        except BaseException as error:
            self._lost = error
            self._link.cut()
            self.close()
            raise

    def _connect(self, *, again: bool) -> None:
        self._stale = self._unheard = 0
        self._met = self._closed = self._state_asked = False
        self._lost = None
        self._again = again
        self._link = self._dial()
        self._channel = Channel(self._link)

    def _greet(self) -> None:
        greeting = self._next()
        if greeting != GREETING:
            said = greeting.decode("utf-8", "replace").strip() if isinstance(greeting, bytes) else ""
            if said.startswith(GREETING.decode()[:-2]):
                raise self._failed(RemoteError("it speaks another version of the protocol; update both sides."))
            what = f"it said {said!r} where a vault should answer." if said else "nothing answered."
            raise self._failed(RemoteError(what))
        # What a transfer begins with: it is answered as soon as the vault there is open.
        self._send({"do": "begin", "slot": self._slot, "again": self._again})
        if self._ahead:
            self._send({"do": "state"})
            self._state_asked = True
        hello = self._receive().head
        uuid, depth = hello.get("uuid"), hello.get("max_depth")
        if not isinstance(uuid, str) or len(uuid) > 50 or type(depth) is not int or not 0 <= depth <= _MAX_DEPTH:
            raise self._failed(RemoteError("it does not say which vault it is."))
        self._uuid, self._max_depth = uuid, depth
        self._parts = self._parts_of(self._receive().head.get("parts"))

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

    def _ask(self, head: dict[str, Any], pieces: Sequence[Bytes] = ()) -> Frame:
        self._quiet()
        self._send(head, pieces)
        return self._receive()

    def _quiet(self) -> None:
        """Hear all that is still to come of what was asked or put before."""
        self.ready()
        self._drop_stale()
        self._hear(0)

    def _drop_stale(self) -> None:
        if self._state_asked:
            self._state_asked = False
            while "row" in self._receive().head:
                pass
        while self._stale:
            self._stale -= 1
            while isinstance(self._next(), list):
                pass

    def _answer(self) -> Frame | CasvaultError:
        """Return an answer, or what it says went wrong; raises what ends the connection."""
        try:
            return self._receive()
        except CasvaultError as error:
            if self._channel.broken:
                raise
            return error

    def _answers(self, count: int) -> list[Frame]:
        """Return so many answers; raises the first error in them, once all are there."""
        answers = [self._answer() for _ in range(count)]
        for answer in answers:
            if not isinstance(answer, Frame):
                raise answer
        return [answer for answer in answers if isinstance(answer, Frame)]

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
