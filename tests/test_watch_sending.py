"""The process that sends: what it says, and that it makes way for what was taken meanwhile."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from casvault import api
from casvault.sync import SyncOptions, SyncResult
from casvault.sync import push as really_push
from casvault.watch import sending
from tests.support.lines import Line


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path / "gpu", threads=1)
    made.grow(2)
    return made


@pytest.fixture(autouse=True)
def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "lower_priority", lambda: None)


def said(line: Line, remote: Path, capsys: pytest.CaptureFixture[str], rate: str = "0") -> list[dict[str, Any]]:
    assert sending.main([str(line.vault.path), str(remote), rate]) == 0
    return [json.loads(text) for text in capsys.readouterr().out.splitlines()]


def test_what_was_sent(line: Line, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = api.init(tmp_path / "home")
    *moves, last = said(line, tmp_path / "home", capsys)
    assert last["sent"] == sorted(line.saves, reverse=True)
    assert (last["failed"], last["conflicts"], last["paused"]) == ({}, {}, False)
    assert all(each == {"moves": True} for each in moves)
    line.check(home)


def test_what_went_wrong(line: Line, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (last,) = said(line, tmp_path / "nowhere", capsys)
    assert last["error"].startswith("there is no vault at")


def test_it_makes_way_for_what_was_taken_meanwhile(
    line: Line, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.init(tmp_path / "home")

    def push(here: Any, there: Any, options: SyncOptions, progress: Any) -> SyncResult:
        line.snapshot()
        return really_push(here, there, options, progress)

    monkeypatch.setattr(sending, "push", push)
    last = said(line, tmp_path / "home", capsys)[-1]
    assert (last["sent"], last["paused"]) == ([max(line.saves)], True)


def test_what_retention_deleted_meanwhile_is_no_trouble(
    line: Line, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.init(tmp_path / "home")
    gone, stays = sorted(line.saves)

    def push(*_: Any) -> SyncResult:
        line.vault.delete(gone, gc=True)
        return SyncResult(failed={gone: "it vanished", stays: "it is damaged"})

    monkeypatch.setattr(sending, "push", push)
    assert said(line, tmp_path / "home", capsys)[-1]["failed"] == {stays: "it is damaged"}


def test_bytes_on_the_wire_are_a_sign_of_life(
    line: Line, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.init(tmp_path / "home")
    monkeypatch.setattr(sending, "_BEAT", 0.01)
    reached: list[dict[str, Any]] = []

    def push(here: Any, there: Any, options: SyncOptions, progress: Any) -> SyncResult:
        # One step that takes long, while its bytes trickle.
        end = time.monotonic() + 60
        while time.monotonic() < end and len(reached) < 3:
            there._moved += 1
            time.sleep(0.02)
        return SyncResult()

    def say(document: dict[str, Any]) -> None:
        reached.append(document)

    monkeypatch.setattr(sending, "push", push)
    monkeypatch.setattr(sending, "_say", say)
    sending.main([str(line.vault.path), str(tmp_path / "home"), "0"])
    assert reached[:3] == [{"moves": True}] * 3
    assert "sent" in reached[-1]
