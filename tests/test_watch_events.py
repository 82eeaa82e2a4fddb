"""What a watch tells, and the command that it runs for it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from casvault.watch import events as module
from casvault.watch.events import Event, Hook
from casvault.watch.telling import Teller

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX only: the commands are a shell's")
EVENT = Event("snapshot", "new_SAEHD", 'it is "stored"; $(rm -rf x)', "20261124T031500.123Z-1f3c9a")
changeable: Any = module


def wait(hook: Hook) -> list[str | None]:
    """Return what came of all commands, when they have ended."""
    found = hook.tend()
    while hook._running is not None or hook._waiting:
        time.sleep(0.01)
        found += hook.tend()
    return found


def test_an_event_as_a_document() -> None:
    assert json.loads(json.dumps(EVENT.to_json())) == {
        "event": "snapshot",
        "time": EVENT.time,
        "model": "new_SAEHD",
        "snapshot": EVENT.snapshot,
        "text": EVENT.text,
    }
    assert EVENT.time.endswith("Z")


def test_the_command_is_told_by_its_environment(tmp_path: Path) -> None:
    hook = Hook(
        f'cd {tmp_path} && printf "%s\\n" "$CASVAULT_EVENT" "$CASVAULT_MODEL" "$CASVAULT_SNAPSHOT" '
        '"$CASVAULT_TEXT" "$CASVAULT_VAULT" > told',
        "/v",
    )
    assert hook.run(EVENT) + wait(hook) == [None]
    assert (tmp_path / "told").read_text().split("\n")[:5] == [
        "snapshot",
        "new_SAEHD",
        EVENT.snapshot,
        EVENT.text,
        "/v",
    ]


def test_it_runs_for_four_kinds_and_in_order(tmp_path: Path) -> None:
    hook = Hook(f"sleep 0.05; echo $CASVAULT_EVENT >> {tmp_path / 'told'}", "")
    kinds = ["started", "waiting", "snapshot", "unhealthy", "note", "skip", "pruned", "error", "stopped"]
    for kind in kinds:
        hook.run(Event(kind, "m", "t"))
    wait(hook)
    assert (tmp_path / "told").read_text().split() == ["snapshot", "unhealthy", "skip", "error"]


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("exit 3", "the command of --exec ended with exit code 3."),
        ("no-such-command-is-there 2>/dev/null", "the command of --exec ended with exit code 127."),
        ("kill -9 $$", "the command of --exec ended with exit code -9."),
        ("a\0b", "the command of --exec cannot be run: embedded null byte."),
        ("true", None),
    ],
)
def test_what_goes_wrong_with_it_is_told(command: str, wrong: str | None) -> None:
    hook = Hook(command, "")
    found = hook.run(EVENT)
    assert found + wait(hook) == [wrong]


def test_a_long_text_and_a_large_output_are_no_trouble(capfd: pytest.CaptureFixture[str]) -> None:
    hook = Hook("printf %200000d 1; printf $CASVAULT_TEXT | wc -c", "")
    ended = hook.run(Event("error", "m", "x" * 10_000_000))
    assert [*ended, *wait(hook)] == [None]
    told = capfd.readouterr()
    assert told.out == "", "what it prints would be taken for the watch's own lines"
    assert told.err.split()[-1].lstrip("0").endswith("2000")


def test_one_that_hangs_keeps_nobody_waiting_and_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST", 0.3)
    hook = Hook(f"sleep 100 & echo $! >> {tmp_path / 'pids'}; wait", "")
    begun = time.monotonic()
    for _ in range(2):
        assert hook.run(EVENT) == []
    assert time.monotonic() - begun < 0.3, "it was waited for"
    assert wait(hook) == ["the command of --exec still ran after 0 s and was ended."] * 2
    for pid in (tmp_path / "pids").read_text().split():
        assert _gone(int(pid)), "what the command had started still runs"


def _gone(pid: int) -> bool:
    for _ in range(500):
        try:
            if "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]:
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_of_too_many_that_wait_the_oldest_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITING", 2)
    hook = Hook(f"sleep 0.1; echo $CASVAULT_TEXT >> {tmp_path / 'told'}", "")
    for number in range(6):
        hook.run(Event("skip", "m", str(number)))
    wait(hook)
    assert (tmp_path / "told").read_text().split() == ["0", "4", "5"]


def test_at_the_end_it_has_a_few_seconds_and_is_then_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = Hook(f"sleep 0.1; echo $CASVAULT_TEXT >> {tmp_path / 'told'}", "")
    for number in range(3):
        hook.run(Event("skip", "m", str(number)))
    assert hook.end() == [None] * 3
    assert (tmp_path / "told").read_text().split() == ["0", "1", "2"]
    monkeypatch.setattr(module, "_FAREWELL", 0.1)
    slow = Hook(f"sleep 0.5; echo late >> {tmp_path / 'told'}", "")
    slow.run(EVENT)
    assert slow.end() == []
    assert wait(slow) == [None]
    assert (tmp_path / "told").read_text().split() == ["0", "1", "2", "late"]


# Telling


def test_trouble_is_told_once_until_it_is_over() -> None:
    told: list[Event] = []
    teller = Teller(told.append, None)
    for seconds in (61, 122, 1183):
        teller.once("take", "skip", "m", f"in use by `gc` (process 5, for {seconds} s), 1,2{seconds} MB are missing")
    teller.once("take", "skip", "m", "another one")
    teller.once("other", "error", "m", "another one")
    teller.say("snapshot", "m", "in between")
    teller.once("take", "skip", "m", "another one")
    assert [event.kind for event in told] == ["skip", "skip", "error", "snapshot"]
    teller.well("take")
    teller.once("take", "skip", "m", "another one")
    teller.once("other", "error", "m", "another one")
    assert [event.kind for event in told[4:]] == ["skip"]


def test_an_event_is_one_line() -> None:
    told: list[Event] = []
    Teller(told.append, None).say("error", "m", "one\ntwo\r\n  three\t")
    assert told[0].text == "one two three"


def test_a_command_that_fails_is_told_once_and_not_run_for_that(tmp_path: Path) -> None:
    told: list[Event] = []
    hook = Hook(f"echo $CASVAULT_EVENT >> {tmp_path / 'told'}; test -e {tmp_path / 'good'}", "")
    teller = Teller(told.append, hook)
    for good in (False, False, True, False):
        (tmp_path / "good").touch() if good else (tmp_path / "good").unlink(missing_ok=True)
        teller.say("snapshot", "m", "t", "id")
        while hook._running is not None:
            time.sleep(0.01)
            teller.tend("m")
    assert [event.kind for event in told] == ["snapshot", "error", "snapshot", "snapshot", "snapshot", "error"]
    assert (tmp_path / "told").read_text().split() == ["snapshot"] * 4
    teller.say("skip", "m", "t")
    teller.end("m")
    assert (tmp_path / "told").read_text().split()[4:] == ["skip"]
