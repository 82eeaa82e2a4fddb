"""Sources: reads at any offset, from several threads, short only where the bytes end."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from casvault.files.source import ByteSource, FileSource, MemorySource

DATA = bytes(range(256)) * 40


def opened(tmp_path: Path) -> tuple[int, FileSource]:
    path = tmp_path / "a"
    path.write_bytes(DATA)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    return descriptor, FileSource(descriptor, len(DATA))


def check(source: ByteSource) -> None:
    assert source.size == len(DATA)
    for offset, length in [(0, 10), (5, 0), (255, 300), (len(DATA) - 3, 3), (0, len(DATA))]:
        assert source.read_at(offset, length) == DATA[offset : offset + length]
    assert source.read_at(len(DATA) - 3, 10) == DATA[-3:]
    assert source.read_at(len(DATA) + 5, 10) == b""


def test_memory() -> None:
    check(MemorySource(DATA))


@pytest.mark.parametrize("positioned", [True, False])
def test_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, positioned: bool) -> None:
    if not positioned:
        monkeypatch.delattr(os, "pread", raising=False)
    descriptor, source = opened(tmp_path)
    try:
        check(source)
        with ThreadPoolExecutor(8) as pool:
            spans = [(start * 37 % len(DATA), 100) for start in range(500)]
            found = list(pool.map(lambda span: source.read_at(*span), spans))
        assert found == [DATA[offset : offset + length] for offset, length in spans]
    finally:
        os.close(descriptor)


@pytest.mark.skipif(not hasattr(os, "pread"), reason="needs pread")
def test_short_reads_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor, source = opened(tmp_path)
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda file, length, offset: real(file, min(length, 7), offset))
    try:
        check(source)
    finally:
        os.close(descriptor)


def test_a_file_that_shrinks_reads_short(tmp_path: Path) -> None:
    descriptor, source = opened(tmp_path)
    try:
        os.truncate(tmp_path / "a", 100)
        assert source.size == len(DATA)
        assert source.read_at(90, 50) == DATA[90:100]
    finally:
        os.close(descriptor)
