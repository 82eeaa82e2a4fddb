"""Shows the figures of the campaigns at the end of a run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.soak import FIGURES


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in FIGURES:
        terminalreporter.write_line(f"campaign {line}")
