"""The channel: what hangs, trickles or breaks ends with one sentence, and whoever waits is never stuck."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import BinaryIO

import pytest

from casvault import api
from casvault.errors import BrokenLink, RemoteError
from casvault.objects import ObjectName
from casvault.sync.far import FarRemote
from casvault.sync.frames import GREETING, pack_names
from casvault.sync.local import LocalRemote
from casvault.sync.remote import Arrival, Standing, Wanted
from tests.support.ends import behind, end
from tests.support.lines import Line

ID = "20261124T031500.123Z-1f3c9a"


def frame(head: object, body: bytes = b"") -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("<II", len(text), len(body)) + text + body


Server = Callable[[BinaryIO, BinaryIO], None]
HELLO = GREETING + frame({"uuid": "x", "max_depth": 2}) + frame({"parts": []})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.sync.channel.SILENCE", 0.3)
    monkeypatch.setattr("casvault.sync.channel.PATIENCE", 0.6)
    monkeypatch.setattr("casvault.sync.channel._TICK", 0.05)


def hanging(said: bytes, again: bytes) -> Server:
    """Return a server that says this, and then ``again`` and again, or nothing."""

    def run(reader: BinaryIO, writer: BinaryIO) -> None:
        writer.write(said)
        writer.flush()
        while again:
            time.sleep(0.05)
            writer.write(again)
            writer.flush()
        reader.read()

    return run


@pytest.mark.parametrize(
    ("said", "again", "told"),
    [
        (b"", b"", "nothing was heard"),
        (HELLO, b"", "nothing was heard"),
        (HELLO, bytes(8), "no answer came"),
        (HELLO + struct.pack("<II", 1 << 20, 0), b"x", "no answer came"),
    ],
)
def test_a_server_that_hangs_or_trickles_is_left(impatient: None, said: bytes, again: bytes, told: str) -> None:
    with pytest.raises(BrokenLink, match=told), behind(hanging(said, again)) as far:
        far.manifest(ID)


def test_a_server_that_does_not_read_is_left(impatient: None) -> None:
    over = threading.Event()

    def run(reader: BinaryIO, writer: BinaryIO) -> None:
        writer.write(HELLO)
        writer.flush()
        over.wait()

    name = ObjectName("0" * 64, None, 4 << 20)

    def push(far: FarRemote) -> None:
        try:
            for _ in range(20):
                far.put([Arrival(name, bytes(name.size))])
        finally:
            over.set()

    with behind(run) as far, pytest.raises(BrokenLink, match="nothing was heard"):
        push(far)


def test_life_is_no_answer_but_keeps_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.sync.channel.SILENCE", 1.0)
    monkeypatch.setattr("casvault.sync.channel._TICK", 0.02)

    def run(reader: BinaryIO, writer: BinaryIO) -> None:
        writer.write(HELLO)
        for _ in range(60):
            writer.write(bytes(8))
            writer.flush()
            time.sleep(0.02)
        writer.write(frame({}, b"at last"))
        writer.flush()
        reader.read()

    with behind(run) as far:
        assert far.manifest(ID) == b"at last"


def test_a_server_shows_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.sync.server._LIFE", 0.02)
    monkeypatch.setattr("casvault.sync.channel.SILENCE", 1.0)
    monkeypatch.setattr("casvault.sync.channel._TICK", 0.02)

    def standing(self: LocalRemote, digests: Collection[str]) -> Standing:
        time.sleep(1.3)
        return real(self, digests)

    real = LocalRemote.standing
    monkeypatch.setattr(LocalRemote, "standing", standing)
    with end(api.init(tmp_path / ".casvault"), "wire") as far:
        assert far.standing(["0" * 64]).depths == {}


def test_of_an_answer_that_breaks_off_what_came_whole_is_there() -> None:
    names = [ObjectName(str(number) * 64, None, 100) for number in range(3)]
    said = HELLO + frame({"names": 3}, pack_names(names) + bytes(300))

    def run(reader: BinaryIO, writer: BinaryIO) -> None:
        writer.write(said[:-150])

    with behind(run) as far:
        read = far.read([[Wanted(name) for name in names]])
        assert [arrival.name for arrival in next(read)] == names[:1]
        with pytest.raises(BrokenLink):
            next(read)


@pytest.mark.parametrize("parts", [7, [7], [["0" * 64, None, 5]], [[0, None, 5, 2]], [[]] * 1000])
def test_parts_that_do_not_add_up(parts: object) -> None:
    hello = GREETING + frame({"uuid": "x", "max_depth": 2}) + frame({"parts": parts})

    def run(reader: BinaryIO, writer: BinaryIO) -> None:
        writer.write(hello)
        writer.flush()
        reader.read()

    with pytest.raises(RemoteError, match="add up"), behind(run):
        pass


@pytest.mark.parametrize("had", [7, [7], [[0]], [[5, 1]], [[0, 100]], [[0, -1]], [["0", 1]], [[True, 1]]])
def test_beginnings_that_do_not_add_up(had: object) -> None:
    name = ObjectName("0" * 64, None, 100)
    said = HELLO + frame({"names": 1, "had": had}, pack_names([name]) + bytes(50))

    def run(reader: BinaryIO, writer: BinaryIO) -> None:
        writer.write(said)
        writer.flush()
        reader.read()

    with behind(run) as far, pytest.raises(RemoteError, match=r"add up|no part|beginning"):
        next(far.read([[Wanted(name)]]))


def test_two_ends_that_both_have_more_to_say_than_fits(tmp_path: Path) -> None:
    """Portions are asked for ahead, answers are larger than any buffer, and nobody waits for the other for ever."""
    line = Line(tmp_path / "line", threads=1)
    line.grow(3)
    names = line.vault.objects.every()
    portions = [[Wanted(name)] for name in names if name.base is None] * 20
    with end(line.vault, "wire") as far:
        assert sum(len(lot) for lot in far.read(portions)) == len(portions)
