"""What a watch costs whoever computes beside it: a loop on one core is counted with `casvault watch` and without.

Not a part of `python -m benchmarks`, which measures single commands; run `python -m benchmarks.watching SAVES`, where
the folders in SAVES are saves of one model. They are put in place one after another, as the trainer does. The machine
is never the same for long: the watch is stopped and let go on every second, and neighbouring seconds are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import psutil

from benchmarks.saves import real
from casvault import api
from casvault.manifest.stamp import from_iso

__all__ = ["measure_idle", "measure_share", "measure_slowdown"]

_BIN = 0.1
"""Seconds of computing that are counted together."""
_SLICE = 1.0
"""Seconds for which the watch runs, and then is stopped."""
_MARGIN = 0.2
"""Seconds before and after a snapshot that count as its own: it is waited for, and told afterwards."""
_LOOP = """
import sys, time
while True:
    end, count = time.time() + float(sys.argv[1]), 0
    while time.time() < end:
        sum(range(1000))
        count += 1
    print(end, count, flush=True)
"""
Span = tuple[float, float]
"""Begin and end, in seconds since 1970."""


def measure_slowdown(saves: list[Path], place: Path, seconds: float, every: float) -> list[float]:
    """Return by how many percent the loop is slower with a watch than without, for each pair of neighbouring seconds.

    The model below ``place`` is saved ``every`` so many seconds; what is counted while it is saved, and while a
    snapshot is taken, is left out.
    """
    folder = place / "workspace" / "model"
    folder.mkdir(parents=True)
    api.init(place / ".casvault")
    watch = subprocess.Popen(_command(place), stdout=subprocess.PIPE, text=True)
    loop = subprocess.Popen([sys.executable, "-c", _LOOP, str(_BIN)], stdout=subprocess.PIPE, text=True)
    busy, slices, turn, last = list[Span](), list[Span](), cycle(saves), 0.0
    try:
        time.sleep(_SLICE)
        end = time.time() + seconds
        while time.time() < end:
            if time.time() - last >= every:
                last = time.time()
                _put(next(turn), folder)
                busy.append((last - _MARGIN, time.time() + _MARGIN))
            for number in (signal.SIGSTOP, signal.SIGCONT):
                watch.send_signal(number)
                begun = time.time()
                time.sleep(_SLICE)
                slices.append((begun, time.time()))
    finally:
        loop.kill()
        watch.terminate()
    counts = [(float(end), int(count)) for end, count in map(str.split, loop.communicate()[0].splitlines()[1:])]
    busy += _spans(watch.communicate()[0])
    rates = [_rate(counts, one, busy) for one in slices]
    pairs = zip(rates[::2], rates[1::2], strict=True)
    return [(1 - running / stopped) * 100 for stopped, running in pairs if stopped and running]


def _rate(counts: list[tuple[float, int]], span: Span, busy: list[Span]) -> float | None:
    """Return the counts of one slice, None where something else went on in it."""
    if any(begin < span[1] and span[0] < end for begin, end in busy):
        return None
    inside = [count for end, count in counts if span[0] <= end - _BIN and end <= span[1]]
    return statistics.fmean(inside) if inside else None


def measure_idle(saves: list[Path], place: Path, looks: int = 2000) -> dict[str, float]:
    """Return what one look costs where nothing was saved, in milliseconds by the clock and of the processor."""
    folder = place / "workspace" / "model"
    folder.mkdir(parents=True)
    _put(saves[0], folder)
    watcher = api.init(place / ".casvault").watch(folder)
    watcher.look()
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(looks):
        watcher.look()
    return {
        "wall": (time.perf_counter() - clock) / looks * 1000,
        "processor": (time.process_time() - processor) / looks * 1000,
    }


def measure_share(place: Path, seconds: float) -> float:
    """Return how many percent of one core a watch takes that looks at the model of `measure_idle`, saved long ago."""
    watch = subprocess.Popen(_command(place), stdout=subprocess.DEVNULL)
    try:
        time.sleep(_SLICE * 5)
        before = psutil.Process(watch.pid).cpu_times()
        time.sleep(seconds)
        after = psutil.Process(watch.pid).cpu_times()
    finally:
        watch.terminate()
        watch.wait()
    return float(after.user + after.system - before.user - before.system) / seconds * 100


def _command(place: Path) -> list[str]:
    vault, folder = place / ".casvault", place / "workspace" / "model"
    return [sys.executable, "-m", "casvault", "--vault", str(vault), "watch", str(folder), "--json"]


def _put(save: Path, folder: Path) -> None:
    """Put a save in place: the summary first and in place, data.dat last."""
    names = sorted((path.name for path in save.iterdir()), key=lambda name: (name.endswith("data.dat"), name))
    for name in sorted(names, key=lambda name: not name.endswith("summary.txt")):
        data = (save / name).read_bytes()
        if name.endswith("summary.txt"):
            (folder / name).write_bytes(data)
            continue
        temporary = folder / f"{name}.tmp"
        temporary.write_bytes(data)
        (folder / name).unlink(missing_ok=True)
        os.rename(temporary, folder / name)


def _spans(lines: str) -> list[Span]:
    """Return when snapshots were taken, as the watch told."""
    found = []
    for event in map(json.loads, lines.splitlines()):
        if event["event"] == "snapshot":
            took = timedelta(seconds=float(event["text"].rpartition(" in ")[2].split()[0]))
            end = from_iso(event["time"])
            found.append(((end - took).timestamp() - _MARGIN, end.timestamp() + _MARGIN))
    return found


def main() -> None:
    """Print the figures of this machine as it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("saves", type=Path)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--every", type=float, default=10.0)
    wanted = parser.parse_args()
    saves = real(wanted.saves)
    with tempfile.TemporaryDirectory(prefix="casvault_bench_") as place:
        idle = measure_idle(saves, Path(place))
        share = measure_share(Path(place), wanted.seconds / 4)
    print(f"an idle look: {idle['wall']:.2f} ms, {idle['processor']:.2f} ms of the processor")
    print(f"a watch with nothing to do takes {share:.2f} % of one core", flush=True)
    with tempfile.TemporaryDirectory(prefix="casvault_bench_") as place:
        slower = measure_slowdown(saves, Path(place), wanted.seconds, wanted.every)
    error = statistics.stdev(slower) / len(slower) ** 0.5
    told = f"{statistics.median(slower):+.2f} % (median), {statistics.fmean(slower):+.2f} % (mean, +- {error:.2f})"
    print(f"slower by {told}, from {len(slower)} pairs of seconds")


if __name__ == "__main__":
    main()
