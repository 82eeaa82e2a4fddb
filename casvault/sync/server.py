"""The far end: a vault that answers one caller over two streams, by its own rules.

It takes the vault's real locks, checks all that arrives as `sync.local` does for anybody, and lets a caller do what a
transfer does, nothing else: no path and no name of a file is ever taken from what is sent.

Owns the invariant that every request gets one answer, and that whatever a caller sends at worst ends the connection.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, BinaryIO

from casvault.codecs import Bytes
from casvault.errors import BrokenLink, CasvaultError, Locked, MissingObject, RemoteError, StorageError
from casvault.manifest.stamp import Stamp
from casvault.objects import ObjectName
from casvault.sync.frames import (
    GREETING,
    SLOTS,
    Frame,
    Heading,
    Wire,
    had_of,
    pack_arrivals,
    pack_digests,
    pack_names,
    unpack_digests,
    unpack_names,
)
from casvault.sync.local import LocalRemote
from casvault.sync.remote import Arrival, Commit, Outcome, Wanted
from casvault.sync.states import rows_of
from casvault.vault.parts import Parts
from casvault.vault.vault import Vault

__all__ = ["serve"]

_DEEPEST = 255
_LIFE = 10.0
"""Seconds between two signs of life."""

_LEAVE = 1.0
_WAIT = 5.0
"""Seconds that a server has to end whose link broke: if it hangs as well, some objects go twice."""

_LOT = 1 << 20
"""Bytes of objects that are passed on before the rest of their frame has come."""


def serve(vault: Vault, reader: BinaryIO, writer: BinaryIO) -> None:
    """Answer until the caller ends the connection; raises RemoteError where it sends what is no request."""
    writer.write(GREETING)
    wire = Wire(reader, writer)
    local = LocalRemote(vault)
    with ExitStack() as held, local, _alive(wire):
        wire.send({"uuid": local.uuid, "max_depth": local.max_depth})
        server = _Server(wire, local, held)
        while (heading := wire.heading()) is not None:
            server.answer(heading)


@contextmanager
def _alive(wire: Wire) -> Iterator[None]:
    """Show life from time to time, whatever takes so long."""
    done = threading.Event()

    def work() -> None:
        with suppress(RemoteError):
            while not done.wait(_LIFE):
                wire.show_life()

    thread = threading.Thread(target=work, name="life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(_LEAVE)


class _Server:
    def __init__(self, wire: Wire, local: LocalRemote, held: ExitStack) -> None:
        self._wire = wire
        self._held = held
        self._local = local
        self._parts = Parts(local.vault.backend)
        self._actions: dict[str, Callable[[Frame], None]] = {
            "begin": self._begin,
            "state": self._state,
            "manifest": self._manifest,
            "label": self._label,
            "closure": self._closure,
            "read": self._read,
            "announce": self._announce,
            "withdraw": self._withdraw,
            "standing": self._standing,
            "settle": self._settle,
            "commit": self._commit,
            "bury": self._bury,
            "usage": self._usage,
        }

    def answer(self, heading: Heading) -> None:
        what = str(heading.head.get("do"))
        action = self._actions.get(what)
        if action is None and what != "put":
            raise RemoteError("a request was sent that is no part of the protocol.")
        try:
            if action is None:
                self._put(heading)
            else:
                action(self._wire.rest(heading))
        except RemoteError:
            raise
        except CasvaultError as error:
            self._wire.send({"error": str(error)[:2000], "kind": type(error).__name__})

    def _begin(self, request: Frame) -> None:
        """Wait for the server of a link that broke: what it took in is not asked for again. Tell what is begun."""
        slot = _text(request, "slot")
        if slot not in SLOTS:
            raise RemoteError("a request was sent that is no part of the protocol.")
        # In a vault on a disk that can only be read there is nothing to wait for.
        with suppress(Locked, StorageError):
            wait = _WAIT if request.head.get("again") is True else 0.0
            self._held.enter_context(self._local.vault.locks.one(f"transfer-{slot}", wait))
        self._wire.send({"parts": [[*name, had] for name, had in self._parts.every().items()]})

    def _state(self, request: Frame) -> None:
        for row in rows_of(self._local.state()):
            self._wire.send({"row": row})
        self._wire.send({"end": True})

    def _manifest(self, request: Frame) -> None:
        self._wire.send({}, [self._local.manifest(_text(request, "id"))])

    def _label(self, request: Frame) -> None:
        self._wire.send({}, [self._local.label(_text(request, "id"), _text(request, "stamp"))])

    def _closure(self, request: Frame) -> None:
        self._wire.send({}, [pack_names(self._local.closure(unpack_digests(request.body)))])

    def _read(self, request: Frame) -> None:
        names, alone = unpack_names(request.body), set(_list(request, "alone"))
        portion = [Wanted(name, number in alone) for number, name in enumerate(names)]
        had = list(had_of(request.head, names).items())
        if any(number in alone for number, _ in had):
            raise RemoteError("a request was sent that is no part of the protocol.")
        for arrivals in self._local.read([portion]):
            self._wire.send({"names": len(arrivals), "had": had}, pack_arrivals(arrivals, had))

    def _announce(self, request: Frame) -> None:
        self._local.announce(_text(request, "id"), unpack_digests(request.body))
        self._wire.send({})

    def _withdraw(self, request: Frame) -> None:
        self._local.withdraw(_text(request, "id"))
        self._wire.send({})

    def _standing(self, request: Frame) -> None:
        digests = unpack_digests(request.body)
        found = self._local.standing(digests)
        there = sorted(found.depths)
        self._wire.send({"alone": len(found.alone)}, [
            pack_digests(there),
            bytes(min(found.depths[digest], _DEEPEST) for digest in there),
            pack_digests(sorted(found.alone)),
        ])  # fmt: skip

    def _put(self, heading: Heading) -> None:
        """Pass objects on as they come; those that came whole before the connection broke are kept as well."""
        lot, size, failure = list[Arrival](), 0, list[CasvaultError]()

        def beginning(name: ObjectName, had: int) -> Bytes:
            found = self._parts.take(name, had)
            if found is None:
                failure.append(MissingObject(f"the beginning of object {name.digest[:12]} is gone; try again."))
            return found if found is not None else bytes(had)

        try:
            for arrival in self._wire.arrivals(heading, beginning):
                lot.append(arrival)
                size += arrival.name.size
                if size >= _LOT:
                    failure += [] if failure else self._taken(lot)
                    lot, size = [], 0
        except BrokenLink:
            if lot and not failure:
                self._taken(lot)
            if self._wire.part is not None and not failure:
                self._parts.keep(*self._wire.part)
            raise
        failure += [] if failure else self._taken(lot)
        if failure:
            raise failure[0]
        self._wire.send({})

    def _taken(self, lot: list[Arrival]) -> list[CasvaultError]:
        # The frame has to be read to its end all the same.
        try:
            self._local.put(lot)
        except CasvaultError as error:
            return [error]
        return []

    def _settle(self, request: Frame) -> None:
        self._local.settle()
        self._wire.send({})

    def _commit(self, request: Frame) -> None:
        id, stamp, size = _text(request, "id"), request.head.get("stamp"), request.head.get("manifest")
        if not isinstance(size, int) or not 0 <= size <= len(request.body):
            raise RemoteError("a request was sent that is no part of the protocol.")
        manifest, label = bytes(request.body[:size]), bytes(request.body[size:])
        commit = Commit(id, manifest, _text(request, "stamp"), label) if stamp is not None else Commit(id, manifest)
        self._outcome(self._local.commit(commit))

    def _bury(self, request: Frame) -> None:
        self._outcome(self._local.bury(_text(request, "id"), _text(request, "stamp"), bytes(request.body)))

    def _usage(self, request: Frame) -> None:
        ids = request.head.get("ids")
        if not isinstance(ids, list) or not all(isinstance(id, str) and Stamp.valid(id) for id in ids):
            raise RemoteError("a request was sent that is no part of the protocol.")
        found = self._local.usage(ids, ())
        self._wire.send({}, [json.dumps(found.to_json(), allow_nan=False).encode()])

    def _outcome(self, outcome: Outcome) -> None:
        self._wire.send({"refused": outcome.refused, "conflict": outcome.conflict}, [pack_digests(outcome.missing)])


def _text(request: Frame, key: str) -> str:
    value = request.head.get(key)
    if not isinstance(value, str) or len(value) > 100:
        raise RemoteError("a request was sent that is no part of the protocol.")
    return value


def _list(request: Frame, key: str) -> list[Any]:
    value = request.head.get(key)
    if not isinstance(value, list) or not all(type(item) is int for item in value):
        raise RemoteError("a request was sent that is no part of the protocol.")
    return value
