"""How much memory a large model takes: one round with a model far larger than the one that is timed."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import Log, add, megabytes, table
from benchmarks.process import floor
from benchmarks.saves import Live, generated
from benchmarks.settings import Settings
from benchmarks.speed import OPERATIONS
from benchmarks.tools import tools_here

__all__ = ["measure_memory", "memory_table"]

_SIZE = 800_000_000


def measure_memory(settings: Settings) -> dict[str, Any]:
    """Take a first and a further snapshot and restore, once with every tool; return what each took.

    A quick run measures nothing.
    """
    if settings.quick:
        return {}
    place = settings.folder("memory")
    saves = generated(place / "saves", _SIZE, 3)
    live = Live(place)
    log: Log = {}
    live.put(saves[0])
    size = live.size
    tools = [kind(place, live.folder) for kind in tools_here()]
    for tool in tools:
        settings.tell(f"memory: {tool.name} with a model of {megabytes(size)} MB")
        tool.init()
        live.put(saves[0])
        add(log, "first", tool.name, tool.snapshot("a"))
        live.put(saves[1])
        add(log, "changed", tool.name, tool.snapshot("b"))
        live.put(saves[2])
        add(log, "restore", tool.name, tool.restore("b"))
        live.check(saves[1], tool.name)
        live.put(saves[2])
        add(log, "backup-restore", tool.name, tool.restore_after_backup("b", "c"))
        tool.remove()
    return {"size": size, "floor": floor(), "log": log}


def memory_table(speed: dict[str, Any], memory: dict[str, Any]) -> str:
    """Return the peaks with both models; cp is left out, which needs less than can be measured."""
    parts = [part for part in (speed, memory) if part]
    tools = [name for name in parts[0]["log"]["first"] if name != "cp"]
    rows = []
    for operation, title in OPERATIONS.items():
        for part in parts:
            if operation in part["log"]:
                peaks = (max(part["log"][operation][name]["peak"]) for name in tools)
                rows.append([f"{title}, {megabytes(part['size'])} MB", *(megabytes(peak) for peak in peaks)])
    return table(["peak of resident memory, MB", *tools], rows)
