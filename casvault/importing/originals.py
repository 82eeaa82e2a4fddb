"""Removing a copy that became a snapshot.

Owns the invariant that no byte of a copy is removed that the vault could not give back a moment before: every chunk was
read and decoded and is what is in the folder, and nothing else is in there but what was imported and pictures.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from casvault.digest import Hasher
from casvault.errors import DamageError, FormatError, StorageError, UsageError
from casvault.files.identity import FileIdentity
from casvault.files.shared_open import open_shared
from casvault.files.source import FileSource
from casvault.importing.plan import Candidate
from casvault.manifest.manifest import FileEntry
from casvault.models import kind_named
from casvault.models.folder import listing
from casvault.models.previews import load_picture
from casvault.progress import Progress
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["remove_original"]


def remove_original(
    vault: Vault, folder: Path, snapshots: Sequence[tuple[Candidate, Head]], progress: Progress
) -> None:
    """Remove ``folder`` after each of its ``snapshots``, with the copy that it is of, was verified against it.

    Raises a CasvaultError that says why it was left alone; then nothing was removed, unless somebody changed a file
    while others were being removed, or the disk failed.
    """
    if not snapshots:
        raise UsageError("nothing of it is in a snapshot.")
    with vault.locks.shared("import"):
        vault.objects.forget()
        known: dict[str, FileIdentity] = {}
        progress.start("verifying", sum(candidate.size for candidate, _ in snapshots))
        for candidate, head in snapshots:
            known |= _verified(vault, candidate, head.id, progress)
            known |= _beside(candidate, head)
        progress.finish()
        with listing(folder) as entries:
            strange = [entry.name for entry in entries if entry.name not in known]
        # The listing leaves out what is called like casvault's own.
        strange += [name for name in os.listdir(folder) if name.lower().startswith(".casvault")]
        if strange:
            raise UsageError(f"{strange[0]} is in there too, and in no snapshot.")
        _unlink(folder, known)


def _verified(vault: Vault, candidate: Candidate, id: str, progress: Progress) -> dict[str, FileIdentity]:
    """Return the identities of the files of a copy after each was compared with what the vault gives; raises
    DamageError, StorageError.
    """
    label = vault.head(id).label
    if label.deleted or label.thinned:
        # What is dropped there may be freed at any time, whether it can be read now or not.
        raise UsageError(f"{id} does not keep all of it.")
    manifest, model = vault.manifest(id), candidate.copy.model
    kind = kind_named(model.kind)
    found = {}
    for entry in manifest.files:
        name = kind.path_of(entry.role, model.name)
        found[name] = _compared(vault, entry, candidate.copy.folder / name, progress)
    if set(found) != set(candidate.files):
        raise UsageError(f"its files are not those of {id}.")
    vault.picture(manifest)
    return found


def _compared(vault: Vault, entry: FileEntry, path: Path, progress: Progress) -> FileIdentity:
    try:
        descriptor = open_shared(path)
    except OSError as error:
        raise StorageError(f"{path.name} cannot be read: {error.strerror}.") from error
    try:
        identity = FileIdentity.of(os.fstat(descriptor))
        source, hasher, offset = FileSource(descriptor, identity.size), Hasher(), 0
        for chunk in entry.chunks:
            plain = vault.objects.read(chunk.digest, chunk.size)
            if source.read_at(offset, chunk.size) != plain:
                raise UsageError(f"{path.name} is not what was imported any more.")
            hasher.update(plain)
            offset += chunk.size
            progress.advance(chunk.size)
        if offset != identity.size:
            raise UsageError(f"{path.name} is not what was imported any more.")
        if hasher.hexdigest() != entry.digest:
            raise DamageError(f"{path.name} comes out of the vault with other bytes than were stored.")
        return identity
    except OSError as error:
        raise StorageError(f"{path.name} cannot be read: {error.strerror}.") from error
    finally:
        os.close(descriptor)


def _beside(candidate: Candidate, head: Head) -> dict[str, FileIdentity]:
    """Return the pictures of the copy, and what was written down of it if all of that is in its snapshot."""
    model, folder = candidate.copy.model, candidate.copy.folder
    paths = [path for path in kind_named(model.kind).pictures(folder, model.name, copied=True) if path.parent == folder]
    found = {}
    for path in paths:
        try:
            load_picture(path)
        except (FormatError, OSError):
            continue
        found[path.name] = FileIdentity.at(path)
    notes = candidate.notes
    is_kept = notes.all_taken and notes.name in (None, head.name) and notes.notes in (None, head.label.notes)
    if notes.path is not None and notes.path.parent == folder and is_kept:
        found[notes.path.name] = FileIdentity.at(notes.path)
    return {name: identity for name, identity in found.items() if identity is not None}


def _unlink(folder: Path, known: dict[str, FileIdentity]) -> None:
    try:
        if any(FileIdentity.at(folder / name) != identity for name, identity in known.items()):
            raise UsageError("it changed while it was verified.")
        for name, identity in known.items():
            if FileIdentity.at(folder / name) != identity:
                raise UsageError(f"{name} changed while the folder was being removed; its snapshot is whole.")
            os.unlink(folder / name)
        os.rmdir(folder)
    except OSError as error:
        raise StorageError(f"it cannot be removed: {error.strerror or error}.") from error
