"""What the figures were measured on: the machine, without names or paths, and the versions of what was run."""

from __future__ import annotations

import importlib
import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.tools import TOOLS

__all__ = ["describe", "machine_table"]

_LIBRARIES = ("numpy", "zstandard", "blake3")


def describe(place: Path) -> dict[str, Any]:
    """Return the facts, those of the file system that ``place`` is on among them."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "load": os.getloadavg()[0],
        "memory": _psutil().virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "file_system": _file_system(place),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "tools": {tool.name: {"version": tool.version(), "settings": tool.settings} for tool in TOOLS if tool.there()},
        "missing": {tool.name: tool.package for tool in TOOLS if not tool.there()},
    }


def machine_table(facts: dict[str, Any]) -> str:
    """Return the facts as a table of two columns."""
    rows = [
        ("date", facts["date"]),
        ("processor", f"{facts['processor']}, {facts['cores']} cores"),
        ("load before", f"{facts['load']:.2f}, the mean of one minute"),
        ("memory", f"{facts['memory'] / 2**30:.0f} GiB"),
        ("system", facts["system"]),
        ("file system", facts["file_system"]),
        ("Python", f"{facts['python']}, {', '.join(f'{name} {text}' for name, text in facts['libraries'].items())}"),
    ]
    for name, tool in facts["tools"].items():
        rows.append((f"{name} {tool['version']}".strip(), tool["settings"]))
    for name, package in facts["missing"].items():
        rows.append((name, f"not measured: the package {package} was not installed"))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _file_system(place: Path) -> str:
    """Return the type of the file system that is mounted nearest above ``place``."""
    above = {str(folder) for folder in (place, *place.parents)}
    mounts = [mount for mount in _psutil().disk_partitions(all=True) if mount.mountpoint in above]
    return str(max(mounts, key=lambda mount: len(mount.mountpoint)).fstype) if mounts else "unknown"


def _psutil() -> Any:
    return importlib.import_module("psutil")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
