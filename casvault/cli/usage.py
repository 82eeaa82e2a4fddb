"""``casvault usage``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from casvault.cli.options import common, open_vault, print_json, remote_named, say
from casvault.cli.text import iteration, plain, size, table

if TYPE_CHECKING:
    from casvault.usage.usage import SnapshotUsage, Usage

__all__ = ["command"]

_BAR = 24


@click.command("usage")
@click.argument("snapshots", nargs=-1, metavar="[SNAPSHOT]...")
@click.option("--plot", metavar="FILE", help="Draw logical and stored bytes over time, as FILE.png or FILE.svg.")
@common
@click.pass_obj
def command(named: str | None, snapshots: tuple[str, ...], plot: str | None, as_json: bool, quiet: bool) -> None:
    """Show what each snapshot costs and what deleting it would free; with SNAPSHOTs also what deleting these together
    would.
    """
    vault, remote = open_vault(named), remote_named()
    if remote is None:
        found = vault.usage(*snapshots)
    else:
        with vault.remote(remote) as there:
            found = there.usage(*snapshots)
    if plot is not None:
        from casvault.cli.plot import draw

        draw(found.growth, Path(plot))
    if as_json:
        print_json(found.to_json())
        return
    if found.snapshots:
        say(_table(found))
    if snapshots and len(found.snapshots) > 1:
        say(f"Deleting these {len(found.snapshots)} together frees {size(found.set_bytes)}.")
    say(_summary(found))
    if plot is not None:
        say(f"Drawn: {plain(plot)}", quiet=quiet)


def _table(found: Usage) -> str:
    most = max(one.unique_bytes + one.shared_bytes for one in found.snapshots) or 1
    rows: list[tuple[str, ...]] = [("ID", "NAME", "MODEL", "ITERATION", "SIZE", "FREES IF DELETED", "SHARED", "")]
    rows += [_row(one, most) for one in reversed(found.snapshots)]
    return table(rows, right=(4, 5, 6))


def _row(one: SnapshotUsage, most: int) -> tuple[str, ...]:
    return (
        one.head.id[-6:],
        plain(one.head.name or "-"),
        plain(one.head.model_name),
        iteration(one.head.iteration),
        size(one.logical_bytes),
        size(one.unique_bytes),
        size(one.shared_bytes),
        _bar(one.unique_bytes / most, one.shared_bytes / most),
    )


def _bar(unique: float, shared: float) -> str:
    """Draw two shares of a line: what deleting frees, then what others need as well."""
    full, light = ("█", "░") if (sys.stdout.encoding or "").lower().startswith("utf") else ("#", "-")
    first, both = round(unique * _BAR), round((unique + shared) * _BAR)
    return full * first + light * (both - first)


def _summary(found: Usage) -> str:
    vault = found.vault
    lines = []
    if len(found.models) > 1:
        rows = [("MODEL", "SNAPSHOTS", "SIZE", "STORED", "FREES IF ALL ARE DELETED")]
        rows += [
            (plain(m.name), f"{m.snapshots:,}", size(m.logical_bytes), size(m.stored_bytes), size(m.unique_bytes))
            for m in found.models
        ]
        lines += ["", table(rows, right=(1, 2, 3, 4))]
    # More than a whole is no share: then most of it belongs to snapshots that are gone.
    part = vault.stored_bytes / (vault.logical_bytes or 1)
    share = f", {part:.1%} of that" if 0 < part < 1 else ""
    facts = [
        ("All snapshots", size(vault.logical_bytes)),
        ("Stored", f"{size(vault.stored_bytes)}{share}, in {vault.objects:,} objects"),
        ("Saved by dedup", size(vault.saved_by_dedup)),
        ("Saved by coding", size(vault.saved_by_coding)),
        ("Saved by deltas", size(vault.saved_by_deltas)),
        ("Manifests, labels", size(vault.document_bytes)),
    ]
    if vault.reclaimable_bytes:
        facts.append(("To be freed", f"{size(vault.reclaimable_bytes)} of what is stored, by `casvault gc`"))
    if vault.base_bytes:
        facts.append(
            ("Only leaned on", f"{size(vault.base_bytes)}, of snapshots that are gone; gc codes anew where that saves")
        )
    return "\n".join([*lines, "", table(facts)]) if found.snapshots else table(facts)
