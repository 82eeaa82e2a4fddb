"""The pictures of the page: 800 pixels wide, in colours that also colour-blind people tell apart, labelled in place."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figures import median, ratio
from benchmarks.growth import projected
from benchmarks.retention import MOST, VARIANTS
from benchmarks.scale import COMMANDS, LINEAR, line
from benchmarks.speed import OPERATIONS

__all__ = ["draw"]

_COLOURS = {"cp": "#555555", "casvault": "#0072B2", "restic": "#D55E00", "borg": "#E69F00"}
"""From the palette of Okabe and Ito."""

_MARKS = {"cp": "x", "casvault": "o", "restic": "s", "borg": "^"}
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_SIZE = (8.0, 4.2)
_DOTS = 100
_DAYS = 14


def draw(results: dict[str, Any], folder: Path) -> list[str]:
    """Write the pictures of the parts that were run into ``folder``; return their names."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    matplotlib.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, (part, picture) in _PICTURES.items():
        if results.get(part):
            _save(picture(results[part]), folder / name)
            drawn.append(name)
    return drawn


def _axes(title: str) -> tuple[Any, Any]:
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=_SIZE, dpi=_DOTS, layout="constrained")
    axes.set_title(title, loc="left", fontsize=12, pad=14)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    # Without a version in it the same figures give the same file.
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)


def _times(speed: dict[str, Any]) -> Any:
    log = speed["log"]
    tools = [name for name in log["first"] if name != "cp"]
    figure, axes = _axes(f"Wall time as a ratio to cp, model of {speed['size'] / 1e6:.0f} MB (lower is better)")
    width = 0.8 / len(tools)
    for number, name in enumerate(tools):
        values = [ratio(log[operation][name]["wall"], log[operation]["cp"]["wall"]) for operation in OPERATIONS]
        places = [index + width * (number - (len(tools) - 1) / 2) for index in range(len(OPERATIONS))]
        bars = axes.bar(places, values, width * 0.92, label=name, color=_COLOURS[name])
        axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=9)
    axes.axhline(1, color=_COLOURS["cp"], linestyle="--", linewidth=1)
    axes.annotate(
        "cp", (1, 1), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points", va="center"
    )
    axes.set_xticks(range(len(OPERATIONS)), [_wrapped(title) for title in OPERATIONS.values()])
    axes.set_ylabel("times the seconds of cp")
    figure.legend(loc="outside lower center", ncols=len(tools), frameon=False)
    return figure


