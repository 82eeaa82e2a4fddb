"""A side's state as it goes over the wire: a row for each snapshot, checked as strictly as a manifest on the disk.

Owns the invariant that a list of snapshots from elsewhere holds nothing that a vault could not have written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from casvault.digest import is_digest
from casvault.errors import BadManifest, CasvaultError, RemoteError
from casvault.manifest.document import Fields, write_document
from casvault.manifest.label import Label
from casvault.manifest.stamp import Stamp
from casvault.sync.remote import Known, State
from casvault.vault.head import Head

__all__ = ["MAX_ROWS", "rows_of", "state_of"]

MAX_ROWS = 1_000_000
_MAX_BYTES = 256 << 20


def rows_of(state: State) -> Iterator[dict[str, Any]]:
    """Yield what stands for ``state``."""
    for id, known in state.snapshots.items():
        head = known.head
        yield {
            "id": id,
            "document": head.document,
            "label": head.label.to_json(),
            "stamp": known.stamp,
            "size": head.size,
            "files": head.file_count,
            "contents": head.contents,
            "doubtful": head.doubtful,
            "fingerprint": known.fingerprint,
        }
    for id, stamp in state.tombstones.items():
        yield {"id": id, "tombstone": stamp}
    for id in state.damaged:
        yield {"id": id, "damaged": True}


def state_of(rows: Iterable[tuple[dict[str, Any], int]]) -> State:
    """Read rows and their sizes in bytes; raises RemoteError for one that cannot be true, and for an endless list."""
    snapshots: dict[str, Known] = {}
    tombstones: dict[str, str] = {}
    damaged: set[str] = set()
    total = 0
    for number, (row, size) in enumerate(rows):
        total += size
        if number >= MAX_ROWS or total > _MAX_BYTES:
            raise RemoteError("the list of snapshots has no end.")
        try:
            fields = Fields(row, "a list of snapshots from elsewhere")
            id = fields.text("id", Stamp.valid)
            if "tombstone" in row:
                tombstones[id] = fields.text("tombstone", Stamp.valid)
            elif fields.flag("damaged"):
                damaged.add(id)
            else:
                snapshots[id] = _known(fields, id)
        except (CasvaultError, ValueError) as error:
            raise RemoteError(f"the list of snapshots is not to be trusted: {str(error)[:300]}") from error
    return State(snapshots, tombstones, frozenset(damaged))


def _known(fields: Fields, id: str) -> Known:
    from casvault.manifest.manifest import Manifest

    document = Fields(fields.values.get("document"), fields.name).values
    model = dict(Fields(document.get("model"), fields.name).values)
    # A head has no files; that one of a single file has exactly one is checked where the manifest itself arrives.
    told = {**document, "model": {**model, "single": False}, "files": []}
    manifest = Manifest.parse(write_document(told), id)
    stamp = fields.text_or_none("stamp", Stamp.valid)
    label = Label(id)
    if stamp is not None:
        label = Label.parse(write_document(Fields(fields.values.get("label"), fields.name).values), f"{id}.{stamp}")
    single = model.get("single", False)
    if not isinstance(single, bool):
        raise BadManifest("whether a model is one file is neither true nor false.")
    checked = manifest.head()
    checked["model"]["single"] = single
    contents, fingerprint = fields.text("contents", is_digest), fields.text("fingerprint", is_digest)
    head = Head(checked, label, fields.whole("size"), fields.whole("files"), contents, fields.flag("doubtful"))
    return Known(head, stamp, fingerprint)
