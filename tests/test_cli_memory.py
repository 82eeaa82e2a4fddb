"""The command line keeps the memory that it was given, where the C library can be told so."""

from __future__ import annotations

import ctypes
import os
import platform

import pytest

from casvault.cli.memory import keep_memory
from casvault.cli.options import make_progress


class Library:
    """A C library that writes down what it is told."""

    def __init__(self) -> None:
        self.told: dict[int, int] = {}

    def mallopt(self, option: int, value: int) -> int:
        self.told[option] = value
        return 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: made)
    return made


def test_what_moves_many_bytes_keeps_its_memory(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "confstr", lambda name: "glibc 2.36", raising=False)
    make_progress(quiet=True)
    # M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD of malloc.h; the last may be 32 MiB at most.
    assert library.told.keys() == {-1, -2, -3}
    assert library.told[-3] == 32 << 20
    assert library.told[-1] > 64 << 20


def test_other_libraries_are_left_alone(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "confstr", lambda name: None, raising=False)
    keep_memory()
    assert library.told == {}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
def test_the_real_one_takes_it() -> None:
    keep_memory()
    assert len(bytearray(8 << 20)) == 8 << 20
