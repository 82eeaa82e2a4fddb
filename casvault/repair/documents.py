"""Damaged manifests and labels: healed from another vault that has the same document.

Owns the invariant that a document of another vault is taken only where it holds together by itself, is of that very
name, and nothing that is left of the damaged one speaks against it.
"""

from __future__ import annotations

from collections.abc import Mapping

from casvault.errors import BadManifest, CasvaultError
from casvault.manifest.document import MAX_DOCUMENT, same_document
from casvault.manifest.label import Label
from casvault.manifest.manifest import Manifest
from casvault.repair.quarantine import keep_copy
from casvault.vault.heads import LABELS, SNAPSHOTS
from casvault.vault.vault import Vault

__all__ = ["blob_of", "found_elsewhere", "put_back"]

_ID = 27
"""Characters of a snapshot's id: the name of its manifest; those of labels are longer."""


def blob_of(name: str) -> str:
    """Return where the manifest or label ``name`` lies."""
    return f"{SNAPSHOTS if len(name) == _ID else LABELS}/{name}.json"


def found_elsewhere(vault: Vault, other: Vault | None, damaged: Mapping[str, CasvaultError]) -> dict[str, bytes]:
    """Return the bytes of those of the ``damaged`` documents, by name, that the ``other`` vault has whole."""
    found: dict[str, bytes] = {}
    for name, error in damaged.items() if other is not None else ():
        if not isinstance(error, BadManifest):
            continue
        try:
            assert other is not None
            theirs = other.backend.read(blob_of(name), MAX_DOCUMENT)
            (Manifest if len(name) == _ID else Label).parse(theirs, name)
            if same_document(vault.backend.read(blob_of(name), MAX_DOCUMENT), theirs):
                found[name] = theirs
        except CasvaultError:
            continue
    return found


def put_back(vault: Vault, documents: Mapping[str, bytes]) -> None:
    """Write documents in the place of damaged ones, of which copies go to the quarantine; for who holds the locks.

    Raises NoSpace, StorageError. A manifest is there all the time: without one gc would take its chunks.
    """
    for name, data in documents.items():
        keep_copy(vault, blob_of(name), vault.backend.read(blob_of(name), MAX_DOCUMENT))
        vault.backend.write(blob_of(name), data)
