"""Measures the engine as a user meets it: whole processes on a real file system, as ratios to `cp -r` + sync.

Usage: python benchmarks/engine.py [--model FOLDER] [--size BYTES] [--rounds N] [--json FILE]

FOLDER holds one model; without it one of BYTES is made, with noise like real weights. Every round does each thing once,
in turn, so that a machine that drifts drifts for all; medians are printed. restic and borg are measured beside where
they are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

CASVAULT = [sys.executable, "-m", "casvault"]


@dataclass
class Figures:
    """Wall seconds of each round, peak memory in bytes, and what was stored, in bytes."""

    seconds: list[float] = field(default_factory=list)
    peak: int = 0
    stored: int | None = None


def run(command: list[str], **environment: str) -> tuple[float, int]:
    """Run a command; return its wall seconds and its peak resident memory in bytes."""
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - before, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def bytes_below(folder: Path) -> int:
    """Return the bytes of all files below ``folder``."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Bench:
    """One benchmark in a folder of its own."""

    def __init__(self, place: Path, model: Path) -> None:
        self.place = place
        self.live = place / "workspace" / "model"
        shutil.copytree(model, self.live)
        for path in self.live.iterdir():
            path.chmod(0o644)
        self.size = bytes_below(self.live)
        self.figures: dict[str, Figures] = {}

    def measure(self, name: str, command: list[str], **environment: str) -> Figures:
        """Run a command once, with the disk quiet before and everything on the disk after."""
        os.sync()
        seconds, peak = run(command, **environment)
        before = time.perf_counter()
        os.sync()
        figures = self.figures.setdefault(name, Figures())
        figures.seconds.append(seconds + time.perf_counter() - before)
        figures.peak = max(figures.peak, peak)
        return figures

    def round(self) -> None:
        """Do each thing once, every tool on a store that is new."""
        for step in (self.copy, self.casvault, self.restic, self.borg):
            step()

    def copy(self) -> None:
        """The yardstick: a copy of the folder."""
        target = self.place / "copy"
        first = self.measure("cp: copy", ["cp", "-r", str(self.live), str(target)])
        first.stored = self.size
        self.damage()
        self.measure("cp: copy back", ["cp", "-r", f"{target}/.", str(self.live)])
        shutil.rmtree(target)

    def casvault(self) -> None:
        """First snapshot, unchanged snapshot, restore over a damaged model with and without backup."""
        vault = self.place / "vault"
        common = [*CASVAULT, "--vault", str(vault)]
        run([*common, "init", "-q"])
        first = self.measure("casvault: first snapshot", [*common, "snapshot", str(self.live), "-q"])
        first.stored = bytes_below(vault / "objects")
        time.sleep(2.1)
        run([*common, "snapshot", str(self.live), "-q"])
        before = bytes_below(vault)
        unchanged = self.measure("casvault: unchanged snapshot", [*common, "snapshot", str(self.live), "-q"])
        unchanged.stored = bytes_below(vault) - before
        self.damage()
        self.measure("casvault: restore, no backup", [*common, "restore", "latest", "-y", "-q", "--no-backup"])
        self.damage()
        self.measure("casvault: restore, with backup", [*common, "restore", "latest", "-y", "-q"])
        shutil.rmtree(vault)

    def restic(self) -> None:
        """The same with restic, repository format 2."""
        if shutil.which("restic") is None:
            return
        store, key = self.place / "restic", {"RESTIC_PASSWORD": "x"}
        run(["restic", "-q", "-r", str(store), "init", "--repository-version", "2"], **key)
        first = self.measure(
            "restic: first backup", ["restic", "-q", "-r", str(store), "backup", str(self.live)], **key
        )
        first.stored = bytes_below(store / "data")
        self.damage()
        command = ["restic", "-q", "-r", str(store), "restore", "latest", "--target", "/"]
        self.measure("restic: restore", command, **key)
        shutil.rmtree(store)

    def borg(self) -> None:
        """The same with borg and zstd,3."""
        if shutil.which("borg") is None:
            return
        store = self.place / "borg"
        key = {"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
        run(["borg", "init", "-e", "none", str(store)], **key)
        command = ["borg", "create", "--compression", "zstd,3", f"{store}::a", str(self.live)]
        first = self.measure("borg: first backup", command, **key)
        first.stored = bytes_below(store / "data")
        self.damage()
        before = Path.cwd()
        os.chdir("/")
        self.measure("borg: restore", ["borg", "extract", f"{store}::a"], **key)
        os.chdir(before)
        shutil.rmtree(store)

    def damage(self) -> None:
        """Change one byte in every file, so that a restore has to write them all."""
        for path in self.live.iterdir():
            with open(path, "r+b") as file:
                file.seek(path.stat().st_size // 2)
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte[0] ^ 1]))


def table(bench: Bench) -> str:
    """Return the medians, each with its ratio to the copy in the same rounds."""
    lines = [f"{'':32}{'median s':>10}{'x cp':>8}{'min':>8}{'max':>8}{'peak MB':>9}{'stored':>9}"]
    for name, figures in bench.figures.items():
        rival = "cp: copy back" if "restore" in name or "back" in name.split(":")[1].split() else "cp: copy"
        ratios = [a / b for a, b in zip(figures.seconds, bench.figures[rival].seconds, strict=True)]
        stored = f"{figures.stored / bench.size:.3f}" if figures.stored is not None else ""
        seconds = figures.seconds
        lines.append(
            f"{name:32}{statistics.median(seconds):>10.2f}{statistics.median(ratios):>8.2f}{min(seconds):>8.2f}"
            f"{max(seconds):>8.2f}{figures.peak / 1e6:>9.0f}{stored:>9}"
        )
    return "\n".join(lines)


def made_model(place: Path, size: int) -> Path:
    """Make a model of ``size`` bytes in a process of its own, so that its memory is not ours."""
    code = (
        "import sys; from pathlib import Path; from casvault.demo.model import SampleModel;"
        "model = SampleModel(Path(sys.argv[1]), size=int(sys.argv[2])); model.train(10); model.save()"
    )
    run([sys.executable, "-c", code, str(place / "made"), str(size)])
    return place / "made"


def main(tell: Callable[[str], None] = print) -> None:
    """Measure, print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--size", type=int, default=300_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="casvault_bench_") as folder:
        place = Path(folder).resolve()
        bench = Bench(place, options.model or made_model(place, options.size))
        for number in range(options.rounds):
            tell(f"round {number + 1} of {options.rounds}")
            bench.round()
    tell(f"model of {bench.size / 1e6:.0f} MB, {os.cpu_count()} cores")
    tell(table(bench))
    if options.json:
        rows = {name: {"seconds": f.seconds, "peak": f.peak, "stored": f.stored} for name, f in bench.figures.items()}
        options.json.write_text(json.dumps({"logical": bench.size, "figures": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
