"""What was asked of casvault, beside what was measured: the last table of the page."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean
from typing import Any, NamedTuple

from benchmarks.figures import median, ratio, table
from benchmarks.growth import further
from benchmarks.retention import MOST, VARIANTS

__all__ = ["Target", "target_table", "targets"]

_PEAK = 200
"""MB."""


class Target(NamedTuple):
    """A figure, the most that it may be, and what it is; ``stretch`` is what would be better still."""

    figure: str
    asked: float
    measured: float
    stretch: bool = False

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.measured <= self.asked


def targets(results: dict[str, Any]) -> list[Target]:
    """Return the figures for which there are results."""
    found: list[Target] = []
    if results.get("speed"):
        found += _of_speed(results["speed"])
        found += _of_memory(results["speed"], results.get("memory") or {})
    if results.get("scale"):
        found += _of_scale(results["scale"])
    if results.get("retention"):
        found += _of_retention(results["retention"])
    if results.get("trajectory"):
        found += _of_trajectory(results["trajectory"])
    return found


def target_table(results: dict[str, Any]) -> str:
    """Return one row for each figure."""
    rows = [
        [
            f"{one.figure}{' (stretch)' if one.stretch else ''}",
            f"{one.asked:g}",
            f"{one.measured:.0f}" if one.asked in (0, _PEAK) else f"{one.measured:.3f}",
            "yes" if one.met else "**no**",
        ]
        for one in targets(results)
    ]
    return table(["figure", "asked, at most", "measured", "met"], rows)


def _of_speed(speed: dict[str, Any]) -> Iterator[Target]:
    log = speed["log"]

    def against(operation: str, rival: str) -> float | None:
        if rival not in log[operation]:
            return None
        return ratio(log[operation]["casvault"]["wall"], log[operation][rival]["wall"])

    wanted = [
        ("snapshot of a changed model, to restic", "changed", "restic", 1 / 3, False),
        ("snapshot of a changed model, to borg", "changed", "borg", 1 / 2, False),
        ("snapshot of a changed model, to cp", "changed", "cp", 1.5, True),
        ("restore without backup, to restic", "restore", "restic", 1 / 2, False),
        ("restore without backup, to borg", "restore", "borg", 1 / 2, False),
        ("restore without backup, to cp", "restore", "cp", 2.0, True),
        ("restore with backup, to backup and restore of restic", "backup-restore", "restic", 1 / 2, False),
    ]
    for figure, operation, rival, asked, stretch in wanted:
        measured = against(operation, rival)
        if measured is not None:
            yield Target(figure, round(asked, 3), measured, stretch)
    backups = speed["stored_backup"]
    added = median([one["with"] - one["without"] for one in backups])
    yield Target("automatic backup of what is stored already, s", 0.3, added)
    yield Target("automatic backup of what is stored already, bytes", 0, max(one["bytes"] for one in backups))
    yield Target("snapshot of an unchanged model, s", 0.35, median(log["unchanged"]["casvault"]["wall"]))
    start = ratio(speed["start"]["casvault --help"], speed["start"]["import click"])
    yield Target("start of the command line, to importing click", 2.5, start)


def _of_memory(speed: dict[str, Any], memory: dict[str, Any]) -> Iterator[Target]:
    for part in (speed, memory):
        if part:
            peak = max(max(tools["casvault"]["peak"]) for tools in part["log"].values())
            yield Target(f"peak of memory, model of {part['size'] / 1e6:.0f} MB, MB", _PEAK, peak / 1e6)


def _of_scale(scale: dict[str, Any]) -> Iterator[Target]:
    fewest, most = str(scale["counts"][0]), str(scale["counts"][-1])
    for what in ("changed", "unchanged"):
        figures = scale["log"][what]
        measured = ratio(figures[most]["wall"], figures[fewest]["wall"])
        yield Target(f"snapshot, {what} model, {most} snapshots there to {fewest}", 1.15, measured)


def _of_retention(retention: dict[str, Any]) -> Iterator[Target]:
    for name, title in VARIANTS.items():
        multiple = retention["curves"][name][-1][1] / retention["size"]
        yield Target(f"stored after {retention['days']:.0f} days, {title}, in models", MOST, multiple)
    one = retention["thinning"]
    figure = f"{one['snapshots']} snapshots, all but the last {one['whole']} thinned, after gc to before"
    yield Target(figure, 0.55, one["after"] / one["before"])
    one = retention["deleting"]
    yield Target("what others lean on deleted, after gc to never taken", 1.02, one["after"] / one["fresh"])


def _of_trajectory(trajectory: dict[str, Any]) -> Iterator[Target]:
    own = further(trajectory, "casvault")
    yield Target("first snapshot of a real model, of its bytes", 0.826, trajectory["shares"]["casvault"][0])
    yield Target("further snapshot of a real model, of its bytes", 0.757, mean(own))
    if "borg" in trajectory["shares"]:
        measured = mean(own) / mean(further(trajectory, "borg"))
        yield Target("further snapshot of a real model, to borg", 0.83, measured)
