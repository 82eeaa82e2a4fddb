"""Live records: read as they were written, or not relied on."""

from __future__ import annotations

import errno
import json
from typing import Any

import pytest

from casvault.backends.memory import MemoryBackend
from casvault.errors import NoSpace
from casvault.files.identity import FileIdentity
from casvault.vault.live import LiveRecord
from tests.support.vaults import ID, stamp

KEY = "workspace/model/new_SAEHD"
RECORD = LiveRecord(
    ID, True, stamp(7), {"new_SAEHD_data.dat": FileIdentity(1, 2**63, 3, 1_764_000_000_123_456_789, -5)}, 2**64
)


def test_round_trip() -> None:
    backend = MemoryBackend()
    assert LiveRecord.read(backend, KEY) is None
    for record in (RECORD, LiveRecord(ID)):
        record.write(backend, KEY, durable=True)
        assert LiveRecord.read(backend, KEY) == record
    assert LiveRecord.read(backend, KEY + "2") is None


def test_it_lies_under_a_name_for_the_model() -> None:
    names = {LiveRecord.blob(key) for key in (KEY, "../../x", "模型", "")}
    assert len(names) == 4
    assert all(name.startswith("live/") for name in names)
    backend = MemoryBackend()
    RECORD.write(backend, "../../x", durable=False)
    assert LiveRecord.read(backend, "../../x") == RECORD


def test_the_record_of_another_model_is_not_taken() -> None:
    backend = MemoryBackend()
    RECORD.write(backend, KEY, durable=False)
    backend.write(LiveRecord.blob("other"), backend.read(LiveRecord.blob(KEY)))
    assert LiveRecord.read(backend, "other") is None


def test_a_full_disk_is_told() -> None:
    class Full(MemoryBackend):
        def _write(self, name: str, data: bytes, durable: bool) -> None:
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(NoSpace):
        RECORD.write(Full(), KEY, durable=True)


GOOD: dict[str, Any] = {
    "format": 1,
    "key": KEY,
    "snapshot": ID,
    "restored": False,
    "backup": None,
    "files": {"a": [1, 2, 3, 4, 5]},
    "place": 77,
}


def anything(*values: Any) -> tuple[Any, ...]:
    return values


WRONG: list[dict[str, Any]] = [
    *({"format": value} for value in anything(2, None)),
    *({"key": value} for value in anything(None, "", KEY + "2")),
    *({"snapshot": value} for value in anything(None, "../x", 5)),
    *({"backup": value} for value in anything("x", 5)),
    *({"place": value} for value in anything("x", 1.5, True, [])),
    *({"files": value} for value in anything(None, [], {"a": 5}, {"a": [1, 2, 3, 4]}, {"a": [1, 2, 3, 4, 5, 6]})),
    *({"files": {"a": [1, 2, 3, 4, value]}} for value in anything(None, "x", float("inf"), float("nan"))),
]


@pytest.mark.parametrize("change", WRONG)
def test_records_that_cannot_be_relied_on(change: dict[str, Any]) -> None:
    backend = MemoryBackend()
    backend.write(LiveRecord.blob(KEY), json.dumps(GOOD).encode())
    assert LiveRecord.read(backend, KEY) == LiveRecord(ID, False, None, {"a": FileIdentity(1, 2, 3, 4, 5)}, 77)
    backend.write(LiveRecord.blob(KEY), json.dumps({**GOOD, **change}).encode())
    assert LiveRecord.read(backend, KEY) is None


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"{}", bytes(100), b" " * (17 << 20)]
)
def test_records_that_are_none(data: bytes) -> None:
    backend = MemoryBackend()
    backend.write(LiveRecord.blob(KEY), data)
    assert LiveRecord.read(backend, KEY) is None


def test_every_truncation() -> None:
    backend = MemoryBackend()
    RECORD.write(backend, KEY, durable=False)
    data = backend.read(LiveRecord.blob(KEY))
    for end in range(len(data)):
        backend.write(LiveRecord.blob(KEY), data[:end])
        assert LiveRecord.read(backend, KEY) is None
