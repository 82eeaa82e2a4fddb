"""The protocol: whatever the other side sends, a stranger ends the connection, and that is one sentence."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from casvault import api
from casvault.errors import CasvaultError, DamageError, Locked, RemoteError
from casvault.files import locks
from casvault.objects import ObjectName
from casvault.sync import SyncOptions, pull, serve
from casvault.sync.far import FarRemote
from casvault.sync.frames import GREETING, MAX_BODY, Wire, pack_names
from casvault.sync.local import LocalRemote
from tests.support.ends import behind, end
from tests.support.lines import Line, objects_on_disk

ID = "20261124T031500.123Z-1f3c9a"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    made = Line(tmp_path_factory.mktemp("line"), threads=1)
    made.grow(2)
    return made


def frame(head: object, body: bytes = b"") -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("<II", len(text), len(body)) + text + body


HELLO = GREETING + frame({"uuid": "x", "max_depth": 2}) + frame({"parts": []})


def saying(data: bytes, *, ends: bool = False) -> Callable[[BinaryIO, BinaryIO], None]:
    """Return a server that says this, whatever it is asked, and then listens or ``ends``."""

    def run(reader: BinaryIO, writer: BinaryIO) -> None:
        writer.write(data)
        writer.flush()
        if not ends:
            reader.read()

    return run


def test_who_ended_it_is_told_once() -> None:
    with behind(saying(HELLO + b"\xff" * 8)) as far, pytest.raises(RemoteError) as caught:
        far.state()
    assert str(caught.value) == "far: something was sent that is no part of the protocol."


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", "nothing answered"),
        (b"Welcome to the cloud!\r\n" + HELLO, "it said 'Welcome to the cloud!'"),
        (b"\x1b]0;x\x07\x1b[2J", "where a vault should answer"),
        (b"x" * 100_000, "where a vault should answer"),
        (b"casvault serve 2\n", "another version"),
        (GREETING, "the connection ended"),
        (GREETING + b"\xff" * 8, "no part of the protocol"),
        (GREETING + struct.pack("<II", 2, 0) + b"[]", "no part of the protocol"),
        (GREETING + struct.pack("<II", 9, 0) + b"[" * 9, "no part of the protocol"),
        (GREETING + struct.pack("<II", 100, 0) + b"{", "in the middle"),
        (GREETING + struct.pack("<II", 2, MAX_BODY + 1) + b"{}", "no part of the protocol"),
        (GREETING + frame({"uuid": 7, "max_depth": 2}), "which vault"),
        (GREETING + frame({"uuid": "x", "max_depth": 10_000}), "which vault"),
        (GREETING + frame({"uuid": "x", "max_depth": True}), "which vault"),
    ],
)
def test_what_is_no_server(said: bytes, told: str) -> None:
    with pytest.raises(RemoteError) as caught, behind(saying(said, ends=True)):
        pass
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "row",
    [
        7,
        {},
        {"id": "../../x"},
        {"id": ID, "tombstone": "x"},
        {"id": ID, "document": {}, "label": {}, "stamp": None},
        {"id": ID, "document": {"id": ID, "model": 7}},
        {"id": ID, "document": {"id": ID, "loss": float("1e308"), "model": {"name": "\x1b"}}},
    ],
)
def test_rows_that_cannot_be_true(row: object) -> None:
    with behind(saying(HELLO + frame({"row": row}) + frame({"end": True}))) as far, pytest.raises(RemoteError):
        far.state()


def test_a_row_is_checked_as_a_manifest_is(line: Line) -> None:
    rows: list[dict[str, Any]] = []
    with end(line.vault, "wire") as far:
        true = far.state()
    with LocalRemote(line.vault) as here:
        assert here.state() == true
        from casvault.sync.states import rows_of

        rows = list(rows_of(here.state()))
    good = rows[0]
    for key, value in (("kind", "evil"), ("created", "now"), ("iteration", -1), ("id", ID)):
        bad = {**good, "document": {**good["document"], key: value}}
        with behind(saying(HELLO + frame({"row": bad}) + frame({"end": True}))) as far, pytest.raises(RemoteError):
            far.state()


def test_an_endless_list_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.sync.states.MAX_ROWS", 500)

    def run(reader: BinaryIO, writer: BinaryIO) -> None:
        writer.write(HELLO)
        while True:
            writer.write(frame({"row": {"id": ID, "damaged": True}}))

    with pytest.raises(RemoteError, match="no end"), behind(run) as far:
        far.state()


def test_objects_that_do_not_add_up() -> None:
    name = ObjectName("0" * 64, None, 100)
    for head, body in (
        ({"names": 1}, pack_names([name])),
        ({"names": 2}, pack_names([name])),
        ({"names": -1}, b""),
        ({}, b""),
        ({"names": 1}, pack_names([name._replace(size=1 << 60)])),
    ):
        with behind(saying(HELLO + frame(head, body))) as far, pytest.raises(RemoteError, match=r"add up|no part"):
            next(far.read([[]]))


def test_a_list_of_objects_that_cannot_be() -> None:
    a, b = ObjectName("a" * 64, "b" * 64, 100), ObjectName("b" * 64, "a" * 64, 100)
    for names in ([a], [a, b], [a._replace(base=None)] * 2):
        with behind(saying(HELLO + frame({}, pack_names(names)))) as far, pytest.raises(DamageError):
            far.closure(["a" * 64])
    for body in (b"x", b"x" * 34):
        with behind(saying(HELLO + frame({"alone": 0}, body))) as far, pytest.raises(RemoteError, match="add up"):
            far.standing(["a" * 64])
    with behind(saying(HELLO + frame({"alone": 1 << 60}))) as far, pytest.raises(RemoteError, match="add up"):
        far.standing(["a" * 64])


def test_an_error_keeps_its_kind_but_only_those_that_are_meant() -> None:
    for kind, expected in (("Locked", Locked), ("Cancelled", RemoteError), ("__doc__", RemoteError), (7, RemoteError)):
        with behind(saying(HELLO + frame({"error": "no", "kind": kind}))) as far, pytest.raises(expected) as caught:
            far.settle()
        assert type(caught.value) is expected


def test_wrong_bytes_from_a_server_are_not_taken(line: Line, tmp_path: Path) -> None:
    """The server gives each object the payload of another one, with a right checksum."""
    fresh = api.init(tmp_path / ".casvault")

    class Liar(LocalRemote):
        def read(self, portions):  # type: ignore[no-untyped-def]
            for portion in super().read(portions):
                alone = [one for one in portion if one.name.base is None]
                other = alone[0] if alone else portion[0]
                yield [one._replace(name=one.name._replace(size=len(other.data)), data=other.data) for one in portion]

    def run(reader: BinaryIO, writer: BinaryIO) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("casvault.sync.server.LocalRemote", Liar)
            serve(api.open(str(line.vault.path), threads=1), reader, writer)

    with behind(run) as far, LocalRemote(fresh) as here:
        result = pull(here, far, SyncOptions())
    assert fresh.snapshots() == []
    assert len(result.failed) == 2
    for name in objects_on_disk(fresh):
        fresh.objects.read(name.partition("/")[2].partition(".")[0])


# Hostile callers


def asked(vault: api.Vault, *frames: bytes) -> bytes:
    """Return what a vault answers to these bytes; raises RemoteError where it ends the connection."""
    out = BytesIO()
    serve(vault, BytesIO(b"".join(frames)), out)
    return out.getvalue()


@pytest.mark.parametrize(
    "request_",
    [
        frame({}),
        frame({"do": "answer"}),
        frame({"do": "__init__"}),
        frame({"do": "closure"}, b"x"),
        frame({"do": "read", "alone": ["x"]}),
        frame({"do": "read", "alone": []}, b"x"),
        frame({"do": "manifest"}),
        frame({"do": "commit", "id": ID, "manifest": 10}),
        frame({"do": "commit", "id": ID, "manifest": -1}),
        frame({"do": "put", "names": 3}),
        b"\xff" * 8,
        b"GET / HTTP/1.1\r\n\r\n",
        b"x",
    ],
)
def test_what_is_no_request_ends_it(line: Line, request_: bytes) -> None:
    with pytest.raises(RemoteError):
        asked(line.vault, request_)


@pytest.mark.parametrize(
    "request_",
    [
        frame({"do": "manifest", "id": "../vault"}),
        frame({"do": "label", "id": ID, "stamp": "../../x"}),
        frame({"do": "announce", "id": "../x"}),
        frame({"do": "withdraw", "id": "../x"}),
        frame({"do": "commit", "id": ID, "manifest": 2}, b"{}"),
        frame({"do": "bury", "id": ID, "stamp": ID}, b"{}"),
        frame({"do": "read", "alone": []}, pack_names([ObjectName("0" * 64, None, 1)])),
        frame({"do": "read", "alone": [0]}, pack_names([ObjectName("0" * 64, None, 1)])),
    ],
)
def test_what_a_vault_does_not_do_is_told(line: Line, request_: bytes) -> None:
    assert line.vault.path is not None
    before = {path for path in line.vault.path.rglob("*") if "cache" not in path.parts}
    answer = asked(line.vault, request_)
    assert b'"error"' in answer
    assert {path for path in line.vault.path.rglob("*") if "cache" not in path.parts} == before


def test_the_real_locks_are_taken(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SHARED_WAIT", 0.2)
    with end(line.vault, "wire") as far, line.vault.locks.alone("a test"), pytest.raises(Locked, match="a test"):
        far.closure(["0" * 64])


def test_more_names_than_anybody_has_are_not_taken_apart(line: Line) -> None:
    digests, names = bytes(32 * 450_001), bytes(72 * 450_001)
    for request in (frame({"do": "closure"}, digests), frame({"do": "read", "alone": []}, names)):
        with pytest.raises(RemoteError, match="than the protocol allows"):
            asked(line.vault, request)


def test_more_than_a_frame_holds_is_not_sent() -> None:
    out = BytesIO()
    with pytest.raises(RemoteError):
        Wire(BytesIO(), out).send({}, [bytes(MAX_BODY + 1)])
    assert out.getvalue() == b""


def test_a_connection_that_breaks_is_one_sentence(line: Line) -> None:
    def run(reader: BinaryIO, writer: BinaryIO) -> None:
        writer.write(HELLO)
        writer.flush()
        reader.read(3)

    with behind(run) as far, pytest.raises(CasvaultError, match="ended"):
        far.manifest(ID)
    assert isinstance(far, FarRemote)
