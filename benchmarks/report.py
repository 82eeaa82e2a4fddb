"""The page of figures: a template and what a run found; and the same tables for a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from string import Template
from typing import Any

from benchmarks.codecs import codec_tables
from benchmarks.depth import depth_table
from benchmarks.figures import median, megabytes
from benchmarks.freeing import freeing_table
from benchmarks.growth import WINDOW, growth_tables
from benchmarks.machine import machine_table
from benchmarks.memory import memory_table
from benchmarks.retention import retention_table, retention_values
from benchmarks.scale import objects_table, scale_table
from benchmarks.speed import OPERATIONS, speed_tables
from benchmarks.targets import target_table, targets

__all__ = ["page", "tables"]

_TEMPLATE = Path(__file__).with_name("template.md")
_ABSENT = "Not part of this run."


def page(results: dict[str, Any], pictures: Collection[str]) -> str:
    """Return the whole page as Markdown, with those of its pictures that are there."""
    text = _TEMPLATE.read_text("utf-8")
    names = re.findall(r"\$(\w+)", text)
    values = {name: _ABSENT if f"\n${name}\n" in text else "..." for name in names}
    values |= {"date": results["machine"]["date"], "machine": machine_table(results["machine"]), "depth": ""}
    values |= _values(results)
    values["targets"] = target_table(results)
    lines = Template(text).substitute(values).split("\n")
    lines = [line for line in lines if not line.startswith("![") or line.rpartition("/")[2].rstrip(")") in pictures]
    return "\n".join(_squeezed(lines)).strip() + "\n"


def tables(results: dict[str, Any]) -> str:
    """Return the tables of the parts that were run, for a terminal."""
    found = [value for name, value in _values(results).items() if value.startswith("|")]
    return "\n\n".join([*found, *([target_table(results)] if targets(results) else [])])


def _values(results: dict[str, Any]) -> dict[str, str]:
    values: dict[str, str] = {}
    for part, told in _PARTS.items():
        if results.get(part):
            values |= told(results)
    return values


def _speed(results: dict[str, Any]) -> dict[str, str]:
    speed = results["speed"]
    values = speed_tables(speed)
    rounds = len(speed["log"]["first"]["casvault"]["wall"])
    values |= {
        "speed_size": megabytes(speed["size"]),
        "rounds": "1 round" if rounds == 1 else f"{rounds} rounds",
        "noise": _noise(speed["log"], rounds),
    }
    values["memory"] = memory_table(speed, results.get("memory") or {})
    values["floor"] = megabytes(max(part["floor"] for part in (speed, results.get("memory")) if part))
    return values


def _noise(log: dict[str, Any], rounds: int) -> str:
    if rounds < 2:
        return "One round tells nothing of noise."
    found = []
    for operation, tools in log.items():
        for name, figures in tools.items():
            seconds = figures["wall"]
            found.append(((max(seconds) - min(seconds)) / median(seconds), f"{OPERATIONS[operation]}, {name}"))
    worst, where = max(found)
    return (
        f"Over the {rounds} rounds the largest time of one thing with one tool is above the smallest by "
        f"{median([each for each, _ in found]):.0%} of the median\nin the middle case, and by {worst:.0%} in the worst "
        f"({where})."
    )


def _growth(results: dict[str, Any]) -> dict[str, str]:
    growth, trajectory = results["growth"], results.get("trajectory") or {}
    values = growth_tables(growth, trajectory)
    values["growth_count"] = str(len(growth["stored"]["casvault"]))
    values["growth_window"] = str(min(WINDOW, len(growth["stored"]["casvault"]) - 1))
    values["growth_size"] = megabytes(growth["size"])
    values["trajectory_intro"] = (
        f"{len(trajectory['sizes'])} saves of one real training, in the order of saving." if trajectory else ""
    )
    return values


def _scale(results: dict[str, Any]) -> dict[str, str]:
    scale = results["scale"]
    values = {"scale": scale_table(scale), "scale_objects": objects_table(scale)}
    values["scale_size"] = megabytes(scale["size"])
    values["scale_chunks"], values["scale_regions"] = str(scale["chunks"]), str(scale["chunks"] * 3 // 2)
    return values


def _retention(results: dict[str, Any]) -> dict[str, str]:
    retention = results["retention"]
    tables = {"retention": retention_table(retention), "freeing": freeing_table(retention)}
    return {**tables, **retention_values(retention)}


def _codecs(results: dict[str, Any]) -> dict[str, str]:
    source = "two real saves" if results["settings"]["real"] else "two generated saves"
    return {**codec_tables(results["codecs"]), "codec_source": source}


def _depth(results: dict[str, Any]) -> dict[str, str]:
    depth = results["depth"]
    return {
        "depth_table": depth_table(depth),  # for a terminal
        "depth": "\n\n".join(
            (
                "## Depth of chains and size of chunks",
                f"{depth['count']} snapshots of a model of {megabytes(depth['size'])} MB, in vaults that differ in "
                "`max_depth` and `max_chunk`.",
                depth_table(depth),
            )
        ),
    }


_PARTS: dict[str, Callable[[dict[str, Any]], dict[str, str]]] = {
    "speed": _speed,
    "growth": _growth,
    "scale": _scale,
    "retention": _retention,
    "codecs": _codecs,
    "depth": _depth,
}


def _squeezed(lines: list[str]) -> Iterator[str]:
    """Leave out an empty line after an empty line."""
    before = ""
    for line in lines:
        if line or before:
            yield line
        before = line
