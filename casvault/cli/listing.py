"""``casvault list``."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import groupby
from typing import TYPE_CHECKING

import click

from casvault.cli.options import common, print_json, remote_named, say, vault_path
from casvault.cli.options import open_vault as finish
from casvault.cli.text import age, iteration, losses, plain, size, table
from casvault.errors import PartialResult
from casvault.manifest.stamp import from_iso

if TYPE_CHECKING:
    from casvault.vault.head import Head

__all__ = ["command"]

_NOTES = 60


@click.command("list")
@click.argument("model", required=False)
@click.option("--deleted", is_flag=True, help="Those that were deleted and can be brought back.")
@common
@click.pass_obj
def command(named: str | None, model: str | None, deleted: bool, as_json: bool, quiet: bool) -> None:
    """List the snapshots, newest first, or those of MODEL (its name, or a path to it)."""
    remote = remote_named()
    heads, damaged = _here(named, model, deleted) if remote is None else _elsewhere(named, remote, model, deleted)
    if as_json:
        print_json({"snapshots": [head.to_json() for head in heads]})
    elif not heads:
        say(_none(model, deleted, remote), quiet=quiet)
    else:
        say(_render(heads))
    if damaged:
        raise PartialResult(f"{len(damaged)} could not be read: {damaged[0]} `casvault verify` tells more.")


def _here(named: str | None, model: str | None, deleted: bool) -> tuple[list[Head], list[str]]:
    from casvault.vault.references import heads_of_model
    from casvault.vault.vault import Vault, open_vault

    path = vault_path(named, model)
    vault = Vault(*open_vault(path), path)
    if vault.interrupted:
        finish(str(path))
    heads = [head for head in vault.heads(deleted=deleted) if head.label.deleted == deleted]
    if model is not None:
        heads = heads_of_model(heads, model, vault.home)
    return heads, [str(error) for error in vault.index.damaged.values()]


def _elsewhere(named: str | None, remote: str, model: str | None, deleted: bool) -> tuple[list[Head], list[str]]:
    with finish(named).remote(remote) as there:
        damaged = [f"snapshot {id} is damaged in {remote}." for id in there.damaged]
        return there.snapshots(model, deleted=deleted), damaged


def _none(model: str | None, deleted: bool, remote: str | None) -> str:
    if remote is not None:
        of = f" of {plain(model)}" if model is not None else ""
        return f"There are no {'deleted ' if deleted else ''}snapshots{of} in {plain(remote)}."
    if model is not None:
        return f"There are no {'deleted ' if deleted else ''}snapshots of {plain(model)}; casvault list shows all."
    if deleted:
        return "There is no deleted snapshot that could be brought back."
    return "There are no snapshots yet: casvault snapshot MODEL takes one."


def _render(heads: list[Head]) -> str:
    now = datetime.now(timezone.utc)
    key = lambda head: (head.model_name, head.place)  # noqa: E731
    blocks = []
    for (name, source), group in groupby(sorted(heads, key=key), key=key):
        mine = sorted(group, key=lambda head: head.id, reverse=True)
        kind = f"{mine[0].model_type}, " if mine[0].model_type else ""
        rows: list[tuple[str, ...]] = [("ID", "NAME", "ITERATION", "LOSS", "SAVED", "SIZE", "NOTES")]
        rows += [_row(head, now) for head in mine]
        blocks.append(f"{plain(name)} ({plain(kind)}{plain(source)})\n" + table(rows, right=(5,), indent="  "))
    return "\n\n".join(blocks)


def _row(head: Head, now: datetime) -> tuple[str, ...]:
    notes = (head.label.notes or "").split("\n")[0]
    if len(notes) > _NOTES:
        notes = notes[: _NOTES - 1] + "…"
    marks = [head.kind] if head.kind != "manual" else []
    marks += [mark for mark, there in _marks(head) if there]
    marks += [f"#{tag}" for tag in head.label.tags]
    remark = f"[{', '.join(marks)}] " if marks else ""
    when = from_iso(head.saved_at or head.created)
    return (
        head.id[-6:],
        plain(head.name or "-"),
        iteration(head.iteration),
        losses(head.loss),
        age(when, now),
        size(head.size),
        plain(remark + notes),
    )


def _marks(head: Head) -> list[tuple[str, bool]]:
    return [
        ("incomplete", head.incomplete),
        ("unhealthy", not head.healthy),
        ("thinned", bool(head.label.thinned)),
        ("pinned", head.label.pinned),
    ]
