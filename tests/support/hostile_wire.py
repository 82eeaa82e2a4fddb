"""Conversations between two vaults that were tampered with: what a caller says to a server, and a server to a caller.

A push and a pull are written down once, frame by frame; each case has one of them with frames that are bent, scarred,
gone, twice or in another order, most of them with lengths and checksums that are right.
"""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from casvault.errors import CasvaultError
from casvault.manifest.label import Label
from casvault.sync import SyncOptions, pull, push, serve
from casvault.sync.channel import Link
from casvault.sync.far import FarRemote
from casvault.sync.frames import GREETING, Wire
from casvault.sync.local import LocalRemote
from casvault.vault.heads import LABELS, SNAPSHOTS
from casvault.vault.vault import Vault
from tests.support.ends import behind
from tests.support.vaults import make_manifest, memory_vault, sealed, stamp, store

__all__ = ["answers", "read_answers", "read_requests", "requests"]

Bend = Callable[[Any, random.Random], Any]
Scar = Callable[[bytes, random.Random], bytes]


@dataclass
class Talk:
    """One side of a conversation: what comes before the frames, and the frames, as heads and bodies."""

    begins: bytes
    frames: list[tuple[dict[str, Any], bytes]]


def _filled(snapshots: int = 2) -> Vault:
    """Return a vault in memory with whole snapshots, the second of them with a label."""
    vault = memory_vault()
    for number in range(snapshots):
        files = {"new_SAEHD_data.dat": b"data %d" % number, "new_SAEHD_encoder.npy": b"weights" * 20}
        for data in files.values():
            store(vault.backend, data)
        id = stamp(number)
        if number:
            label = Label(id, name="a name", notes="notes", tags=("a",))
            vault.backend.write(f"{LABELS}/{id}.{stamp(100)}.json", label.to_bytes())
        vault.backend.write(f"{SNAPSHOTS}/{id}.json", make_manifest(id, files).to_bytes())
    return vault


class _Copy(io.RawIOBase):
    """A stream that is written down while it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seen = io.BytesIO()

    def readinto(self, buffer: Any) -> int:
        count: int = self._stream.readinto1(buffer)  # type: ignore[attr-defined]
        self.seen.write(memoryview(buffer)[:count])
        return count

    def readline(self, size: int | None = -1) -> bytes:
        data = self._stream.readline(-1 if size is None else size)
        self.seen.write(data)
        return data


class _Told(io.RawIOBase):
    """A stream that is written down while it is written."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seen = io.BytesIO()

    def write(self, data: Any) -> int:
        self.seen.write(data)
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()


def _taken_apart(data: bytes) -> list[tuple[dict[str, Any], bytes]]:
    wire, found = Wire(io.BytesIO(data), io.BytesIO()), []
    while (frame := wire.receive()) is not None:
        found.append((frame.head, bytes(frame.body)))
    return found


def _listened(vault: Vault, work: Callable[[FarRemote], object]) -> tuple[Talk, Talk]:
    """Do something with a server; return what the caller said, and what the server did."""
    asked, answered = io.BytesIO(), io.BytesIO()

    def server(reader: BinaryIO, writer: BinaryIO) -> None:
        copy, told = _Copy(reader), _Told(writer)
        try:
            serve(vault, cast(BinaryIO, copy), cast(BinaryIO, told))
        finally:
            asked.write(copy.seen.getvalue())
            answered.write(told.seen.getvalue())

    with behind(server) as far:
        work(far)
    frames = answered.getvalue().removeprefix(GREETING)
    return Talk(b"", _taken_apart(asked.getvalue())), Talk(GREETING, _taken_apart(frames))


def _changed(talk: Talk, chance: random.Random, bend: Bend, scar: Scar) -> bytes:
    """Return one side of a conversation in which something is not as it was."""
    frames = list(talk.frames)
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(frames))
        head, body = frames[at]
        how = chance.random()
        if how < 0.35:
            bent = bend(head, chance)
            frames[at] = (bent, body)
        elif how < 0.7:
            frames[at] = (head, _changed_body(body, chance, bend, scar))
        elif how < 0.8:
            del frames[at]
        elif how < 0.9:
            frames.insert(chance.randrange(len(frames) + 1), frames[at])
        else:
            other = chance.randrange(len(frames))
            frames[at], frames[other] = frames[other], frames[at]
        if not frames:
            break
    pieces = [talk.begins]
    for head, body in frames:
        text = json.dumps(head).encode("utf-8", "surrogatepass")
        pieces.append(struct.pack("<II", len(text), len(body)) + text + body)
    data = b"".join(pieces)
    return scar(data, chance) if chance.random() < 0.2 else data


def _changed_body(body: bytes, chance: random.Random, bend: Bend, scar: Scar) -> bytes:
    end = body.find(b"\n") + 1
    if body.startswith(b"{") and end and chance.random() < 0.8:
        with suppress(ValueError):
            fields = json.loads(body[:end])
            fields.pop("checksum", None)
            text = json.dumps(bend(fields, chance)).encode("utf-8", "surrogatepass")
            return (sealed(text) if text.endswith(b"}") else text) + body[end:]
    return scar(body, chance)


def requests(bend: Bend, scar: Scar) -> Callable[[random.Random], bytes]:
    """Return a maker of what callers say."""
    source = LocalRemote(_filled())
    pushed, _ = _listened(memory_vault(), lambda far: push(source, far, SyncOptions()))
    pulled, _ = _listened(_filled(), lambda far: pull(LocalRemote(memory_vault()), far, SyncOptions()))
    return lambda chance: _changed(chance.choice((pushed, pushed, pulled)), chance, bend, scar)


def answers(bend: Bend, scar: Scar) -> Callable[[random.Random], bytes]:
    """Return a maker of what servers say to who pulls."""
    _, told = _listened(_filled(), lambda far: pull(LocalRemote(memory_vault()), far, SyncOptions()))
    return lambda chance: _changed(told, chance, bend, scar)


def read_requests(data: bytes) -> None:
    """Let a server hear it: whatever it takes in, what is there afterwards is whole."""
    vault = _filled(1)
    try:
        serve(vault, io.BytesIO(data), io.BytesIO())
    finally:
        _check(vault)


def read_answers(data: bytes) -> None:
    """Pull from who says it."""
    vault = memory_vault()
    try:
        with FarRemote(lambda: _said(data), "far") as far:
            pull(LocalRemote(vault), far, SyncOptions(retries=0))
    finally:
        _check(vault)


def _said(data: bytes) -> Link:
    return Link(Wire(io.BytesIO(data), io.BytesIO()), lambda: None, lambda: None, lambda: "")


def _check(vault: Vault) -> None:
    """Every snapshot that is there can be restored, and no document is one that no reader takes."""
    from casvault.check import verify

    try:
        found = verify(vault, read_data=True)
    except CasvaultError as error:
        raise AssertionError(f"what arrived harms the vault: {error}") from error
    assert found.ok, f"what arrived is not whole: {found.damaged[:3]}"