def _growth(growth: dict[str, Any]) -> Any:
    figure, axes = _axes(f"Stored after each snapshot of a {growth['size'] / 1e6:.0f} MB model that trains")
    unit, word = (1e9, "GB") if max(stored[-1] for stored in growth["stored"].values()) >= 1e9 else (1e6, "MB")
    for name, stored in growth["stored"].items():
        counts = range(1, len(stored) + 1)
        values = [size / unit for size in stored]
        axes.plot(counts, values, color=_COLOURS[name], marker=_MARKS[name], markersize=4, linewidth=1.5)
    ends = {name: stored[-1] / unit for name, stored in growth["stored"].items()}
    for name, place in _apart(ends, max(ends.values()) * 0.055).items():
        axes.annotate(
            f"{name} {ends[name]:.{2 if ends[name] < 10 else 1}f} {word}",
            (len(growth["stored"][name]), place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_xlabel("snapshots")
    axes.set_ylabel(f"{word} stored")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    return figure


def _space(growth: dict[str, Any]) -> Any:
    figure, axes = _axes(f"GB after {_DAYS} days of a 300 MB model, a save every 25 minutes, all kept (scaled)")
    tools = list(growth["stored"])[::-1]
    values = [projected(growth, name, _DAYS) / 1e9 for name in tools]
    bars = axes.barh(tools, values, color=[_COLOURS[name] for name in tools], height=0.6)
    axes.bar_label(bars, fmt="%.0f", padding=4)
    axes.set_xlabel("GB")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    return figure


def _scale(scale: dict[str, Any]) -> Any:
    figure, axes = _axes("Wall time against the number of snapshots in the vault")
    counts = scale["counts"]
    commands = [command for command in COMMANDS if command not in LINEAR]
    for colour, mark, command in zip(_LINES, "osD^", commands, strict=False):
        values = [median(scale["log"][command][str(count)]["wall"]) for count in counts]
        axes.plot(counts, values, color=colour, marker=mark, label=COMMANDS[command].strip("`"))
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("snapshots in the vault (logarithmic)")
    axes.set_ylabel("seconds")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _objects(scale: dict[str, Any]) -> Any:
    figure, axes = _axes("Wall time of what looks at every object, each with a straight line")
    counts = [scale["objects"][str(count)] for count in scale["counts"]]
    for colour, mark, command in zip(_LINES, "osD^", LINEAR, strict=False):
        start, slope = line(scale, command)
        values = [median(scale["log"][command][str(count)]["wall"]) for count in scale["counts"]]
        axes.plot([0, counts[-1]], [start, start + slope * counts[-1]], color=colour, linestyle="--", linewidth=1)
        axes.plot(counts, values, color=colour, marker=mark, linestyle="none", label=COMMANDS[command].strip("`"))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("objects in the vault")
    axes.set_ylabel("seconds")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _retention(retention: dict[str, Any]) -> Any:
    figure, axes = _axes(f"Stored while a model trains for {retention['days']:.0f} days, in models")
    ends = {}
    for colour, mark, name in zip(_LINES, "osD^", VARIANTS, strict=False):
        days, values = zip(*((day, size / retention["size"]) for day, size in retention["curves"][name]), strict=True)
        axes.plot(days, values, color=colour, marker=mark, markersize=3, linewidth=1.5)
        ends[name] = values[-1]
    top = max(MOST, *ends.values()) * 1.15
    all_kept = retention["added"] / retention["size"]
    # Only its beginning fits on the picture.
    shown = min(1.0, top / all_kept)
    axes.plot([0, retention["days"] * shown], [0, all_kept * shown], color=_COLOURS["cp"], linewidth=1.5)
    axes.annotate(
        f"everything is kept: {all_kept:.0f} after {retention['days']:.0f} days",
        (retention["days"] * shown, all_kept * shown),
        xytext=(8, -4),
        textcoords="offset points",
        va="center",
    )
    axes.axhline(MOST, color=_COLOURS["cp"], linestyle="--", linewidth=1)
    axes.annotate(
        "wanted, at most",
        (retention["days"], MOST),
        xytext=(-4, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=9,
    )
    for name, place in _apart(ends, top * 0.055).items():
        axes.annotate(
            f"{VARIANTS[name]}: {ends[name]:.1f}".replace("the rules, ", ""),
            (retention["days"], place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_xlabel("days")
    axes.set_ylabel("times the bytes of one model")
    axes.set_xlim(0, retention["days"])
    axes.set_ylim(0, top)
    axes.grid(axis="y", alpha=0.3)
    return figure


def _wrapped(text: str) -> str:
    """Break a label in the middle."""
    words = text.split()
    half = (len(words) + 1) // 2
    return " ".join(words[:half]) + "\n" + " ".join(words[half:])


def _apart(values: dict[str, float], distance: float) -> dict[str, float]:
    """Move places so that labels do not lie on each other: each at least ``distance`` above the one below."""
    placed: dict[str, float] = {}
    lowest = float("-inf")
    for name in sorted(values, key=lambda name: values[name]):
        lowest = max(values[name], lowest + distance)
        placed[name] = lowest
    return placed


_PICTURES: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "bench-time.png": ("speed", _times),
    "bench-growth.png": ("growth", _growth),
    "bench-space.png": ("growth", _space),
    "bench-scale.png": ("scale", _scale),
    "bench-objects.png": ("scale", _objects),
    "bench-retention.png": ("retention", _retention),
}
"""The file of each picture, the part of the results that it shows, and what draws it."""
