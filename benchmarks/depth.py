"""What longer chains of deltas and larger chunks buy and cost: the measurement behind the two defaults.

For each pair a vault is made, 30 snapshots of a moving model go in, and every one of them is restored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import median, megabytes, spread, table
from benchmarks.saves import Live, generated
from benchmarks.settings import Settings
from benchmarks.tools import Casvault
from casvault.chunking.parameters import ChunkingParameters
from casvault.vault.config import CONFIG, VaultConfig

__all__ = ["depth_table", "measure_depth"]

_DEPTHS = (1, 2, 3, 4)
_CHUNKS = (1 << 20, 4 << 20)
"""Beside the default, and only with the default of the depth."""


def measure_depth(settings: Settings) -> dict[str, Any]:
    """Return for each pair of depth and chunk size what was stored, and how long snapshots and restores took."""
    place = settings.folder("depth")
    size, count = (12_000_000, 4) if settings.quick else (40_000_000, 30)
    saves = generated(place / "saves", size, count)
    live = Live(place)
    runs = []
    for depth, chunk in _pairs(settings.quick):
        settings.tell(f"depth: {depth}, chunks of {chunk >> 20} MiB")
        runs.append({"depth": depth, "chunk": chunk, **_run(place, live, saves, depth, chunk)})
    return {"size": live.size, "count": count, "runs": runs}


def _pairs(quick: bool) -> Iterator[tuple[int, int]]:
    for depth in _DEPTHS[:2] if quick else _DEPTHS:
        yield depth, ChunkingParameters().max_chunk
    if not quick:
        for chunk in _CHUNKS:
            yield VaultConfig().max_depth, chunk


def _run(place: Path, live: Live, saves: list[Path], depth: int, chunk: int) -> dict[str, Any]:
    tool = Casvault(place, live.folder)
    tool.init()
    chunking = ChunkingParameters(max_chunk=chunk)
    (tool.store / CONFIG).write_bytes(VaultConfig(max_depth=depth, chunking=chunking).to_bytes())
    stored, snapshots, restores = [], [], []
    for number, save in enumerate(saves):
        live.put(save)
        snapshots.append(tool.snapshot(f"save-{number:02}").wall)
        stored.append(tool.stored())
    for number in range(len(saves)):
        live.put(saves[number - 1])
        restores.append(tool.restore(f"save-{number:02}").wall)
        live.check(saves[number], tool.name)
    objects = sum(1 for path in (tool.store / "objects").rglob("*") if path.is_file())
    tool.remove()
    return {"stored": stored, "snapshot": snapshots, "restore": restores, "objects": objects}


def depth_table(result: dict[str, Any]) -> str:
    """Return one row for each pair; the snapshots that are timed are those after the first."""
    rows = []
    for run in result["runs"]:
        stored, restores = run["stored"], run["restore"]
        further = (stored[-1] - stored[0]) / (len(stored) - 1) / result["size"]
        rows.append(
            [
                f"{run['depth']}, {run['chunk'] >> 20} MiB",
                megabytes(stored[-1]),
                f"{further:.4f}",
                spread(run["snapshot"][1:]),
                f"{restores[-1]:.2f}",
                f"{median(restores):.2f}",
                f"{max(restores):.2f}",
                run["objects"],
            ]
        )
    count = result["count"]
    head = [
        "depth, chunks",
        f"all {count}, MB",
        "further, of its bytes",
        "snapshot, s",
        "restore newest, s",
        "median, s",
        "worst, s",
        "objects",
    ]
    return table(head, rows)
