"""What a long history costs: the same commands in vaults with few and with many snapshots, in interleaved rounds.

After each round the vault is wound back, so that in every round it has as many snapshots as it is said to have.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Log, add, ratio, spread, table
from benchmarks.history import History, write_history
from benchmarks.process import measure, settle
from benchmarks.saves import Live, generated
from benchmarks.settings import Settings
from benchmarks.tools import Casvault

__all__ = ["COMMANDS", "measure_scale", "scale_table"]

COMMANDS = {
    "list": "`casvault list`",
    "changed": "snapshot of a changed model",
    "unchanged": "snapshot of an unchanged model",
    "usage": "`casvault usage`",
}
"""What is timed, and what tables call it."""

_REWRITTEN = ("live", "cache")
"""Folders of a vault with files that are written more than once."""

_MODEL = "bench_SAEHD"


def measure_scale(settings: Settings) -> dict[str, Any]:
    """Make the vaults and run all rounds; return times by command and number of snapshots."""
    place = settings.folder("scale")
    counts, size = ((5, 20), 2_000_000) if settings.quick else ((10, 100, 1000), settings.size)
    saves = generated(place / "saves", size, 2)
    vaults = [_History(place, count, saves, chunks=20 if settings.quick else 200) for count in counts]
    for vault in vaults:
        settings.tell(f"scale: making a vault with {vault.count} snapshots")
        vault.make()
    with_usage = vaults[0].has_usage()
    log: Log = {}
    for number in range(settings.rounds):
        settings.tell(f"scale: round {number + 1} of {settings.rounds}")
        for vault in vaults if number % 2 == 0 else vaults[::-1]:
            vault.round(log, with_usage)
    return {"counts": list(counts), "chunks": vaults[0].chunks, "size": vaults[0].live.size, "log": log}


class _History:
    """A vault with ``count`` snapshots, its live model, and how it was when it was new."""

    def __init__(self, place: Path, count: int, saves: list[Path], chunks: int) -> None:
        self.count = count
        self.place = place / f"with_{count}"
        self.saves = saves
        self.chunks = chunks
        self.live = Live(self.place)
        self.tool = Casvault(self.place, self.live.folder)
        self.names: set[Path] = set()
        self.changing: dict[Path, bytes] = {}

    def make(self) -> None:
        """Write the history and end it with a real snapshot of the live model."""
        write_history(self.tool.store, History(_MODEL, self.count - 1, self.chunks, self.chunks * 3 // 2))
        self.live.put(self.saves[0])
        self.tool.snapshot("the last")
        settle()
        self.names = set(self._all())
        self.changing = {path: path.read_bytes() for path in self.names if path.parent.name in _REWRITTEN}

    def has_usage(self) -> bool:
        """Tell whether this casvault has the command."""
        return subprocess.run(self.tool.command("usage", "--help"), capture_output=True, check=False).returncode == 0

    def round(self, log: Log, with_usage: bool) -> None:
        """Do each thing once, then wind the vault back."""
        count = str(self.count)
        add(log, "list", count, measure(self.tool.command("list"), sync=False))
        self.live.put(self.saves[1], settled=True)
        add(log, "changed", count, self.tool.snapshot("changed"))
        add(log, "unchanged", count, self.tool.snapshot("unchanged"))
        if with_usage:
            add(log, "usage", count, measure(self.tool.command("usage"), sync=False))
        for path in self._all():
            if path not in self.names:
                path.unlink()
        for path, data in self.changing.items():
            path.write_bytes(data)
        settle()

    def _all(self) -> Iterator[Path]:
        return (path for path in list(self.tool.store.rglob("*")) if path.is_file())


def scale_table(result: dict[str, Any]) -> str:
    """Return the times, and what the most snapshots cost as a ratio to the fewest."""
    counts = [str(count) for count in result["counts"]]
    rows = []
    for command, title in COMMANDS.items():
        if command in result["log"]:
            walls = {count: result["log"][command][count]["wall"] for count in counts}
            rows.append(
                [
                    title,
                    *(spread(walls[count], 3) for count in counts),
                    f"{ratio(walls[counts[-1]], walls[counts[0]]):.2f}",
                ]
            )
    return table(["wall seconds", *(f"{count} snapshots" for count in counts), f"{counts[-1]} to {counts[0]}"], rows)
