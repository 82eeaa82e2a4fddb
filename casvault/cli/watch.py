"""``casvault watch``."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from casvault.cli.options import common, open_vault, print_json, say
from casvault.cli.quantities import SIZE
from casvault.cli.snapshot import ask_about
from casvault.cli.text import clock, plain
from casvault.errors import NotFound, UsageError
from casvault.manifest.stamp import from_iso

if TYPE_CHECKING:
    from casvault.api import Vault
    from casvault.watch import Event

__all__ = ["command"]

_COUNT = click.IntRange(min=0)


@click.command("watch")
@click.argument("model")
@click.option("--model", "model_name", metavar="NAME", help="What to call a model whose trainer is not known.")
@click.option("--every", type=click.IntRange(min=1), default=1, metavar="N", help="Only every N-th save.")
@click.option("--iterations", type=_COUNT, default=0, metavar="N", help="Only N iterations after the last one.")
@click.option("--minutes", type=click.FloatRange(min=0), default=0, metavar="N", help="Only N minutes after it.")
@click.option("--exec", "hook", metavar="CMD", help="Run CMD on each snapshot, push, skip, unhealthy model, error.")
@click.option("--push", metavar="NAME", help="Send each snapshot to this remote as it comes.")
@click.option("--limit-rate", type=SIZE, metavar="SIZE", help="With --push: no more than this per second, as in 2MB.")
@click.option("--poll", type=click.FloatRange(min=0.05), default=5.0, metavar="SECONDS", help="Between two looks: 5.")
@click.option("--keep-last", type=_COUNT, default=6, metavar="N", help="Keep the newest N: 6.")
@click.option("--keep-hourly", type=_COUNT, default=24, metavar="N", help="Keep one of each of the last N hours: 24.")
@click.option("--keep-daily", type=_COUNT, default=14, metavar="N", help="Keep one of each of the last N days: 14.")
@click.option("--keep-best", type=_COUNT, default=3, metavar="N", help="Keep the N with the lowest mean loss: 3.")
@click.option("--keep-all", is_flag=True, help="Delete none, also where the disk gets full.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask whether a large folder is one model.")
@common
@click.pass_obj
def command(
    named: str | None,
    model: str,
    model_name: str | None,
    every: int,
    iterations: int,
    minutes: float,
    hook: str | None,
    push: str | None,
    limit_rate: int | None,
    poll: float,
    keep_last: int,
    keep_hourly: int,
    keep_daily: int,
    keep_best: int,
    keep_all: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Take a snapshot after each save of MODEL, until it is stopped, and keep those by rule.

    MODEL is what it is for `snapshot`, or a folder whose folders are the saves of one model (checkpoint-500/). It need
    not be there yet. Only snapshots that a watch took are deleted again. Ctrl-C or SIGTERM ends it.
    """
    from casvault.cli.memory import keep_memory
    from casvault.prune import Rules
    from casvault.watch import Rhythm
    from casvault.watch.priority import lower_priority

    if limit_rate is not None and push is None:
        raise UsageError("--limit-rate goes with --push.")
    keep_memory()
    vault = open_vault(named, model, offer=True)
    rules = None if keep_all else Rules(last=keep_last, hourly=keep_hourly, daily=keep_daily, best=keep_best)
    watcher = vault.watch(
        model,
        model_name=model_name,
        rhythm=Rhythm(every, iterations, minutes),
        retention=rules if rules is not None and rules.keeps else None,
        poll=poll,
        command=hook,
        tell=lambda event: _tell(event, as_json, quiet),
        push=push,
        limit_rate=limit_rate,
    )
    _ask(vault, model, model_name, yes)
    lower_priority()
    before = {number: signal.signal(number, lambda *_: watcher.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        watcher.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask(vault: Vault, model: str, name: str | None, yes: bool) -> None:
    from casvault.watch.steps import steps_in

    if not yes and not steps_in(Path(model)):
        with suppress(NotFound):
            ask_about(vault.models(model, name), yes)


def _tell(event: Event, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json(event.to_json())
        return
    about = f" ({event.snapshot})" if event.snapshot and event.kind == "snapshot" else ""
    serious = event.kind in ("unhealthy", "skip", "error")
    say(
        f"{clock(from_iso(event.time))} {event.kind}: {plain(event.model)}: {plain(event.text)}{about}",
        quiet=quiet and not serious,
    )
