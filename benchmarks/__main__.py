"""`python -m benchmarks`: runs the parts, writes the page, its pictures and all raw figures."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.codecs import measure_codecs
from benchmarks.depth import measure_depth
from benchmarks.growth import measure_growth, measure_trajectory
from benchmarks.machine import describe
from benchmarks.memory import measure_memory
from benchmarks.report import page, tables
from benchmarks.retention import measure_retention
from benchmarks.scale import measure_scale
from benchmarks.settings import Settings
from benchmarks.speed import measure_speed
from benchmarks.tools import tools_here

PARTS: dict[str, Callable[[Settings], dict[str, Any]]] = {
    "speed": measure_speed,
    "memory": measure_memory,
    "growth": measure_growth,
    "trajectory": measure_trajectory,
    "scale": measure_scale,
    "retention": measure_retention,
    "codecs": measure_codecs,
    "depth": measure_depth,
}
"""In the order in which they are run: those first in which this process must be small."""

_ON_REQUEST = ("depth",)
_DOCS = Path(__file__).parent.parent / "docs"
_PAGE, _FIGURES, _IMAGES = "benchmarks.md", "benchmarks.json", "images"


def main() -> None:
    """Do what the options say."""
    options = _options()
    if options.render:
        write(json.loads((options.out / _FIGURES).read_text("utf-8")), options.out)
        return
    with tempfile.TemporaryDirectory(prefix="casvault_bench_") as folder:
        settings = Settings(
            place=Path(folder).resolve(),
            quick=options.quick,
            rounds=options.rounds or (1 if options.quick else 5),
            size=options.size or (12_000_000 if options.quick else 300_000_000),
            trajectory=options.trajectory.resolve() if options.trajectory else None,
            tell=_tell,
        )
        if options.calibrate:
            from benchmarks.calibration import calibrate

            print(calibrate(settings.place, settings.trajectory))
            return
        results = measure(settings, options.only or _usual(options.quick))
    if options.out is not None:
        write(results, options.out)
        _tell(f"written: {options.out / _PAGE}")
    print(tables(results))


def measure(settings: Settings, names: list[str]) -> dict[str, Any]:
    """Run the parts with these names; return everything that was found."""
    tools_here(settings.tell)
    compile_casvault()
    results: dict[str, Any] = {
        "version": 1,
        "settings": {
            "quick": settings.quick,
            "rounds": settings.rounds,
            "size": settings.size,
            "real": settings.trajectory is not None,
        },
        "machine": describe(settings.place),
    }
    for name, part in PARTS.items():
        if name in names:
            results[name] = part(settings)
    return results


def compile_casvault() -> None:
    """Compile casvault as installing it does: where Python may not write bytecode each command would compile anew."""
    import compileall

    import casvault

    compileall.compile_dir(Path(casvault.__file__).parent, quiet=1)


def write(results: dict[str, Any], folder: Path) -> None:
    """Write figures, pictures and page into ``folder``."""
    from benchmarks.plots import draw

    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FIGURES).write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    pictures = draw(results, folder / _IMAGES)
    (folder / _PAGE).write_text(page(results, pictures), "utf-8")


def _usual(quick: bool) -> list[str]:
    return [name for name in PARTS if quick or name not in _ON_REQUEST]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny models and one round, to see that it works")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write page, pictures and figures, not docs/")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of what is timed (5)")
    parser.add_argument("--size", type=int, metavar="BYTES", help="size of the model that is timed (300,000,000)")
    parser.add_argument(
        "--only", action="append", choices=list(PARTS), help="one part; nothing is written without --out"
    )
    parser.add_argument("--trajectory", type=Path, metavar="FOLDER", help="a folder of folders: saves of a real model")
    parser.add_argument("--calibrate", action="store_true", help="only compare generated saves with real ones")
    parser.add_argument("--render", action="store_true", help="only make page and pictures anew from the figures")
    options = parser.parse_args()
    if not hasattr(os, "wait4"):
        parser.error("processes can only be measured on Linux, macOS and other systems of their kind")
    if options.quick and options.out is None and not options.only:
        parser.error("--quick needs --out DIR: its figures are not for docs/")
    if options.out is None and not options.only:
        options.out = _DOCS
    if options.trajectory is not None and not options.trajectory.is_dir():
        parser.error(f"{options.trajectory} is not a folder")
    return options


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
