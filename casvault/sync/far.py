"""The near end: a vault that is reached over two streams, such as a program's that `ssh` runs elsewhere.

Owns the invariant that whatever comes back is checked or ends the transfer with one sentence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from casvault.codecs import Bytes
from casvault.errors import BrokenLink, CasvaultError, DamageError, RemoteError
from casvault.objects import ObjectName
from casvault.sync.channel import End, Link
from casvault.sync.conversation import Conversation
from casvault.sync.frames import (
    SLOTS,
    Frame,
    pack_arrivals,
    pack_digests,
    pack_names,
    unpack_digests,
    unpack_names,
)
from casvault.sync.remote import Arrival, Commit, Documents, Outcome, Remote, Standing, State, Wanted

if TYPE_CHECKING:
    from casvault.usage.usage import Usage
    from casvault.vault.head import Head

__all__ = ["FarRemote"]

_AHEAD = 2
"""Portions that are asked for before the one that is being read."""

_UNHEARD = 2
"""Portions that were sent before it is heard what became of the first."""

_DOCUMENTS = 8
"""Snapshots whose documents are asked for at once: so few questions fit into any pipe, whoever does not read."""


class FarRemote(Conversation, Remote):
    """The vault that answers at the other end of what ``dial`` returns.

    Raises RemoteError where there is no vault that speaks this protocol: at once, or, where it need not ``wait``, when
    it is first asked something.
    """

    def __init__(self, dial: Callable[[], Link], title: str, *, wait: bool = True) -> None:
        self._before = 0
        self._part: tuple[ObjectName, Bytes] | None = None
        super().__init__(dial, title, SLOTS[os.urandom(1)[0] % len(SLOTS)], ahead=not wait)
        if wait:
            self.ready()

    @property
    def uuid(self) -> str:  # type: ignore[override]
        """The id of the vault there."""
        self.ready()
        return self._uuid

    @property
    def max_depth(self) -> int:  # type: ignore[override]
        """How many bases may stand behind an object there."""
        self.ready()
        return self._max_depth

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
        if not self._channel.broken and self._lost is None:
            return
        uuid = self._uuid
        self._before += self._channel.moved
        self._part = self._link.wire.part or self._part
        self.close()
        try:
            self._connect(again=True)
            self.ready()
        except RemoteError as error:
            # It was there a moment ago: the next try may be luckier.
            raise BrokenLink(str(error)) from error
        if self._uuid != uuid:
            raise RemoteError(f"{self.title}: another vault answers there now.")

    def state(self) -> State:
        """Return which snapshots and labels there are."""
        from casvault.sync.states import state_of

        self.ready()
        if self._state_asked:
            self._state_asked = False
        else:
            self._quiet()
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

    def documents(self, wanted: Sequence[tuple[str, str | None]]) -> list[Documents | CasvaultError]:
        """Return manifests and labels, or what each raises."""
        found: list[Documents | CasvaultError] = []
        self._quiet()
        for start in range(0, len(wanted), _DOCUMENTS):
            lot = wanted[start : start + _DOCUMENTS]
            for id, stamp in lot:
                self._send({"do": "manifest", "id": id})
                if stamp is not None:
                    self._send({"do": "label", "id": id, "stamp": stamp})
            for _, stamp in lot:
                answers = [self._answer() for _ in range(1 if stamp is None else 2)]
                errors = [one for one in answers if not isinstance(one, Frame)]
                bodies = [bytes(one.body) for one in answers if isinstance(one, Frame)]
                found.append(errors[0] if errors else Documents(bodies[0], bodies[1] if stamp is not None else None))
        return found

    def prepare(self, id: str, digests: Collection[str], done: str | None, asked: Collection[str]) -> Standing:
        """Announce, withdraw and ask at once."""
        self._quiet()
        self._send({"do": "announce", "id": id}, [pack_digests(sorted(digests))])
        if done is not None:
            self._send({"do": "withdraw", "id": done})
        self._send({"do": "standing"}, [pack_digests(sorted(asked))])
        answers = self._answers(2 if done is None else 3)
        return self._standing(answers[-1])

    def conclude(self, commit: Commit, digests: Collection[str]) -> tuple[Outcome, Standing]:
        """Settle, commit and ask at once, while what was put is still being checked."""
        self._drop_stale()
        self._send({"do": "settle"})
        self._send(*_committing(commit))
        self._send({"do": "standing"}, [pack_digests(sorted(digests))])
        unheard, self._unheard = self._unheard, 0
        answers = self._answers(unheard + 3)
        return self._outcome(answers[-2]), self._standing(answers[-1])

    def read(self, portions: Iterable[Sequence[Wanted]]) -> Generator[list[Arrival], None, None]:
        """Yield objects as they come; the next portions are on their way meanwhile. To be closed by who stops early."""
        self._quiet()
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
        return self._standing(self._ask({"do": "standing"}, [pack_digests(sorted(digests))]))

    def _standing(self, frame: Frame) -> Standing:
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
        self._drop_stale()
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
        return self._outcome(self._ask(*_committing(commit)))

    def bury(self, id: str, stamp: str, label: bytes) -> Outcome:
        """Have a snapshot marked as deleted."""
        return self._outcome(self._ask({"do": "bury", "id": id, "stamp": stamp}, [label]))

    def usage(self, ids: Sequence[str], heads: Sequence[Head]) -> Usage:
        """Have counted there what the vault takes."""
        from casvault.sync.accounts import usage_from

        try:
            found = usage_from(bytes(self._ask({"do": "usage", "ids": list(ids)}).body), {one.id: one for one in heads})
        except RemoteError as error:
            raise self._failed(error) from error
        if ids and list(found.chosen) != list(ids):
            raise self._failed(RemoteError("an answer does not add up."))
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

    def _outcome(self, frame: Frame) -> Outcome:
        refused = frame.head.get("refused")
        missing = self._unpacked(unpack_digests, frame.body)
        return Outcome(
            tuple(missing), str(refused)[:300] if refused is not None else None, bool(frame.head.get("conflict"))
        )


def _committing(commit: Commit) -> tuple[dict[str, Any], list[Bytes]]:
    """Return the request for a commit."""
    head = {"do": "commit", "id": commit.id, "stamp": commit.stamp, "manifest": len(commit.manifest)}
    return head, [commit.manifest, commit.label or b""]
