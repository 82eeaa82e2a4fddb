"""``casvault status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from casvault.cli.options import common, open_vault, print_json, say
from casvault.cli.text import age, clock, iteration, losses, plain, size
from casvault.errors import NotFound
from casvault.manifest.stamp import from_iso

if TYPE_CHECKING:
    from casvault.snapshot.status import Status
    from casvault.vault.head import Head

__all__ = ["command"]


@click.command("status")
@click.argument("model", required=False)
@common
@click.pass_obj
def command(named: str | None, model: str | None, as_json: bool, quiet: bool) -> None:
    """Show how MODEL stands to its snapshots; without MODEL, all models that have some."""
    from casvault.snapshot.status import status

    vault = open_vault(named, model)
    models = vault.models(model) if model is not None else vault.live_models()
    if not models and not as_json:
        heads = vault.snapshots()
        if not heads:
            raise NotFound("there are no snapshots yet; `casvault snapshot MODEL` takes one.")
        head = heads[-1]
        raise NotFound(
            f"{head.model_name} is gone from {vault.home / head.source}; "
            f"`casvault restore {head.id[-6:]}` brings its newest snapshot back."
        )
    found = [status(vault, one) for one in models]
    if as_json:
        print_json({"vault": str(vault.path), "models": [one.to_json() for one in found]})
        return
    say(f"Vault {vault.path}")
    for one in found:
        say(_render(one))


def _render(one: Status) -> str:
    saved = ""
    if one.saved_at is not None:
        moment = from_iso(one.saved_at)
        saved = f", saved {age(moment)} ({clock(moment)})"
    lines = [
        f"{plain(one.model.name)}: {iteration(one.iteration)}, {losses(one.loss)}, {size(one.size)}{saved}",
    ]
    if one.trainers == ():
        lines.append("no trainer of it runs here")
    lines += [f"being trained by {plain(str(trainer))}" for trainer in one.trainers or ()]
    if one.incomplete:
        lines.append(f"not one whole save right now: {plain(one.incomplete)}")
        if not one.trainers:
            lines.append("if no trainer is at work on it, `casvault restore` brings a snapshot back")
    lines += [f"problem: {plain(problem)}" for problem in one.problems]
    lines += [f"suspect: {plain(doubt)}" for doubt in one.doubts]
    if one.equals is not None:
        lines.append(f"equals snapshot '{plain(one.equals.title)}' ({one.equals.id}){_marked(one.equals)}")
    elif one.newest is None:
        lines.append("no snapshot yet")
    elif one.ahead is not None and one.ahead > 0:
        since = f"'{plain(one.newest.title)}'{_marked(one.newest)}"
        lines.append(f"{one.ahead:,} iterations not snapshotted since {since}")
    else:
        lines.append(f"differs from its newest snapshot '{plain(one.newest.title)}'{_marked(one.newest)}")
    return "\n  ".join(lines)


def _marked(head: Head) -> str:
    """Return what is to be said of a snapshot that is not in good health."""
    return "" if head.healthy else f", which is {plain(head.health)}: {plain(' '.join(head.findings))}"
