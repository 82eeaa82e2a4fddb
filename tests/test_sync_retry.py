"""Links that break while snapshots travel: it goes on by itself, gives up in the end, and is never led astray."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from casvault import api
from casvault.errors import BrokenLink, RemoteError
from casvault.progress import Progress
from casvault.sync import SyncOptions, pull, push
from casvault.sync.local import LocalRemote
from casvault.vault.parts import Parts
from tests.support.ends import breaking
from tests.support.lines import Line, objects_on_disk

ENDLESS = 1 << 62


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.sync.backoff._FIRST", 0.0)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    made = Line(tmp_path_factory.mktemp("line"), threads=2)
    made.grow(4)
    return made


@pytest.fixture
def other(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


class Told(Progress):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize("way", ["push", "pull"])
def test_it_goes_on_as_often_as_something_arrives(line: Line, other: api.Vault, way: str) -> None:
    far, near = (other, line.vault) if way == "push" else (line.vault, other)
    told = Told()
    links = chain(repeat((far, 120_000), 30), repeat((far, ENDLESS)))
    with LocalRemote(near) as here, breaking(links) as there:
        result = (push if way == "push" else pull)(here, there, SyncOptions(retries=3), told)
    assert sorted(result.snapshots) == sorted(line.saves)
    assert result.retries == len(told.said) >= 3
    assert result.logical_bytes == sum(len(data) for save in line.saves.values() for data in save.values())
    assert objects_on_disk(other) == objects_on_disk(line.vault)
    line.check(other)
    # Each link brought something: what was there was not sent anew.
    assert result.wire_bytes < 1.9 * sum(objects_on_disk(line.vault).values())


def test_of_an_object_that_broke_off_only_the_rest_is_sent(line: Line, other: api.Vault) -> None:
    """Links that each are shorter than the largest objects are long."""
    largest = max(objects_on_disk(line.vault).values())
    links = chain(repeat((other, 60_000), 60), repeat((other, ENDLESS)))
    assert largest > 60_000
    with LocalRemote(line.vault) as here, breaking(links) as there:
        result = push(here, there, SyncOptions(latest=True, retries=3))
    assert len(result.snapshots) == 1
    line.check(other)
    assert Parts(other.backend).every() == {}


def test_it_gives_up_where_nothing_arrives(line: Line, other: api.Vault) -> None:
    told = Told()
    links = repeat((other, 2_500))
    with LocalRemote(line.vault) as here, breaking(links) as there, pytest.raises(BrokenLink, match="ended"):
        push(here, there, SyncOptions(retries=3), told)
    assert [text.rpartition(" (")[2] for text in told.said] == ["1 of 3).", "2 of 3).", "3 of 3)."]
    assert other.snapshots() == []


def test_a_machine_that_is_gone_is_given_up(line: Line, other: api.Vault) -> None:
    links = iter([(other, 100_000)])
    with LocalRemote(line.vault) as here, breaking(links) as there, pytest.raises(BrokenLink, match="nobody is there"):
        push(here, there, SyncOptions(retries=2))


def test_another_vault_that_answers_then_is_refused(line: Line, other: api.Vault, tmp_path: Path) -> None:
    stranger = api.init(tmp_path / "stranger" / ".casvault")
    links: Iterator[tuple[api.Vault, int]] = iter([(other, 100_000), (stranger, ENDLESS)])
    with LocalRemote(line.vault) as here, breaking(links) as there, pytest.raises(RemoteError, match="another vault"):
        push(here, there, SyncOptions())
    assert objects_on_disk(stranger) == {}


def test_a_snapshot_whose_commit_was_not_heard_of_counts(line: Line, other: api.Vault) -> None:
    """Cut everywhere: whatever was lost on the way back, the result has each snapshot once."""
    with LocalRemote(line.vault) as here, breaking(repeat((other, ENDLESS))) as there:
        total = push(here, there, SyncOptions(latest=True)).wire_bytes
    for number, lost in enumerate(range(100, 2_100, 100)):
        fresh = api.init(other.home / str(number) / ".casvault")
        links = chain([(fresh, total - lost)], repeat((fresh, ENDLESS)))
        with LocalRemote(line.vault) as here, breaking(links) as there:
            assert push(here, there, SyncOptions(latest=True)).snapshots == [max(line.saves)]
