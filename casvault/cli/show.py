"""``casvault show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from casvault.cli.options import common, open_vault, print_json, say
from casvault.cli.text import age, clock, iteration, losses, plain, size, table
from casvault.manifest.stamp import from_iso

if TYPE_CHECKING:
    from casvault.manifest.manifest import Manifest
    from casvault.vault.head import Head

__all__ = ["command"]


@click.command("show")
@click.argument("snapshot")
@common
@click.pass_obj
def command(named: str | None, snapshot: str, as_json: bool, quiet: bool) -> None:
    """Show one snapshot: its state, its trainer's options, its files, and what they take in the vault."""
    vault = open_vault(named)
    head = vault.find(snapshot)
    manifest = vault.manifest(head.id)
    stored = vault.stored_size(manifest)
    if as_json:
        files = [file.to_json() for file in manifest.files]
        print_json({**head.to_json(), "stored_bytes": stored, "files": files})
        return
    say(_facts(head, stored))
    say(_files(manifest, head))


def _facts(head: Head, stored: int) -> str:
    saved = from_iso(head.saved_at) if head.saved_at is not None else None
    created = from_iso(head.created)
    rows = [
        ("Snapshot", head.name or "-"),
        ("Id", head.id),
        ("Model", f"{head.model_name} ({head.model_type or 'generic'}) in {head.source}"),
        ("Iteration", iteration(head.iteration)),
        ("Loss", f"{losses(head.loss)} (mean of up to 100), last {losses(head.document['loss_last'])}"),
        ("Saved", f"{clock(saved)}, {age(saved)}" if saved is not None else "-"),
        ("Taken", f"{clock(created)}, {age(created)}, {head.kind}"),
        ("Size", f"{size(head.size)}; its objects take {size(stored)}, shared ones included"),
    ]
    if head.incomplete:
        rows.append(("Incomplete", "it holds something that was not one whole save"))
    if not head.healthy:
        rows.append(("Health", f"{head.health}: {' '.join(head.findings)}"))
    if head.label.thinned:
        rows.append(("Thinned", ", ".join(head.label.thinned)))
    if head.label.notes:
        rows.append(("Notes", head.label.notes.replace("\n", "\n" + " " * 11)))
    for key in ("options", "meta"):
        values = head.document[key]
        if values:
            rows.append((key.capitalize(), ", ".join(f"{name} {value}" for name, value in values.items())))
    return table([(name, plain(text)) for name, text in rows])


def _files(manifest: Manifest, head: Head) -> str:
    rows = [("FILE", "SIZE", "TENSORS", "CHUNKS")]
    for file in manifest.files:
        name = plain(file.path) + (" (thinned)" if file.path in head.label.thinned else "")
        rows.append((name, size(file.size), str(len(file.regions)), str(len(file.chunks))))
    return "\n" + table(rows, right=(1, 2, 3))
