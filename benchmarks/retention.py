"""What stays of two weeks of training: snapshots come every 25 minutes, rules let the old ones go, gc frees the space.

Everything is done in this process, through the Python interface; time passes by the files' modification times, which
rules go by. So only sizes and counts are told: they are the same on every machine, however busy.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from textwrap import fill
from typing import Any

from benchmarks.drift import Drift
from benchmarks.figures import megabytes, table
from benchmarks.freeing import measure_freeing, stored
from benchmarks.settings import Settings
from casvault import api
from casvault.manifest.stamp import from_iso
from casvault.models.data_dat import LOSS_WINDOW
from casvault.prune import Rules

__all__ = ["MOST", "RULES", "VARIANTS", "measure_retention", "retention_table", "retention_values"]

MOST = 20
"""What the rules should come down to, in models."""

RULES = Rules(last=6, hourly=24, daily=14, best=3)
"""What is kept, of each model, where nobody says otherwise."""

VARIANTS = {
    "kept": "the rules",
    "thinned": "the rules, thinned after a day",
    "sparse": "the rules, thinned but for the last 6",
}
"""What is measured beside keeping everything, and what tables call it."""

_APART = timedelta(minutes=25)
_ROUND = timedelta(hours=6)
"""How often snapshots are pruned and space is freed."""

_DAY = timedelta(days=1)
_BEGIN = datetime(2026, 1, 5)
"""Local time, as rules count hours and days; no clock is put forward or back in the weeks after it."""

_MODEL = 300_000_000


def measure_retention(settings: Settings) -> dict[str, Any]:
    """Train, prune and collect for two weeks; then thin and delete in vaults of their own; return sizes and counts."""
    place = settings.folder("retention")
    # A quick run has fewer saves further apart, so that some of them are older than a day nevertheless.
    size, saves, apart = (2_000_000, 36, _APART * 3) if settings.quick else (24_000_000, 57 * 14, _APART)
    training = _Training(place, size, apart)
    for number in range(saves):
        if number % 100 == 0:
            settings.tell(f"retention: save {number} of {saves}")
        training.step(last=number == saves - 1)
    return {**training.figures(), **measure_freeing(settings, place)}


class _Training:
    """A model that trains, and a vault with the snapshots of it that the rules keep."""

    def __init__(self, place: Path, size: int, apart: timedelta) -> None:
        self.folder = place / "workspace" / "model"
        self.drift = Drift(self.folder, size)
        self.vault = api.init(place / "vault")
        self.copy = place / "copy"
        self.apart = apart
        self.saves = 0
        self.added = 0
        self.size = 0
        self.peak = 0
        self.curves: dict[str, list[tuple[float, int]]] = {name: [] for name in VARIANTS}
        self.ages: list[float] = []

    @property
    def now(self) -> datetime:
        """When the newest save was made."""
        return _BEGIN.astimezone() + self.apart * (self.saves - 1)

    def step(self, *, last: bool) -> None:
        """Train, save, take a snapshot; prune and collect when it is time for it, and at the ``last`` save."""
        if self.saves:
            self.drift.move()
        # All losses of two weeks would be as large as so small a model.
        del self.drift.model.losses[:-LOSS_WINDOW]
        self.drift.save(self.folder)
        before, self.saves = self.now, self.saves + 1
        for path in self.folder.iterdir():
            os.utime(path, (self.now.timestamp(),) * 2)
        self._snapshot()
        if last or _count(self.now, _ROUND) > _count(before, _ROUND):
            self._free(thinning=last or _count(self.now, _DAY) > _count(before, _DAY))

    def _snapshot(self) -> None:
        result = self.vault.snapshot(self.folder)
        assert self.vault.path is not None
        document = self.vault.path / "snapshots" / f"{result.id}.json"
        self.added += result.stored_bytes_added + document.stat().st_size

    def _free(self, *, thinning: bool) -> None:
        self.peak = max(self.peak, stored(self.vault))
        self.vault.prune(RULES, include_manual=True)
        self.vault.gc()
        self._note("kept", self.vault)
        if thinning:
            heads = self.vault.snapshots()
            old = [head.id for head in heads if self.now - from_iso(str(head.saved_at)) > _DAY]
            self._thinned("thinned", old)
            self._thinned("sparse", [head.id for head in heads[: -RULES.last]])

    def _thinned(self, name: str, ids: list[str]) -> None:
        """Note what the vault would store if these snapshots were thinned, by doing that in a copy."""
        if not ids:
            self._note(name, self.vault)
            return
        assert self.vault.path is not None
        # Objects are never changed in place, so that the copy can share them.
        shutil.copytree(self.vault.path, self.copy, copy_function=_link)
        copy = api.open(self.copy)
        copy.thin(*ids)
        copy.gc()
        self._note(name, copy)
        shutil.rmtree(self.copy)

    def _note(self, name: str, vault: api.Vault) -> None:
        days = (self.now - _BEGIN.astimezone()) / _DAY
        self.curves[name].append((round(days, 3), stored(vault)))

    def figures(self) -> dict[str, Any]:
        """Return everything as it stands in the figures; all sizes in bytes."""
        verified = self.vault.verify(read_data=True)
        if not verified.ok:
            raise SystemExit("the vault is damaged after pruning and collecting")
        heads = self.vault.snapshots()
        return {
            "size": sum(path.stat().st_size for path in self.folder.iterdir()),
            "saves": self.saves,
            "apart": self.apart.total_seconds() / 60,
            "days": round(self.apart * self.saves / _DAY, 2),
            "added": self.added,
            "peak": self.peak,
            "snapshots": len(heads),
            "whole": {
                "kept": len(heads),
                "thinned": sum(self.now - from_iso(str(head.saved_at)) <= _DAY for head in heads),
                "sparse": min(RULES.last, len(heads)),
            },
            "reasons": _reasons(self.vault),
            "curves": self.curves,
        }


def _count(moment: datetime, span: timedelta) -> int:
    return int((moment - _BEGIN.astimezone()) / span)


def _link(source: str, target: str) -> None:
    if Path(source).parent.parent.name == "objects":
        os.link(source, target)
    else:
        shutil.copyfile(source, target)


def _reasons(vault: api.Vault) -> dict[str, int]:
    """Return for each rule how many snapshots it keeps."""
    found: dict[str, int] = {}
    for verdict in vault.plan_prune(RULES, include_manual=True).verdicts:
        for reason in verdict.reasons:
            found[reason] = found.get(reason, 0) + 1
    return found


def retention_table(result: dict[str, Any]) -> str:
    """Return what is stored at the end, in models and scaled to GB, with everything kept and in each variant."""
    rows = [_row("everything is kept", result["saves"], result["saves"], result["added"] / result["size"])]
    for name, title in VARIANTS.items():
        rows.append(_row(title, result["snapshots"], result["whole"][name], _end(result, name)))
    head = ["what is kept", "snapshots", "of them with an optimizer", "stored, in models", "GB of a 300 MB model"]
    return table(head, rows)


def retention_values(result: dict[str, Any]) -> dict[str, str]:
    """Return what the page says in its text."""
    return {
        "retention_size": megabytes(result["size"]),
        "retention_saves": str(result["saves"]),
        "retention_apart": f"{result['apart']:.0f}",
        "retention_days": f"{result['days']:.0f}",
        "retention_snapshots": str(result["snapshots"]),
        "retention_recent": str(result["whole"]["thinned"]),
        "retention_peak": f"{result['peak'] / result['size']:.1f}",
        "retention_bound": fill(" ".join(_bound(result)), 120),
    }


def _bound(result: dict[str, Any]) -> Iterator[str]:
    """Yield sentences about what was wanted, whether it was reached, and what bounds it."""
    kept, recent = _end(result, "kept"), result["whole"]["thinned"]
    share = result["added"] / result["saves"] / result["size"]
    yield f"At most {MOST} models were wanted, and the rules alone come to {kept:.1f}."
    if kept > MOST:
        yield (
            f"So it is not reached. What bounds it is what a snapshot takes: {share:.2f} of a model on the way in, and "
            f"{kept / result['snapshots']:.2f} in the mean of those that are kept, since some lie too far apart to "
            f"lean on others. {MOST} models hold {MOST / share:.0f} snapshots with their optimizers; the rules keep "
            f"{result['snapshots']}."
        )
    thinned = _end(result, "thinned")
    yield f"Thinning what is older than a day comes to {thinned:.1f}" + (
        f": the {recent} of the last day take about {recent * share:.0f} alone." if thinned > MOST else "."
    )
    yield f"Thinning all but the last {RULES.last} comes to {_end(result, 'sparse'):.1f}."


def _end(result: dict[str, Any], name: str) -> float:
    """Return what a variant stores at the end, in models."""
    return float(result["curves"][name][-1][1] / result["size"])


def _row(title: str, snapshots: int, whole: int, multiple: float) -> list[Any]:
    return [title, snapshots, whole, f"{multiple:.1f}", f"{multiple * _MODEL / 1e9:.1f}"]
