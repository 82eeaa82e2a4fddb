"""Reviving: a snapshot that was deleted here may come from elsewhere once more, since somebody asked for just that one.

Deletions win over whatever only travels along; this is for who names the dead.
"""

from __future__ import annotations

from dataclasses import replace

from casvault.manifest.label import Label
from casvault.vault.vault import Vault

__all__ = ["revive"]


def revive(vault: Vault, label: Label) -> bool:
    """Let the snapshot of ``label`` come back that was deleted in ``vault``; return whether it was.

    ``label`` is what is written about it elsewhere. Raises Locked, NoSpace, StorageError, and BadManifest where it
    cannot be read whether it was deleted.
    """
    with vault.locks.one("labels"), vault.locks.shared("pull"):
        id = label.snapshot
        if id not in vault.index.labels.stamps() or not vault.index.labels.newest(id).deleted:
            return False
        vault.write_label(replace(label, deleted=False))
    return True
