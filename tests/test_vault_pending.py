"""Pending: what is on its way is held for a while, and no longer."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from casvault.backends.memory import MemoryBackend
from casvault.digest import digest_of
from casvault.errors import BadManifest
from casvault.vault.pending import LIFETIME, Pending
from tests.support.vaults import ID, sealed

ONE, TWO = digest_of(b"one"), digest_of(b"two")


def test_what_was_said_is_read() -> None:
    backend = MemoryBackend()
    Pending.write(backend, ID, (ONE, TWO))
    backend.write("pending/README", b"not one")
    (found,) = Pending.every(backend)
    assert (found.id, found.digests, found.expired()) == (ID, (ONE, TWO), False)
    Pending.withdraw(backend, ID)
    Pending.withdraw(backend, ID)
    assert Pending.every(backend) == []


def test_it_counts_until_nobody_renews_it() -> None:
    backend = MemoryBackend()
    Pending.write(backend, ID, (ONE,))
    (found,) = Pending.every(backend)
    now = datetime.now(timezone.utc)
    assert not found.expired(now + LIFETIME - timedelta(minutes=1))
    assert found.expired(now + LIFETIME + timedelta(minutes=1))


@pytest.mark.parametrize(
    "body",
    [
        b'{"format":2,"id":"%s","renewed":"2026-11-24T03:15:00.123Z","digests":[]}' % ID.encode(),
        b'{"format":1,"id":"20261124T031500.123Z-000000","renewed":"2026-11-24T03:15:00.123Z","digests":[]}',
        b'{"format":1,"id":"%s","renewed":"yesterday","digests":[]}' % ID.encode(),
        b'{"format":1,"id":"%s","renewed":"2026-11-24T03:15:00.123Z","digests":["../x"]}' % ID.encode(),
        b'{"format":1,"id":"%s","renewed":"2026-11-24T03:15:00.123Z","digests":[1]}' % ID.encode(),
    ],
)
def test_what_does_not_hold_together_is_an_error(body: bytes) -> None:
    backend = MemoryBackend()
    backend.write(f"pending/{ID}.json", sealed(body))
    with pytest.raises(BadManifest):
        Pending.every(backend)


def test_every_changed_byte_is_seen() -> None:
    backend = MemoryBackend()
    Pending.write(backend, ID, (ONE,))
    data = backend.read(f"pending/{ID}.json")
    for place in range(len(data)):
        backend.write(f"pending/{ID}.json", data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(BadManifest):
            Pending.every(backend)


def test_a_time_to_come_is_none() -> None:
    backend = MemoryBackend()
    Pending.write(backend, ID, (ONE,))
    (found,) = Pending.every(backend)
    assert found.expired(datetime.now(timezone.utc) - LIFETIME - timedelta(minutes=1))
