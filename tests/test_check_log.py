"""The check log: what it remembers, its bytes, and that nothing it says wrongly matters."""

from __future__ import annotations

import struct

import pytest

from casvault.backends import Backend
from casvault.backends.memory import MemoryBackend
from casvault.check import log
from casvault.check.log import CheckLog
from casvault.digest import digest_of
from casvault.objects import ObjectName

HOUR = 490_000


def name(number: int, base: int | None = None, size: int = 200) -> ObjectName:
    return ObjectName(digest_of(b"%d" % number), digest_of(b"%d" % base) if base is not None else None, size)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [HOUR]
    monkeypatch.setattr(log, "_now", lambda: now[0])
    return now


@pytest.fixture
def backend() -> Backend:
    return MemoryBackend()


def noted(backend: Backend, *names: ObjectName) -> CheckLog:
    found = CheckLog(backend)
    for each in names:
        found.note(each)
    found.save([name(number) for number in range(20)] + list(names))
    return CheckLog(backend)


def test_it_lies_as_the_page_says(backend: Backend) -> None:
    noted(backend, name(1), name(2, 1))
    checksum, _, body = backend.read("cache/checked").partition(b"\n")
    assert checksum == digest_of(body).encode()
    assert body[:8] == b"CVCK\x01\0\0\0"
    one, two = (int.from_bytes(bytes.fromhex(digest_of(text)[:16]), "big") for text in (b"1", b"2"))
    assert [struct.unpack("<QI", body[at : at + 12]) for at in (8, 20)] == [
        (key, HOUR) for key in sorted([one, one ^ two])
    ]
    assert len(body) == 32


def test_it_tells_the_oldest_and_the_newest_check(backend: Backend, clock: list[int]) -> None:
    assert CheckLog(backend).told([name(1)]).to_json() == {
        "objects": 1,
        "never_checked": 1,
        "oldest_check": None,
        "newest_check": None,
    }
    noted(backend, name(1))
    clock[0] += 24
    told = noted(backend, name(2)).told([name(1), name(2), name(3)])
    assert tuple(told) == (3, 1, HOUR * 3600, (HOUR + 24) * 3600)
    assert told.to_json()["oldest_check"] == "2025-11-24T16:00:00.000Z"
    assert told.to_json()["newest_check"] == "2025-11-25T16:00:00.000Z"


def test_objects_that_were_not_checked_for_longest_come_first(backend: Backend, clock: list[int]) -> None:
    for number in (1, 2, 3):
        clock[0] += 1
        noted(backend, name(number))
    names = [name(number) for number in (3, 1, 4, 2)]
    assert CheckLog(backend).sample(names, 1.0) == [name(4), name(1), name(2), name(3)]
    assert CheckLog(backend).sample(names, 0.4) == [name(4), name(1)]
    assert CheckLog(backend).told(names)[:3] == (4, 1, (HOUR + 1) * 3600)
    assert CheckLog(backend).told([])[:3] == (0, 0, None)


def test_what_was_never_checked_comes_in_any_order(backend: Backend) -> None:
    names = [name(number) for number in range(10)]
    assert len({tuple(CheckLog(backend).sample(names, 0.2)) for _ in range(30)}) > 1


def test_two_at_once_lose_nothing_of_each_other(backend: Backend) -> None:
    first, second = CheckLog(backend), CheckLog(backend)
    first.note(name(1))
    second.note(name(2))
    for each in (first, second):
        each.save([name(1), name(2)])
    assert CheckLog(backend).told([name(1), name(2)]).never == 0


def test_what_is_gone_is_forgotten(backend: Backend) -> None:
    noted(backend, name(1), name(2))
    found = CheckLog(backend)
    found.note(name(3))
    found.save([name(2), name(3)])
    assert CheckLog(backend).told([name(1), name(2), name(3)]).never == 1


def test_one_that_was_found_damaged_is_forgotten(backend: Backend) -> None:
    found = noted(backend, name(1), name(2))
    found.drop(name(1))
    assert found.told([name(1), name(2)]).never == 1
    found.save([name(1), name(2)])
    assert CheckLog(backend).told([name(1), name(2)]).never == 1


def test_its_size_is_bounded(backend: Backend, clock: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_MOST", 4)
    noted(backend, *map(name, range(4)))
    clock[0] += 1
    found = noted(backend, name(8), name(9))
    assert len(backend.read("cache/checked")) == 65 + 8 + 4 * 12
    assert found.told([name(8), name(9)]).never == 0
    assert found.told([name(number) for number in range(10)]).never == 6


def test_a_check_in_the_future_does_not_count(backend: Backend, clock: list[int]) -> None:
    noted(backend, name(1))
    clock[0] -= 2
    assert CheckLog(backend).told([name(1)]).never == 1


def test_whatever_is_wrong_with_it_counts_as_nothing(backend: Backend) -> None:
    noted(backend, name(1))
    data = backend.read("cache/checked")
    sealed = [b"", b"CVCK\x01\0\0\0", b"CVCK\x02\0\0\0" + data[-12:], data[65:-1]]
    wrong = [data[:length] for length in range(len(data))] + [b"\0" * 100, data + b"x"]
    wrong += [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(len(data))]
    for each in [*wrong, *(digest_of(body).encode() + b"\n" + body for body in sealed)]:
        backend.write("cache/checked", each)
        assert CheckLog(backend).told([name(1)]).never == 1
