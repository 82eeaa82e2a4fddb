"""The parent of a live model: the snapshot that it goes on from."""

from __future__ import annotations

from collections.abc import Sequence

from casvault.manifest.manifest import Manifest
from casvault.models import Model
from casvault.vault.head import Head
from casvault.vault.heads import SNAPSHOTS
from casvault.vault.live import LiveRecord
from casvault.vault.vault import Vault

__all__ = ["chunks_on_disk", "heads_from", "parent_of"]


def parent_of(vault: Vault, model: Model, heads: Sequence[Head], record: LiveRecord | None) -> str | None:
    """Return the id of what ``model`` was last captured as or restored from, by its live ``record``.

    Without one it is the newest snapshot of the model, automatic backups left out, in its folder before any other, of a
    step (checkpoint-500) before any other of the steps beside it, and one that was imported only where there is no
    other; None where there is none. ``heads`` are those of the vault,
    oldest first.
    """
    if record is not None and any(head.id == record.snapshot for head in heads):
        return record.snapshot
    source = vault.source_of(model.folder)
    mine = [head for head in heads if head.model_name == model.name and head.kind != "auto-backup"]
    here = [head for head in mine if head.source == source]
    # What was imported is of before, whenever that was done.
    own = [head for head in here if head.kind != "imported"]
    beside = vault.source_of(model.folder.parent)
    steps = [head for head in mine if head.place == beside != head.source]
    return (own or here or steps or mine)[-1].id if mine else None


def heads_from(vault: Vault, record: LiveRecord | None) -> Sequence[Head]:
    """Return the heads from the snapshot of ``record`` on, oldest first: its children are among them, since an id is
    later than every id before. All heads where that is not there.
    """
    heads: list[Head] = []
    for head in vault.newest_first() if record is not None else ():
        heads.append(head)
        if record is not None and head.id <= record.snapshot:
            break
    if record is not None and heads and heads[-1].id == record.snapshot:
        return heads[::-1]
    return vault.heads()


def chunks_on_disk(vault: Vault, parent: Manifest | None) -> frozenset[str]:
    """Return the chunks of ``parent`` that need no flush: a manifest is written when all that it names is on the disk.

    gc leaves these alone as long as the snapshot has them; for who holds the vault's lock.
    """
    if parent is None or vault.backend.listing(SNAPSHOTS).get(f"{parent.id}.json") is None:
        return frozenset()
    found = vault.index.labels.found(parent.id, vault.index.labels.of(parent.id))
    if found.doubtful or found.label.deleted:
        return frozenset()
    return frozenset(chunk.digest for chunk in parent.chunks(found.label.thinned))
