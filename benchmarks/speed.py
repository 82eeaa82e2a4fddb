"""How long each thing takes, whole processes and with everything on the disk, in interleaved rounds.

Every round begins with empty repositories and does each thing once with every tool in turn; who begins changes from
round to round. Three saves of one model are used, 500 iterations apart: each tool takes the first and the second, the
third is what is live, and in no repository, when the second is restored.
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.figures import Log, add, median, megabytes, ratio, spread, table
from benchmarks.process import Usage, floor, measure
from benchmarks.saves import Live, generated
from benchmarks.settings import Settings
from benchmarks.tools import Casvault, Tool, tools_here

__all__ = ["OPERATIONS", "measure_speed", "speed_tables"]

OPERATIONS = {
    "first": "first snapshot",
    "changed": "snapshot of a changed model",
    "unchanged": "snapshot of an unchanged model",
    "restore": "restore, no backup",
    "backup-restore": "backup and restore",
}
"""What is done with every tool, and what tables call it."""

_STARTS = 5


def measure_speed(settings: Settings) -> dict[str, Any]:
    """Run all rounds; return times by operation and tool, stored bytes and what else was found."""
    place = settings.folder("speed")
    saves = generated(place / "saves", settings.size, 3)
    live = Live(place)
    live.put(saves[0])
    tools = [kind(place, live.folder) for kind in tools_here()]
    result: dict[str, Any] = {"size": live.size, "log": {}, "stored": {}, "stored_backup": [], "start": {}}
    for number in range(settings.rounds):
        settings.tell(f"speed: round {number + 1} of {settings.rounds}")
        shift = number % len(tools)
        _Round(live, saves, tools[shift:] + tools[:shift], result).run()
    return {**result, "floor": floor()}


class _Round:
    """One round; adds to ``result``."""

    def __init__(self, live: Live, saves: list[Any], tools: list[Tool], result: dict[str, Any]) -> None:
        self.live = live
        self.saves = saves
        self.tools = tools
        self.result = result
        self.log: Log = result["log"]

    def run(self) -> None:
        """Do each thing once."""
        for tool in self.tools:
            tool.remove()
            tool.init()
        self.live.put(self.saves[0])
        self._snapshots("first", "a")
        self.live.put(self.saves[1], settled=True)
        self._snapshots("changed", "b")
        self._snapshots("unchanged", "b-again")
        for tool in self.tools:
            self.live.put(self.saves[2])
            self._note("restore", tool, tool.restore("b"))
            self.live.check(self.saves[1], tool.name)
        for tool in self.tools:
            self.live.put(self.saves[2])
            self._note("backup-restore", tool, tool.restore_after_backup("b", "c"))
            self.live.check(self.saves[1], tool.name)
        for tool in self.tools:
            if isinstance(tool, Casvault):
                self._stored_backup(tool)
        self._starts()
        for tool in self.tools:
            tool.remove()

    def _snapshots(self, operation: str, name: str) -> None:
        for tool in self.tools:
            before = tool.stored()
            self._note(operation, tool, tool.snapshot(name))
            self.result["stored"].setdefault(operation, {})[tool.name] = tool.stored() - before

    def _note(self, operation: str, tool: Tool, usage: Usage) -> None:
        add(self.log, operation, tool.name, usage)

    def _stored_backup(self, tool: Casvault) -> None:
        """Measure what the automatic backup adds where the live model is a snapshot already: seconds and bytes."""
        usages = []
        for number, backup in enumerate((True, False)):
            self.live.put(self.saves[1], settled=True)
            tool.snapshot(f"live {number}")
            before = tool.kept()
            usages.append(tool.restore_after_backup("a", "") if backup else tool.restore("a"))
            self.live.check(self.saves[0], tool.name)
            added = tool.kept() - before
            if backup:
                self.result["stored_backup"].append({"bytes": added})
        self.result["stored_backup"][-1]["with"] = usages[0].wall
        self.result["stored_backup"][-1]["without"] = usages[1].wall

    def _starts(self) -> None:
        """Start the command line and, in turn, an interpreter that imports what it is built on."""
        commands = {
            "casvault --help": [sys.executable, "-m", "casvault", "--help"],
            "import click": [sys.executable, "-c", "import click"],
        }
        found: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(_STARTS):
            for name, command in commands.items():
                found[name].append(measure(command, sync=False).wall)
        for name, seconds in found.items():
            self.result["start"].setdefault(name, []).append(median(seconds))


def speed_tables(result: dict[str, Any]) -> dict[str, str]:
    """Return the tables of times, of ratios, of processor seconds and of what else was measured."""
    log, stored, size = result["log"], result["stored"], result["size"]
    tools = list(log["first"])
    rivals = [name for name in tools if name != "casvault"]
    times, ratios, work = [], [], []
    for operation, title in OPERATIONS.items():
        figures = log[operation]
        times.append([title, *(spread(figures[name]["wall"]) for name in tools)])
        own = figures["casvault"]["wall"]
        ratios.append([title, *(f"{ratio(own, figures[name]['wall']):.2f}" for name in rivals)])
        work.append([title, *(spread(figures[name]["cpu"]) for name in tools)])
    bytes_added = [
        [OPERATIONS[operation], *(f"{stored[operation][name] / size:.3f}" for name in tools)] for operation in stored
    ]
    return {
        "speed_times": table(["wall seconds", *tools], times),
        "speed_ratios": table(["casvault's wall time to that of", *rivals], ratios),
        "speed_cpu": table(["processor seconds", *tools], work),
        "speed_stored": table([f"stored, of {megabytes(size)} MB", *tools], bytes_added),
        "speed_others": _others(result),
    }


def _others(result: dict[str, Any]) -> str:
    backups = result["stored_backup"]
    added = [one["with"] - one["without"] for one in backups]
    rows = [
        ["restore after an automatic backup of what is stored already, s", spread([one["with"] for one in backups])],
        ["the same restore without it, s", spread([one["without"] for one in backups])],
        ["what the backup adds, s", spread(added)],
        ["bytes that the backup adds", max(one["bytes"] for one in backups)],
        *([f"`{name}`, s", spread(seconds, 3)] for name, seconds in result["start"].items()),
        ["ratio of the two", f"{ratio(*result['start'].values()):.2f}"],
    ]
    return table(["", "casvault"], rows)
