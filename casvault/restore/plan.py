"""What a restore would do: where to, and for each file whether it is written, replaced, removed or right already.

Owns the invariants that only files of the one model are ever replaced or removed, and that a folder which is not known
to be a generic model's own is never cleared.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from casvault.digest import Hasher, digest_of
from casvault.errors import BadManifest, IncompleteSave, StorageError, UsageError
from casvault.files.identity import FileIdentity, is_plain_folder
from casvault.files.names import case_twins, model_path_problem
from casvault.files.shared_open import open_shared
from casvault.files.source import ByteSource, FileSource
from casvault.manifest.manifest import FileEntry, Manifest
from casvault.models import Model, Trainer, find_models, generic_model, kind_named, resolve
from casvault.progress import Progress
from casvault.restore.trained import check_not_trained, trainers_of
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["Change", "RestorePlan", "find_target", "plan_restore", "renamed"]


@dataclass(frozen=True)
class Change:
    """One file of the target: its path in the folder, and ``add``, ``replace``, ``remove`` or ``keep``; ``size`` in
    bytes.
    """

    action: str
    path: str
    size: int
    entry: FileEntry | None = None
    old: FileIdentity | None = None


@dataclass(frozen=True)
class RestorePlan:
    """A restore before it happens. ``live`` is the model that is in place now; without files there is none.
    ``trainers`` are processes that may be training it.
    """

    head: Head
    manifest: Manifest
    folder: Path
    live: Model
    changes: tuple[Change, ...]
    trainers: tuple[Trainer, ...] = ()

    @property
    def nothing_to_do(self) -> bool:
        """Whether every file is right already."""
        return all(change.action == "keep" for change in self.changes)

    @property
    def staged_bytes(self) -> int:
        """Bytes that will be written beside the target."""
        return sum(change.size for change in self.changes if change.action in ("add", "replace"))

    def check_not_trained(self) -> None:
        """Raise TrainerRunning where something would be changed under a trainer's hands."""
        if not self.nothing_to_do:
            check_not_trained(self.live.name, self.trainers)

    def to_json(self) -> dict[str, Any]:
        """Return the plan for `--json`."""
        return {
            "snapshot": self.head.to_json(),
            "folder": str(self.folder),
            "model": self.live.name,
            "changes": [{"action": c.action, "path": c.path, "size": c.size} for c in self.changes],
            "trainers": [trainer.to_json() for trainer in self.trainers],
        }


def plan_restore(
    vault: Vault,
    head: Head,
    to: Path | None = None,
    as_name: str | None = None,
    allow_incomplete: bool = False,
    progress: Progress | None = None,
    manifest: Manifest | None = None,
) -> RestorePlan:
    """Return what restoring ``head`` would do; reads the live files to tell which are right already.

    ``to`` is a model or a folder, None for where the model was; ``as_name`` renames it. ``manifest`` is that of
    ``head`` where the vault does not have it yet. Raises UsageError for a target that cannot be, IncompleteSave for an
    incomplete snapshot that was not asked for as such.
    """
    if head.incomplete and not allow_incomplete:
        raise IncompleteSave(
            f"{head.title!r} holds an incomplete save, which the trainer would silently start anew in part; "
            "--allow-incomplete restores it all the same."
        )
    manifest = manifest if manifest is not None else vault.manifest(head.id)
    live = find_target(vault, manifest, to, as_name)
    entries = renamed(manifest, live.name, head.label.thinned)
    changes = _changes(live.folder, live, entries, progress or Progress())
    return RestorePlan(head, manifest, live.folder, live, changes, trainers_of(vault, live))


def find_target(vault: Vault, manifest: Manifest, to: Path | None, as_name: str | None) -> Model:
    """Return the model that is at the target now, without files where there is none; raises UsageError."""
    folder, name = _target(vault, manifest, to, as_name)
    return _live(vault, manifest, folder, name)


