"""The panel with a long history: ``python -m benchmarks.panel``.

Says what the first page of 1,000 snapshots takes on the server beside that of an empty vault, and, where there is a
browser, how evenly it draws while it is scrolled through and filtered. The snapshots are manifests without objects.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from casvault import api
from casvault.manifest.label import Label
from tests.support.browser import Browsing
from tests.support.panel import Opened, opened
from tests.support.vaults import make_manifest, stamp

_SNAPSHOTS = 1000
_ROUNDS = 40

_WATCH = """() => {
  window.gaps = []; window.tasks = [];
  new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: "longtask" });
  let last = performance.now();
  const frame = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""


def main() -> None:
    """Make the vaults, measure, and print."""
    with tempfile.TemporaryDirectory() as made:
        full, empty = (Path(made) / name / ".casvault" for name in ("full", "empty"))
        vault = api.init(full)
        api.init(empty)
        for number in range(_SNAPSHOTS):
            id = stamp(number * 60)
            vault.commit(make_manifest(id, iteration=500 * number), Label(id, name=f"save {number}", notes="seen"))
        with opened(full) as long, opened(empty) as short:
            # In turns, so that what else the machine does hits both alike.
            pairs = [(_seconds(long), _seconds(short)) for _ in range(_ROUNDS)]
        one, other = (median(column) for column in zip(*pairs, strict=True))
        print(f"first page of {_SNAPSHOTS:,}: {one * 1e3:.1f} ms, {one / other:.1f} times an empty vault's")
        _look(full)


def _seconds(page: Opened) -> float:
    begun = time.perf_counter()
    page.client.get("/").raise_for_status()
    return time.perf_counter() - begun


def _look(path: Path) -> None:
    with Browsing.begun() as browsing, browsing.visit(path) as visit:
        page = visit.page
        page.evaluate(_WATCH)
        while page.locator(".card").count() < _SNAPSHOTS:
            page.mouse.wheel(0, 1_500)
            page.wait_for_timeout(16)
        _tell(page, f"scrolling through {_SNAPSHOTS:,} cards")
        page.evaluate("() => { window.gaps = []; window.tasks = []; }")
        begun = time.perf_counter()
        page.get_by_label("Search snapshots").press_sequentially("save 12", delay=60)
        visit.card("save 999").wait_for(state="detached")
        seconds = time.perf_counter() - begun
        _tell(page, f"filtering them, done {seconds * 1e3:.0f} ms after the first of 7 keys, 60 ms apart")


def _tell(page: Any, what: str) -> None:
    gaps, tasks = page.evaluate("() => [window.gaps, window.tasks]")
    gaps = sorted(gaps)
    late = gaps[int(len(gaps) * 0.99) - 1]
    print(
        f"{what}: {len(gaps)} frames, median {median(gaps):.0f} ms, 99 % within {late:.0f}, the longest {gaps[-1]:.0f};"
    )
    print(f"  {len(tasks)} tasks of more than 50 ms, the longest {max(tasks, default=0):.0f} ms")


if __name__ == "__main__":
    main()
