"""The far end: a vault that answers one caller over two streams, by its own rules.

It takes the vault's real locks, checks all that arrives as `sync.local` does for anybody, and lets a caller do what a
transfer does, nothing else: no path and no name of a file is ever taken from what is sent.

Owns the invariant that every request gets one answer, and that whatever a caller sends at worst ends the connection.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, BinaryIO

from casvault.errors import CasvaultError, RemoteError
from casvault.manifest.stamp import Stamp
from casvault.sync.frames import (
    GREETING,
    Frame,
    Wire,
    pack_digests,
    pack_names,
    unpack_digests,
    unpack_names,
)
from casvault.sync.local import LocalRemote
from casvault.sync.remote import Arrival, Commit, Outcome, Wanted
from casvault.sync.states import rows_of
from casvault.vault.vault import Vault

__all__ = ["serve", "unpack_arrivals"]

_DEEPEST = 255


def serve(vault: Vault, reader: BinaryIO, writer: BinaryIO) -> None:
    """Answer until the caller ends the connection; raises RemoteError where it sends what is no request."""
    writer.write(GREETING)
    wire = Wire(reader, writer)
    local = LocalRemote(vault)
    with local:
        wire.send({"uuid": local.uuid, "max_depth": local.max_depth})
        server = _Server(wire, local)
        while (request := wire.receive()) is not None:
            server.answer(request)


class _Server:
    def __init__(self, wire: Wire, local: LocalRemote) -> None:
        self._wire = wire
        self._local = local
        self._actions: dict[str, Callable[[Frame], None]] = {
            "state": self._state,
            "manifest": self._manifest,
            "label": self._label,
            "closure": self._closure,
            "read": self._read,
            "announce": self._announce,
            "withdraw": self._withdraw,
            "standing": self._standing,
            "put": self._put,
            "settle": self._settle,
            "commit": self._commit,
            "bury": self._bury,
            "usage": self._usage,
        }

    def answer(self, request: Frame) -> None:
        action = self._actions.get(str(request.head.get("do")))
        if action is None:
            raise RemoteError("a request was sent that is no part of the protocol.")
        try:
            action(request)
        except RemoteError:
            raise
        except CasvaultError as error:
            self._wire.send({"error": str(error)[:2000], "kind": type(error).__name__})

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
        for arrivals in self._local.read([portion]):
            sizes = pack_names([arrival.name for arrival in arrivals])
            self._wire.send({"names": len(arrivals)}, [sizes, *(arrival.data for arrival in arrivals)])

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

    def _put(self, request: Frame) -> None:
        self._local.put(unpack_arrivals(request))
        self._wire.send({})

    def _settle(self, request: Frame) -> None:
        self._local.settle()
        self._wire.send({})

    def _commit(self, request: Frame) -> None:
        id, stamp, size = _text(request, "id"), request.head.get("stamp"), request.head.get("manifest")
        if not isinstance(size, int) or not 0 <= size <= len(request.body):
            raise RemoteError("a request was sent that is no part of the protocol.")
        manifest, label = request.body[:size], request.body[size:]
        commit = Commit(id, manifest, _text(request, "stamp"), label) if stamp is not None else Commit(id, manifest)
        self._outcome(self._local.commit(commit))

    def _bury(self, request: Frame) -> None:
        self._outcome(self._local.bury(_text(request, "id"), _text(request, "stamp"), request.body))

    def _usage(self, request: Frame) -> None:
        ids = request.head.get("ids")
        if not isinstance(ids, list) or not all(isinstance(id, str) and Stamp.valid(id) for id in ids):
            raise RemoteError("a request was sent that is no part of the protocol.")
        found = self._local.usage(ids, ())
        self._wire.send({}, [json.dumps(found.to_json(), allow_nan=False).encode()])

    def _outcome(self, outcome: Outcome) -> None:
        self._wire.send({"refused": outcome.refused, "conflict": outcome.conflict}, [pack_digests(outcome.missing)])


def unpack_arrivals(frame: Frame) -> list[Arrival]:
    """Return the objects in a frame: their names, then their bytes one after another; raises RemoteError."""
    count = frame.head.get("names")
    if not isinstance(count, int) or not 0 <= count * 72 <= len(frame.body):
        raise RemoteError("objects were sent that do not add up.")
    names, at, arrivals = unpack_names(frame.body[: count * 72]), count * 72, []
    for name in names:
        arrivals.append(Arrival(name, frame.body[at : at + name.size]))
        at += name.size
    if at != len(frame.body):
        raise RemoteError("objects were sent that do not add up.")
    return arrivals


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
