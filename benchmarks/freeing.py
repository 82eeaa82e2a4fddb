"""What thinning and deleting give back: what a vault stores after gc, to what it stored or would ever have stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import megabytes, table
from benchmarks.saves import Live, generated, real
from benchmarks.settings import Settings
from casvault import api

__all__ = ["freeing_table", "measure_freeing", "stored"]

_THINNED, _WHOLE = 10, 3
"""Snapshots of a vault that is thinned, and the newest of them that are not."""

_DELETED = (0, 16)
"""The places of the snapshots that are deleted: those that stand alone, and that all others lean on."""


def measure_freeing(settings: Settings, place: Path) -> dict[str, Any]:
    """Thin generated saves, and real ones if there are any; delete the keys of a line; return sizes in bytes."""
    size, count = (2_000_000, 18) if settings.quick else (40_000_000, 30)
    saves = generated(place / "saves", size, count)
    settings.tell("retention: thinning")
    found: dict[str, Any] = {"thinning": _thinned(place / "thinned", saves[:_THINNED], _WHOLE)}
    if settings.trajectory is not None:
        found["thinning_real"] = _thinned(place / "thinned_real", real(settings.trajectory), 1)
    settings.tell("retention: deleting what others lean on")
    return {**found, "deleting": _deleted(place / "deleted", saves)}


def stored(vault: api.Vault) -> int:
    """Return the bytes of what belongs to snapshots: objects, manifests and labels."""
    found = vault.usage().vault
    return found.stored_bytes + found.document_bytes


def _thinned(place: Path, saves: Sequence[Path], whole: int) -> dict[str, int]:
    """Thin all but the newest ``whole`` snapshots; return what is stored before and after gc."""
    vault, ids = _filled(place, saves)
    before = stored(vault)
    vault.thin(*ids[:-whole])
    vault.gc()
    return {"snapshots": len(ids), "whole": whole, "size": _size(saves), "before": before, "after": _checked(vault)}


def _deleted(place: Path, saves: Sequence[Path]) -> dict[str, Any]:
    """Delete the keys; return what is stored before and after gc, and in a vault that never had those snapshots."""
    vault, ids = _filled(place, saves)
    before = stored(vault)
    vault.delete(*(ids[number] for number in _DELETED))
    vault.gc(recode=False)
    swept = stored(vault)
    vault.gc()
    fresh, _ = _filled(place / "fresh", [save for number, save in enumerate(saves) if number not in _DELETED])
    return {
        "snapshots": len(ids),
        "deleted": len(_DELETED),
        "size": _size(saves),
        "before": before,
        "swept": swept,
        "after": _checked(vault),
        "fresh": stored(fresh),
    }


def _filled(place: Path, saves: Sequence[Path]) -> tuple[api.Vault, list[str]]:
    """Return a new vault with a snapshot of each save, and their ids."""
    live = Live(place)
    vault = api.init(place / "vault")
    ids = []
    for save in saves:
        live.put(save)
        ids.append(vault.snapshot(live.folder).id)
    return vault, ids


def _checked(vault: api.Vault) -> int:
    """Return what is stored, once every byte of it was read and found to be whole."""
    if not vault.verify(read_data=True).ok:
        raise SystemExit(f"the vault {vault.path} is damaged after gc")
    return stored(vault)


def _size(saves: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in saves[-1].iterdir())


def freeing_table(result: dict[str, Any]) -> str:
    """Return what was given up, and what is stored afterwards, in models and to what it is compared with."""
    rows = []
    for name, what in (("thinning", "generated"), ("thinning_real", "real")):
        if name in result:
            one = result[name]
            left = f"last {one['whole']}" if one["whole"] > 1 else "last"
            title = f"all but the {left} of {one['snapshots']} {what} saves thinned, to before"
            rows.append(_row(title, one, "before", "after"))
    one = result["deleting"]
    title = f"{one['deleted']} of {one['snapshots']} generated saves deleted"
    rows.append(_row(f"{title}, to before", one, "before", "after"))
    rows.append(_row(f"{title}, to a vault that never had them", one, "fresh", "after"))
    rows.append(_row("the same with `gc --no-recode`", one, "fresh", "swept"))
    return table(["what was given up", "model, MB", "compared with, in models", "after gc, in models", "ratio"], rows)


def _row(title: str, one: dict[str, Any], rival: str, after: str) -> list[Any]:
    size = one["size"]
    return [
        title,
        megabytes(size),
        f"{one[rival] / size:.2f}",
        f"{one[after] / size:.2f}",
        f"{one[after] / one[rival]:.3f}",
    ]