def _target(vault: Vault, manifest: Manifest, to: Path | None, as_name: str | None) -> tuple[Path, str]:
    """Return the folder to restore into and the full name of the model there."""
    kind = kind_named(manifest.model_kind)
    name = manifest.model_name
    if to is None:
        folder = _home_of(vault, manifest)
    else:
        folder, name = _explicit_target(manifest, Path(os.path.abspath(to)))
    if vault.path is not None and vault.path in (folder, *folder.parents):
        raise UsageError(f"{folder} is in the vault; say a folder outside of it with --to.")
    if manifest.model_kind == "generic" and not manifest.single:
        vault.check_outside(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; --to takes a model or a folder.")
    if as_name and manifest.model_kind == "generic" and to is None:
        raise UsageError("--as alone would put the files where they were; say with --to where the copy goes.")
    return folder, kind.rename(name, as_name) if as_name else name


def _home_of(vault: Vault, manifest: Manifest) -> Path:
    """Return where the model of a snapshot is on this machine.

    One that came from elsewhere tells that machine's place: then the model of that name which is known here is meant.
    A folder outside of the project counts only where the model is, or where this vault knows that it was: another
    machine's place may be anything here.
    """
    folder, name = vault.home / manifest.source, manifest.model_name
    nothing = Model(manifest.model_kind, name, manifest.model_type, folder, (), single=manifest.single)
    is_known = vault.live(vault.live_key(nothing)) is not None
    if folder.is_dir():
        outside = Path(manifest.source).is_absolute() or ".." in Path(manifest.source).parts
        if not outside or is_known or (manifest.model_kind != "generic" and _live(vault, manifest, folder, name).files):
            return folder
    elif is_known and folder.parent.is_dir():
        return folder
    known = vault.places_of(name)
    if len(known) == 1:
        return known[0]
    several = f", and there are several of that name: {', '.join(map(str, known))}" if known else ""
    raise UsageError(f"{name} came from {folder}, which is not on this machine{several}; say where to with --to.")


def _explicit_target(manifest: Manifest, to: Path) -> tuple[Path, str]:
    if to.is_dir() or manifest.model_kind == "generic":
        return to, manifest.model_name
    if to.parent.is_dir():
        for model in kind_named(manifest.model_kind).find(to.parent, to.name):
            return to.parent, _same_type(manifest, model)
        if manifest.model_type and to.name.endswith(f"_{manifest.model_type}"):
            return to.parent, to.name
        neighbours = find_models(to.parent) if not to.exists() else []
        for model in neighbours:
            if model.name.rpartition("_")[0] == to.name and model.type == manifest.model_type:
                return to.parent, model.name
        if neighbours and "_" not in to.name:
            raise UsageError(
                f"a folder {to.name} among models would break the trainer; "
                f"say {to}_{manifest.model_type} or another place."
            )
    if to.exists():
        model = resolve(to)[0]
        return model.folder, _same_type(manifest, model)
    return to, manifest.model_name


def _same_type(manifest: Manifest, model: Model) -> str:
    if (model.kind, model.type) != (manifest.model_kind, manifest.model_type):
        raise UsageError(
            f"the snapshot is of type {manifest.model_type}, {model.name} of type {model.type}; "
            "choose a target of the same type."
        )
    return model.name


def _live(vault: Vault, manifest: Manifest, folder: Path, name: str) -> Model:
    """Return the model that is at the target now, without files where there is none."""
    nothing = Model(manifest.model_kind, name, manifest.model_type, folder, (), single=manifest.single)
    if not folder.is_dir():
        return nothing
    if manifest.model_kind == "generic":
        return _live_generic(vault, manifest, folder, nothing)
    # Only this model's files are looked at: what is wrong with a neighbour is none of our business.
    return next(iter(kind_named(manifest.model_kind).find(folder, name)), nothing)


def _live_generic(vault: Vault, manifest: Manifest, folder: Path, nothing: Model) -> Model:
    if manifest.single:
        own = [file.path for file in manifest.files if (folder / file.path).is_file()]
        return generic_model(folder / own[0], nothing.name) if own else nothing
    live = replace(generic_model(folder), name=nothing.name)
    paths = {file.path for file in manifest.files}
    strangers = [file.path for file in live.files if file.path not in paths]
    record = vault.live(vault.live_key(live))
    if strangers and (record is None or record.place != folder.stat().st_ino):
        # A manifest alone is no proof that this is the folder it speaks of: the vault may be moved, or a stranger's.
        raise UsageError(
            f"{folder} holds other files, such as {strangers[0]}, which a restore of the whole folder would remove, "
            "and this vault does not know the folder; take a snapshot of it first, or say a new one with --to."
        )
    return live


def renamed(manifest: Manifest, name: str, thinned: Sequence[str]) -> list[FileEntry]:
    """Return the files to restore, under the names that they will have; raises BadManifest where one may not be.

    A path in a manifest is checked when that is read, but here it is made anew of a name and a role.
    """
    kind = kind_named(manifest.model_kind)
    kept = [file for file in manifest.files if file.path not in thinned]
    entries = [replace(file, path=kind.path_of(file.role, name)) for file in kept]
    for entry in entries:
        problem = model_path_problem(entry.path)
        if problem is not None:
            raise BadManifest(f"snapshot {manifest.id} is not to be trusted: the path {entry.path[:80]!r} {problem}.")
    twins = case_twins(entry.path for entry in entries)
    if twins is not None:
        raise BadManifest(f"snapshot {manifest.id} is not to be trusted: {twins[0]!r} and {twins[1]!r} are one file.")
    return entries


def _changes(folder: Path, live: Model, entries: list[FileEntry], progress: Progress) -> tuple[Change, ...]:
    there = {file.path for file in live.files} | set(live.leftovers)
    whole = live.kind == "generic" and not live.single
    progress.start("comparing", sum(entry.size for entry in entries if entry.path in there))
    changes = []
    for entry in entries:
        path = folder / entry.path
        if entry.path not in there:
            # In a folder that is a model as a whole, a folder in a file's place goes with the files in it.
            if os.path.lexists(path) and not (whole and is_plain_folder(path)):
                raise UsageError(f"{path} is in the way and is not a file of the model; move it first.")
            changes.append(Change("add", entry.path, entry.size, entry))
        else:
            right, old = _compare(path, entry, progress)
            changes.append(Change("keep" if right else "replace", entry.path, entry.size, entry, old))
    progress.finish()
    for extra in sorted(there - {entry.path for entry in entries}):
        old = FileIdentity.at(folder / extra)
        if old is not None:
            changes.append(Change("remove", extra, old.size, None, old))
    return tuple(changes)


def _has_chunks(source: ByteSource, entry: FileEntry, progress: Progress) -> bool:
    """Tell whether ``source`` consists of the chunks of ``entry``; the first that differs ends it."""
    hasher, offset = Hasher(), 0
    for chunk in entry.chunks:
        data = source.read_at(offset, chunk.size)
        hasher.update(data)
        offset += chunk.size
        if digest_of(data) != chunk.digest:
            progress.advance(entry.size - offset + chunk.size)
            return False
        progress.advance(chunk.size)
    return hasher.hexdigest() == entry.digest


def _compare(path: Path, entry: FileEntry, progress: Progress) -> tuple[bool, FileIdentity | None]:
    """Tell whether the file at ``path`` has the bytes of ``entry`` already, and what stat says of it."""
    try:
        descriptor = open_shared(path)
    except FileNotFoundError:
        return False, None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}.") from error
    try:
        identity = FileIdentity.of(os.fstat(descriptor))
        if identity.size != entry.size:
            progress.advance(entry.size)
            return False, identity
        return _has_chunks(FileSource(descriptor, identity.size), entry, progress), identity
    finally:
        os.close(descriptor)
