"""How long the files of a model must hold still to be captured: from the first open to the last look at a path.

Not a part of `python -m benchmarks`, which measures whole processes; run `python -m benchmarks.window`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from casvault.capture import Patience, capture
from casvault.models import DeepFaceLab

__all__ = ["measure_window"]

_ROLES = ("encoder", "inter", "decoder_src", "decoder_dst", "src_dst_opt", "GAN", "GAN_opt", "code_discriminator")
_SIZE = 8 << 20
_PAUSE = 0.01
"""Seconds between two rounds, so that whatever else the machine does comes in between."""
_BUSY = "data = bytes(1 << 24)\nwhile True:\n    open('busy', 'wb').write(data)"


def measure_window(place: Path, rounds: int = 500) -> dict[str, float]:
    """Return median, 99th percentile and maximum, in milliseconds, for a model of 10 files below ``place``."""
    for role in (f"{name}.npy" for name in _ROLES):
        (place / f"new_SAEHD_{role}").write_bytes(b"\x80" + bytes(_SIZE) + b".")
    (place / "new_SAEHD_summary.txt").write_text("== Current iteration: 5 ==\n")
    (place / "new_SAEHD_data.dat").write_bytes(b"\x80\x04}\x94(\x8c\x04iter\x94K\x05\x8c\x07options\x94}\x94u.")
    (model,) = DeepFaceLab().find(place)
    times = []
    for _ in range(rounds):
        with capture(lambda: model, Patience(0.0)) as taken:
            assert len(taken.files) == len(_ROLES) + 2
            times.append(taken.window * 1000)
        time.sleep(_PAUSE)
    return {"median": statistics.median(times), "p99": statistics.quantiles(times, n=100)[-1], "max": max(times)}


def main() -> None:
    """Print the figures of this machine as it is, and with two busy processes for each core."""
    for busy in (0, 2 * (os.cpu_count() or 1)):
        with tempfile.TemporaryDirectory(prefix="casvault_bench_") as folder:
            places = [Path(folder) / str(number) for number in range(busy + 1)]
            for path in places:
                path.mkdir()
            others = [subprocess.Popen([sys.executable, "-c", _BUSY], cwd=path) for path in places[1:]]
            try:
                figures = measure_window(places[0])
            finally:
                for process in others:
                    process.kill()
                    process.wait()
        print(f"{busy} busy processes:", ", ".join(f"{name} {value:.2f} ms" for name, value in figures.items()))


if __name__ == "__main__":
    main()
