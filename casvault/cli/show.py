"""``casvault show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from casvault.cli.options import ask, common, open_vault, print_json, remote_named, say
from casvault.cli.text import age, clock, iteration, losses, plain, size, table
from casvault.errors import NotFound, UsageError
from casvault.manifest.stamp import from_iso

if TYPE_CHECKING:
    from casvault.api import RemoteVault, Vault
    from casvault.manifest.manifest import Manifest
    from casvault.vault.head import Head

__all__ = ["command"]

_PICTURES = {"trainer": "made by the trainer", "file": "added by hand", "samples": "training samples"}


@click.command("show")
@click.argument("snapshot")
@click.option("--preview", metavar="FILE", help="Write its picture to FILE and show nothing else.")
@click.option("-y", "--yes", is_flag=True, help="Replace FILE without asking.")
@common
@click.pass_obj
def command(named: str | None, snapshot: str, preview: str | None, yes: bool, as_json: bool, quiet: bool) -> None:
    """Show one snapshot: its state, its trainer's options, its files, and what they take in the vault."""
    vault, remote = open_vault(named), remote_named()
    if remote is None:
        _show(vault, vault.find(snapshot), preview, yes, as_json, quiet)
        return
    with vault.remote(remote) as there:
        _show(there, there.find(snapshot), preview, yes, as_json, quiet)


def _show(vault: Vault | RemoteVault, head: Head, preview: str | None, yes: bool, as_json: bool, quiet: bool) -> None:
    manifest = vault.show(head.id)
    if preview is not None:
        _write_picture(vault, head, Path(preview), yes)
        written = {"snapshot": head.id, "written": str(Path(preview).absolute()), "preview": head.document["preview"]}
        if as_json:
            print_json(written)
        else:
            say(f"Wrote the picture of '{plain(head.title)}' ({_picture(head)}) to {plain(preview)}.", quiet=quiet)
        return
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
    if head.document.get("preview"):
        rows.append(("Picture", _picture(head)))
    if head.incomplete:
        rows.append(("Incomplete", "it holds something that was not one whole save"))
    if not head.healthy:
        rows.append(("Health", f"{head.health}: {' '.join(head.findings)}"))
    if head.label.thinned:
        rows.append(("Thinned", ", ".join(head.label.thinned)))
    if head.label.pinned:
        rows.append(("Pinned", "it is not deleted until `casvault edit --unpin`"))
    if head.label.tags:
        rows.append(("Tags", ", ".join(head.label.tags)))
    if head.label.notes:
        rows.append(("Notes", head.label.notes.replace("\n", "\n" + " " * 11)))
    for key in ("options", "meta"):
        values = head.document[key]
        if values:
            rows.append((key.capitalize(), ", ".join(f"{name} {value}" for name, value in values.items())))
    return table([(name, plain(text)) for name, text in rows])


def _picture(head: Head) -> str:
    picture: dict[str, Any] = head.document["preview"]
    kind = str(picture["media_type"]).rpartition("/")[2].upper()
    return f"{_PICTURES.get(picture['kind'], picture['kind'])}, {kind}, {size(picture['size'])}"


def _write_picture(vault: Vault | RemoteVault, head: Head, path: Path, yes: bool) -> None:
    from casvault.files.durable import write_durably

    data = vault.preview(head.id)
    if data is None:
        raise NotFound(f"'{head.title}' ({head.id}) has no picture.")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; say a file in it.")
    if path.exists() or path.is_symlink():
        ask(f"{plain(str(path))} is there already. Replace it?", yes)
    write_durably(path, data)


def _files(manifest: Manifest, head: Head) -> str:
    rows = [("FILE", "SIZE", "TENSORS", "CHUNKS")]
    for file in manifest.files:
        name = plain(file.path) + (" (thinned)" if file.path in head.label.thinned else "")
        rows.append((name, size(file.size), str(len(file.regions)), str(len(file.chunks))))
    return "\n" + table(rows, right=(1, 2, 3))
