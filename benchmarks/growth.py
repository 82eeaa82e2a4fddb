"""How a repository grows: snapshots of a model that moves by 500 iterations each time, and of real saves if given."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.figures import Log, add, megabytes, spread, table
from benchmarks.saves import Live, generated, real
from benchmarks.settings import Settings
from benchmarks.tools import Tool, tools_here

__all__ = [
    "DAYS",
    "PER_DAY",
    "WINDOW",
    "further",
    "growth_tables",
    "measure_growth",
    "measure_trajectory",
    "projected",
    "steady",
]

PER_DAY = 57
"""Saves in a day of training: one every 25 minutes."""

DAYS = (1, 14)
WINDOW = 16
"""The last snapshots, whose mean is the steady growth: as many as casvault takes from one that stands alone to the
next, so that each place between the two counts once."""

_MODEL = 300_000_000


def measure_growth(settings: Settings) -> dict[str, Any]:
    """Take one snapshot after the other; return stored bytes after each, times, and times of restoring."""
    place = settings.folder("growth")
    size, count, rounds = (12_000_000, 4, 1) if settings.quick else (60_000_000, 30, min(3, settings.rounds))
    saves = generated(place / "saves", size, count)
    live = Live(place)
    tools = [kind(place, live.folder) for kind in tools_here()]
    for tool in tools:
        tool.init()
    log: Log = {}
    stored: dict[str, list[int]] = {tool.name: [] for tool in tools}
    for number, save in enumerate(saves):
        settings.tell(f"growth: snapshot {number + 1} of {count}")
        live.put(save)
        shift = number % len(tools)
        for tool in tools[shift:] + tools[:shift]:
            add(log, "snapshot", tool.name, tool.snapshot(_name(number)))
            stored[tool.name].append(tool.stored())
    settings.tell("growth: restores")
    for _ in range(rounds):
        _restores(log, live, saves, tools)
    allocated = {tool.name: tool.allocated() for tool in tools}
    return {"size": live.size, "log": log, "stored": stored, "allocated": allocated}


def measure_trajectory(settings: Settings) -> dict[str, Any]:
    """Take a snapshot of each real save; return what each stored, as parts of the save's own bytes."""
    if settings.trajectory is None:
        return {}
    place = settings.folder("trajectory")
    live = Live(place)
    tools = [kind(place, live.folder) for kind in tools_here() if kind.name != "cp"]
    for tool in tools:
        tool.init()
    shares: dict[str, list[float]] = {tool.name: [] for tool in tools}
    sizes = []
    for number, save in enumerate(real(settings.trajectory)):
        settings.tell(f"real saves: {number + 1}")
        live.put(save)
        sizes.append(live.size)
        for tool in tools:
            before = tool.stored() if number else 0
            tool.snapshot(_name(number))
            shares[tool.name].append((tool.stored() - before) / live.size)
    return {"sizes": sizes, "shares": shares}


def _restores(log: Log, live: Live, saves: list[Path], tools: list[Tool]) -> None:
    last = len(saves) - 1
    for operation, number in (("restore newest", last), ("restore middle", last // 2)):
        for tool in tools:
            live.put(saves[0])
            add(log, operation, tool.name, tool.restore(_name(number)))
            live.check(saves[number], tool.name)


def _name(number: int) -> str:
    return f"save-{number:02}"


def steady(result: dict[str, Any], tool: str) -> float:
    """Return what a further snapshot stores, as a part of the model's bytes, once growth is steady."""
    stored = result["stored"][tool]
    count = min(WINDOW, len(stored) - 1)
    return float((stored[-1] - stored[-1 - count]) / count / result["size"])


def projected(result: dict[str, Any], tool: str, days: int) -> float:
    """Return the bytes for a 300 MB model after so many days of keeping every save."""
    first = result["stored"][tool][0] / result["size"]
    return float(first + (PER_DAY * days - 1) * steady(result, tool)) * _MODEL


def growth_tables(growth: dict[str, Any], trajectory: dict[str, Any]) -> dict[str, str]:
    """Return the tables of growth, of times along it, and of real saves."""
    size, stored, log = growth["size"], growth["stored"], growth["log"]
    tools = list(stored)
    count = len(stored[tools[0]])
    rows = [
        ["first snapshot, of its bytes", *(f"{stored[name][0] / size:.3f}" for name in tools)],
        ["further snapshot, of its bytes", *(f"{steady(growth, name):.3f}" for name in tools)],
        [f"all {count}, of their bytes", *(f"{stored[name][-1] / size / count:.3f}" for name in tools)],
        [f"all {count}, allocated on the disk", *(f"{growth['allocated'][name] / size / count:.3f}" for name in tools)],
        *(
            [
                f"GB after {days} {'day' if days == 1 else 'days'} of a 300 MB model",
                *(f"{projected(growth, name, days) / 1e9:.1f}" for name in tools),
            ]
            for days in DAYS
        ),
    ]
    times = [
        [f"{title}, {words}", *(spread(log[operation][name][unit]) for name in tools)]
        for operation, title in (
            ("snapshot", "snapshot"),
            ("restore newest", "restore of the newest"),
            ("restore middle", "restore of the middle one"),
        )
        for unit, words in (("wall", "wall seconds"), ("cpu", "processor seconds"))
    ]
    return {
        "growth_stored": table([f"stored, model of {megabytes(size)} MB", *tools], rows),
        "growth_times": table(["along the way", *tools], times),
        "trajectory": _trajectory_table(trajectory),
    }


def _trajectory_table(result: dict[str, Any]) -> str:
    if not result:
        return "No real saves were given to this run."
    shares = result["shares"]
    rows = [
        [f"save {number + 1}, {megabytes(size)} MB", *(f"{shares[name][number]:.3f}" for name in shares)]
        for number, size in enumerate(result["sizes"])
    ]
    rows.append(["further ones, mean", *(f"{mean(further(result, name)):.3f}" for name in shares)])
    return table(["stored, of its bytes", *shares], rows)


def further(result: dict[str, Any], tool: str) -> list[float]:
    """Return what the snapshots of real saves after the first stored, as parts of their bytes."""
    return list(result["shares"][tool][1:]) or [0.0]
