"""``casvault import``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from casvault.cli.options import ask, common, make_progress, open_vault, print_json, say
from casvault.cli.text import age, iteration, losses, plain, size, table
from casvault.errors import PartialResult
from casvault.manifest.stamp import from_iso

if TYPE_CHECKING:
    from casvault.importing import Candidate, ImportPlan, ImportResult

__all__ = ["command"]


@click.command("import")
@click.argument("folder", metavar="DIR")
@click.option("--source", metavar="FOLDER", help="Where the model is or was; else that is found out.")
@click.option("--delete-originals", is_flag=True, help="Remove each folder once its snapshot was verified against it.")
@click.option("--dry-run", is_flag=True, help="Only say what would be imported.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before folders are removed.")
@common
@click.pass_obj
def command(
    named: str | None,
    folder: str,
    source: str | None,
    delete_originals: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make snapshots of copies of models in DIR: a model's folder, its autobackups, or a folder of copies.

    They belong to the model that they are copies of, with their own times, iterations, losses and pictures. A copy
    that was imported before is skipped.
    """
    from casvault.importing import plan_import, run_import

    vault = open_vault(named, folder, offer=not dry_run)
    progress = make_progress(quiet or as_json)
    plan = plan_import(vault, Path(folder), Path(source) if source else None, progress)
    if dry_run:
        print_json(plan.to_json()) if as_json else say(_describe_plan(plan))
        return
    if delete_originals and not yes:
        say(_describe_plan(plan), err=True)
        ask("Remove each of these folders once its snapshot was verified against it?", yes)
    result = run_import(vault, plan, delete_originals=delete_originals, progress=progress)
    if as_json:
        print_json(result.to_json())
    else:
        say(_describe(plan, result), quiet=quiet)
        _warn(result)
    failed = {**result.failed, **result.kept}
    if failed:
        place, why = next(iter(failed.items()))
        counts = f"not imported: {len(result.failed)}" + (f"; not removed: {len(result.kept)}" if result.kept else "")
        raise PartialResult(f"{counts}. {place}: {why}")


def _describe_plan(plan: ImportPlan) -> str:
    rows: list[tuple[str, ...]] = [("FOLDER", "MODEL", "ITERATION", "LOSS", "SAVED", "SIZE", "")]
    for one in plan.candidates:
        fate = {"import": "", "there": "imported before", "broken": f"broken: {one.problem}"}[one.fate]
        rows.append((*_row(one), size(one.size), plain(fate)))
    lines = [table(rows, right=(5,)), *_homes(plan.candidates)] if rows[1:] else ["There is no copy of a model."]
    counts = [sum(one.fate == fate for one in plan.candidates) for fate in ("import", "there", "broken")]
    lines.append(f"To import: {counts[0]}; imported before: {counts[1]}; broken: {counts[2] + len(plan.unreadable)}.")
    lines += [f"Cannot be read: {plain(str(place))}: {plain(why)}" for place, why in plan.unreadable.items()]
    return "\n".join([*lines, *_empty(plan.empty)])


def _homes(candidates: Sequence[Candidate]) -> list[str]:
    homes = dict.fromkeys((one.copy.name, str(one.copy.home)) for one in candidates)
    return [f"{plain(name)} belongs to {plain(home)}." for name, home in homes]


def _row(one: Candidate) -> tuple[str, ...]:
    saved = age(from_iso(one.saved_at)) if one.saved_at is not None else "-"
    state = one.state
    return plain(one.shown), plain(one.copy.name), iteration(state.iteration), losses(state.loss), saved


def _describe(plan: ImportPlan, result: ImportResult) -> str:
    rows: list[tuple[str, ...]] = [("FOLDER", "MODEL", "ITERATION", "LOSS", "SAVED", "STORED", "ID")]
    for one, taken in result.imported:
        rows.append((*_row(one), size(taken.stored_bytes_added), taken.id[-6:]))
    lines = [table(rows, right=(5,))] if result.imported else ["Nothing was imported."]
    lines += _homes([one for one, _ in result.imported])
    for one, head in result.there:
        lines.append(f"Skipped: {plain(one.shown)} was imported before, as '{plain(head.title)}' ({head.id}).")
    lines += _empty(result.empty)
    lines += [f"Not imported: {_short(plan, place)}: {plain(why)}" for place, why in result.failed.items()]
    lines += [f"Removed: {_short(plan, place)}" for place in result.removed]
    lines += [f"Left alone: {_short(plan, place)}: {plain(why)}" for place, why in result.kept.items()]
    if result.imported:
        whole, stored = result.logical_bytes, result.stored_bytes_added
        lines.append(
            f"{len(result.imported)} imported in {result.seconds:.1f} s: {size(whole)} of copies take "
            f"{size(stored)} in the vault, {size(max(0, whole - stored))} less."
        )
    return "\n".join(lines)


def _empty(places: tuple[Path, ...]) -> list[str]:
    return [f"Empty: {plain(', '.join(place.name for place in places))}"] if places else []


def _short(plan: ImportPlan, place: Path) -> str:
    return plain(place.relative_to(plan.folder).as_posix() if place != plan.folder else place.name)


def _warn(result: ImportResult) -> None:
    for one, taken in result.imported:
        for warning in (*taken.warnings, *one.notes.problems):
            say(f"Warning: {plain(one.shown)}: {plain(warning)}", err=True)
