"""What the campaigns share: a process that traces commands, and a place that is fast."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import soak
from tests.support.strace import Tracer


@pytest.fixture(scope="session")
def tracer() -> Iterator[Tracer]:
    """What runs commands under strace, for all campaigns of this process."""
    with Tracer() as made:
        yield made


@pytest.fixture
def fast_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one."""
    with tempfile.TemporaryDirectory(prefix="casvault ", dir=soak.in_memory() or tmp_path) as folder:
        yield Path(folder)
