"""What the campaigns share: a process that traces commands, and a place that is fast."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.strace import Tracer

_MEMORY = Path("/dev/shm")
_ENOUGH = 500 << 20


@pytest.fixture(scope="session")
def tracer() -> Iterator[Tracer]:
    """What runs commands under strace, for all campaigns of this process."""
    with Tracer() as made:
        yield made


@pytest.fixture
def fast_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one with room: what is there after a kill is no question of flushing."""
    if not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _ENOUGH:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="casvault ", dir=_MEMORY) as folder:
        yield Path(folder)
