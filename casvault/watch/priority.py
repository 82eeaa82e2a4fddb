"""Standing back: a process that works only when nobody else wants the processor or the disk."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

__all__ = ["lower_priority"]

_NICE = 15


def lower_priority() -> None:
    """Let this process give way to all others, as far as the system allows; never fails."""
    if hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(_NICE)
    try:
        import psutil

        process = psutil.Process()
        if sys.platform == "win32":
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        elif sys.platform == "linux":
            process.ionice(psutil.IOPRIO_CLASS_IDLE)
    except Exception:  # noqa: BLE001
        # Without psutil, or where it may not do that, the watch is only less modest.
        return
