"""``casvault snapshot``."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from casvault.cli.options import ask, common, make_progress, open_vault, print_json, say
from casvault.cli.text import age, clock, plain, size
from casvault.errors import PartialResult, UsageError
from casvault.manifest.stamp import from_iso

if TYPE_CHECKING:
    from casvault.api import Vault
    from casvault.capture import Patience
    from casvault.models import Model
    from casvault.snapshot import SnapshotResult

__all__ = ["ask_about", "command"]


@click.command("snapshot")
@click.argument("model")
@click.option("--name", help="What to call the snapshot.")
@click.option("--notes", help="What is worth remembering: parameters, why it was taken.")
@click.option("--model", "model_name", metavar="NAME", help="What to call a model whose trainer is not known.")
@click.option("--iteration", type=click.IntRange(0, 2**63 - 1), help="The iteration, where the trainer is not known.")
@click.option("--loss", "loss", multiple=True, metavar="[NAME=]X", help="A loss, where the trainer is not known.")
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="Anything else to record.")
@click.option("--preview", metavar="FILE", help="The picture to keep with it, a JPEG or a PNG; else the trainer's own.")
@click.option("--all", "take_all", is_flag=True, help="All models of the folder MODEL.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to wait for a whole save: 60 by default, with --next-save as long as it takes.",
)
@click.option("--next-save", is_flag=True, help="Wait for the trainer's next save, then take that.")
@click.option("--allow-incomplete", is_flag=True, help="Take what is there, and mark it, when no whole save comes.")
@click.option("--read-all", is_flag=True, help="Also read files that look unchanged by size, times and inode.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask whether a large folder is one model.")
@common
@click.pass_obj
def command(
    named: str | None,
    model: str,
    name: str | None,
    notes: str | None,
    model_name: str | None,
    iteration: int | None,
    loss: tuple[str, ...],
    meta: tuple[str, ...],
    preview: str | None,
    take_all: bool,
    wait: float | None,
    next_save: bool,
    allow_incomplete: bool,
    read_all: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Take a snapshot of MODEL, also while it trains.

    MODEL is any file of a model, its folder and name (workspace/model/new_SAEHD), a folder with one model, the name
    of a model that has snapshots, or a folder or file of any other trainer.
    """
    from casvault.vault.places import only

    vault = open_vault(named, model, offer=True)
    found = vault.models(model, model_name)
    if not take_all:
        only(model, found, ", or --all")
    ask_about(found, yes)
    results, failures = vault.snapshot_each(
        found,
        name=name,
        notes=notes,
        iteration=iteration,
        loss=_losses(loss),
        meta=_pairs(meta),
        patience=_patience(wait, next_save, allow_incomplete),
        progress=make_progress(quiet or as_json),
        read_all=read_all,
        preview=preview,
    )
    if as_json:
        print_json({"snapshots": [one.to_json() for one in results]} if take_all else results[0].to_json())
    else:
        _tell(results, quiet)
        if not quiet and not next_save:
            _say_how_to_save_now(vault, found)
    if failures:
        sentences = "; ".join(f"{model}: {error}" for model, error in failures.items())
        raise PartialResult(f"{len(failures)} of {len(found)} models have no snapshot now: {sentences}")


def _patience(wait: float | None, next_save: bool, allow_incomplete: bool) -> Patience:
    from casvault.capture import Patience

    usual = Patience()
    seconds = wait if wait is not None else math.inf if next_save else usual.seconds
    return Patience(seconds, allow_incomplete, next_save, still=usual.still if wait is None else math.inf)


def _tell(results: list[SnapshotResult], quiet: bool) -> None:
    for result in results:
        say(_describe(result), quiet=quiet)
        for warning in result.warnings:
            say(f"Warning: {plain(warning)}", err=True)
        if not result.head.healthy:
            say(f"It is kept and marked {plain(result.head.health)}; `latest` passes it over.", err=True)


def _say_how_to_save_now(vault: Vault, found: list[Model]) -> None:
    """Tell people who train right now how to get a newer save than the one that was taken."""
    from casvault.models import kind_named

    for model in found:
        how = kind_named(model.kind).save_now
        if how is not None and vault.trainers(model.folder / model.name):
            say(f"{plain(model.name)} is being trained: {how} to save now; --next-save waits for that.")


def ask_about(found: list[Model], yes: bool) -> None:
    """Ask whether folders that look like more than that are one model each."""
    from casvault.snapshot.scope import doubt

    for model in found:
        why = doubt(model)
        if why is not None:
            ask(f"{plain(why)}. Take a snapshot of all of it as one model?", yes)


def _describe(result: SnapshotResult) -> str:
    head = result.head
    what = f"Snapshot '{plain(head.name)}'" if head.name else "Snapshot"
    parts = []
    if head.saved_at is not None:
        saved = from_iso(head.saved_at)
        parts.append(f"the save of {clock(saved)}")
        if head.iteration is not None:
            parts.append(f"iteration {head.iteration:,}")
        parts.append(age(saved, datetime.now(timezone.utc)))
    if head.incomplete:
        parts.append("incomplete")
    if not head.healthy:
        parts.append(plain(head.health))
    if result.read_bytes == 0:
        stored = "Nothing changed since the snapshot before, so nothing was stored but its record."
    else:
        stored = f"{size(result.stored_bytes_added)} stored for {size(head.size)}, in {result.seconds:.1f} s."
    return f"{what} of {plain(head.model_name)}: {', '.join(parts)}.\n{stored}\n{head.id}"


def _losses(given: tuple[str, ...]) -> dict[str, float] | None:
    values = {}
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise UsageError(f"--loss takes a number, as in 0.21 or src=0.21, not {text!r}.") from None
        if not math.isfinite(value):
            raise UsageError(f"--loss takes a finite number, not {text!r}.")
        values[name or "loss"] = value
    return values or None


def _pairs(given: tuple[str, ...]) -> dict[str, str] | None:
    for text in given:
        if "=" not in text:
            raise UsageError(f"--meta takes KEY=VALUE, not {text!r}.")
    return dict(text.split("=", 1) for text in given) or None
