"""File identities: every way in which a trainer changes a file shows."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from casvault.files.identity import SETTLE_NS, FileIdentity, clock_ns


def look(path: Path) -> FileIdentity:
    return FileIdentity.of(os.stat(path))


def test_the_fields_are_those_of_stat(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    os.utime(path, ns=(1_000_000_000, 1_764_000_000_123_456_700))
    found, status = look(path), path.stat()
    assert found.size == 5
    assert found.mtime_ns == 1_764_000_000_123_456_700
    assert (found.device, found.inode, found.ctime_ns) == (status.st_dev, status.st_ino, status.st_ctime_ns)
    assert look(path) == found


def test_a_save_shows(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    before = look(path)
    other = tmp_path / "a.tmp"
    other.write_bytes(b"54321")
    os.utime(other, ns=(before.mtime_ns, before.mtime_ns))
    os.replace(other, path)
    assert look(path) != before


def test_what_is_at_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert FileIdentity.at(path) is None
    path.write_bytes(b"12345")
    assert FileIdentity.at(path) == look(path)
    assert FileIdentity.at(path / "below") is None
    if os.name != "nt":
        os.symlink(path, tmp_path / "link")
        assert FileIdentity.at(tmp_path / "link") not in (None, look(path)), "a link is itself"


def test_settled_takes_the_later_time_and_more_than_the_grain() -> None:
    now = 10 * SETTLE_NS
    old, edge = now - SETTLE_NS - 1, now - SETTLE_NS
    assert FileIdentity(1, 2, 3, old, old).settled(now)
    assert not FileIdentity(1, 2, 3, edge, old).settled(now)
    assert not FileIdentity(1, 2, 3, old, edge).settled(now)
    assert not FileIdentity(1, 2, 3, old, now + 5).settled(now)


def test_the_clock_is_the_file_systems(tmp_path: Path) -> None:
    status = tmp_path.stat()
    before = clock_ns(tmp_path, status.st_dev)
    (tmp_path / "a").write_bytes(b"")
    assert before <= (tmp_path / "a").stat().st_mtime_ns
    assert os.listdir(tmp_path) == ["a"]


def test_elsewhere_the_systems_clock_has_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 42)
    assert clock_ns(tmp_path, tmp_path.stat().st_dev + 1) == 42
    assert clock_ns(tmp_path / "absent", tmp_path.stat().st_dev) == 42
