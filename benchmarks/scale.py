"""What a long history costs: the same commands in vaults with few and with many snapshots, in interleaved rounds.

After each round the vault is wound back, so that in every round it has as many snapshots as it is said to have. The
rounds of gc come last: a file system may be slower for minutes after so many files were removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Log, add, median, ratio, spread, table
from benchmarks.history import History, write_history
from benchmarks.process import discard, measure, settle
from benchmarks.saves import Live, generated
from benchmarks.settings import Settings
from benchmarks.tools import Casvault
from casvault import api

__all__ = ["COMMANDS", "LINEAR", "line", "measure_scale", "objects_table", "scale_table"]

COMMANDS = {
    "list": "`casvault list`",
    "changed": "snapshot of a changed model",
    "unchanged": "snapshot of an unchanged model",
    "usage": "`casvault usage`",
    "gc": "`casvault gc --no-recode`",
}
"""What is timed, and what tables call it."""

LINEAR = ("usage", "gc")
"""Those that look at every object."""

_DOOMED = 10
"""Of so many snapshots one was deleted when gc is timed."""

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
    log: Log = {}
    rounds = {"round": settings.rounds, "round of gc": min(3, settings.rounds)}
    for what, count in rounds.items():
        for number in range(count):
            settings.tell(f"scale: {what} {number + 1} of {count}")
            for vault in vaults if number % 2 == 0 else vaults[::-1]:
                vault.collect(log) if what == "round of gc" else vault.round(log)
    return {
        "counts": list(counts),
        "objects": {str(vault.count): vault.objects for vault in vaults},
        "chunks": vaults[0].chunks,
        "size": vaults[0].live.size,
        "log": log,
    }


class _History:
    """A vault with ``count`` snapshots, its live model, and how it was when it was new."""

    def __init__(self, place: Path, count: int, saves: list[Path], chunks: int) -> None:
        self.count = count
        self.place = place / f"with_{count}"
        self.saves = saves
        self.chunks = chunks
        self.live = Live(self.place)
        self.tool = Casvault(self.place, self.live.folder)
        self.objects = 0
        self.names: set[Path] = set()
        self.contents: dict[Path, bytes] = {}

    def make(self) -> None:
        """Write the history and end it with a real snapshot of the live model."""
        write_history(self.tool.store, History(_MODEL, self.count - 1, self.chunks, self.chunks * 3 // 2))
        self.live.put(self.saves[0])
        self.tool.snapshot("the last")
        settle()
        self.names = set(self._all())
        self.objects = sum(path.parent.parent.name == "objects" for path in self.names)
        self.contents = {path: path.read_bytes() for path in self.names if path.parent.name in _REWRITTEN}

    def round(self, log: Log) -> None:
        """Do each thing once, then wind the vault back."""
        count = str(self.count)
        add(log, "list", count, measure(self.tool.command("list"), reads=self.tool.reads(), sync=False))
        self.live.put(self.saves[1], settled=True)
        add(log, "changed", count, self.tool.snapshot("changed"))
        add(log, "unchanged", count, self.tool.snapshot("unchanged"))
        add(log, "usage", count, measure(self.tool.command("usage"), reads=self.tool.reads(), sync=False))
        self._wind_back()

    def collect(self, log: Log) -> None:
        """Delete every tenth snapshot, free their space, then wind the vault back."""
        vault = api.open(self.tool.store)
        doomed = [head.id for head in vault.snapshots()[:-1:_DOOMED]]
        for path in self.names:
            if path.parent.name in ("labels", "snapshots") and path.name.startswith(tuple(doomed)):
                self.contents.setdefault(path, path.read_bytes())
        for id in doomed:
            for chunk in vault.show(id).chunks():
                path = self.tool.store / vault.objects.encodings(chunk.digest)[0].blob
                self.contents.setdefault(path, path.read_bytes())
        vault.delete(*doomed)
        add(log, "gc", str(self.count), measure(self.tool.command("gc", "--no-recode", "-q"), reads=self.tool.reads()))
        gone = self.names - set(self._all())
        if not {path.parent.parent.name for path in gone} & {"objects"}:
            raise SystemExit("gc freed nothing")
        self._wind_back()

    def _wind_back(self) -> None:
        there = set(self._all())
        for path in there - self.names:
            discard(path, self.place)
        for path, data in self.contents.items():
            if path not in there or path.parent.name in _REWRITTEN:
                path.write_bytes(data)
        if self.names != set(self._all()):
            raise SystemExit(f"the vault with {self.count} snapshots could not be wound back")
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


def line(scale: dict[str, Any], command: str) -> tuple[float, float]:
    """Return the straight line through the medians: seconds at no objects, and seconds for each object.

    By least squares of the relative errors, so that a small vault counts as much as a large one.
    """
    points = [(scale["objects"][count], median(figures["wall"])) for count, figures in scale["log"][command].items()]
    weights = [1 / seconds**2 for _, seconds in points]
    total = sum(weights)
    middle = sum(weight * objects for weight, (objects, _) in zip(weights, points, strict=True)) / total
    height = sum(weight * seconds for weight, (_, seconds) in zip(weights, points, strict=True)) / total
    above = sum(w * (x - middle) * (y - height) for w, (x, y) in zip(weights, points, strict=True))
    slope = above / sum(w * (x - middle) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    return height - slope * middle, slope


def objects_table(scale: dict[str, Any]) -> str:
    """Return for the commands that look at every object how their time grows, and how straight the line is."""
    rows = []
    for command in LINEAR:
        start, slope = line(scale, command)
        walls = {scale["objects"][count]: median(found["wall"]) for count, found in scale["log"][command].items()}
        off = max(abs(seconds / (start + slope * objects) - 1) for objects, seconds in walls.items())
        rows.append([COMMANDS[command], f"{start:.2f}", f"{slope * 1e5:.2f}", f"{off:.0%}"])
    return table(["wall seconds", "with none", "more for 100,000 objects", "farthest from the line"], rows)
