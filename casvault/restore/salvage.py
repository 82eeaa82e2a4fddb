"""Salvage: the whole files of a snapshot of which others are damaged, in a new folder.

A restore gives all or nothing. Where a chunk is lost for good, what is left of a snapshot may still be worth a lot; but
never in a model's place: a trainer would silently start afresh what is missing.

Owns the invariants that a salvaged file is whole to the last bit, and that nothing is written into a folder that holds
anything, or that a model is or was in.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casvault.digest import Hasher
from casvault.errors import DamageError, StorageError, UsageError
from casvault.files.durable import make_folder, sync_folder
from casvault.manifest.manifest import FileEntry
from casvault.models import kind_named
from casvault.progress import Progress
from casvault.restore.plan import renamed
from casvault.restore.stage import stage_files
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["SalvageResult", "plan_salvage", "salvage"]

_WORKPLACE = ".casvault_salvage_"


@dataclass(frozen=True)
class SalvageResult:
    """What was given of a snapshot, or would be: paths in ``folder``; ``missing`` are path -> why it is left out."""

    head: Head
    folder: Path
    model: str
    files: tuple[str, ...]
    missing: dict[str, str]
    seconds: float
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            "snapshot": self.head.to_json(),
            "folder": str(self.folder),
            "model": self.model,
            "files": list(self.files),
            "missing": [{"path": path, "reason": reason} for path, reason in sorted(self.missing.items())],
            "dry_run": self.dry_run,
            "seconds": round(self.seconds, 3),
        }


def plan_salvage(
    vault: Vault, head: Head, to: Path | None, as_name: str | None = None, progress: Progress | None = None
) -> SalvageResult:
    """Read a snapshot and return what `salvage` would do; raises what that raises before it writes."""
    return _salvage(vault, head, to, as_name, progress or Progress(), dry_run=True)


def salvage(
    vault: Vault, head: Head, to: Path | None, as_name: str | None = None, progress: Progress | None = None
) -> SalvageResult:
    """Write the whole files of snapshot ``head`` to the folder ``to``, which is new or empty, under ``as_name``.

    Raises UsageError for another folder or None, DamageError where no file is whole, NoSpace, StorageError, Locked,
    Cancelled. Files that were written until then stay; each is whole.
    """
    return _salvage(vault, head, to, as_name, progress or Progress(), dry_run=False)


def _salvage(
    vault: Vault, head: Head, to: Path | None, as_name: str | None, progress: Progress, *, dry_run: bool
) -> SalvageResult:
    begun = time.monotonic()
    manifest = vault.manifest(head.id)
    folder = _checked(vault, to)
    name = kind_named(manifest.model_kind).rename(manifest.model_name, as_name) if as_name else manifest.model_name
    entries = renamed(manifest, name, head.label.thinned)
    written: list[str] = []
    missing: dict[str, str] = dict.fromkeys(head.label.thinned, "thinned away")
    progress.start("salvaging", sum(entry.size for entry in entries))
    with vault.locks.shared("restore"):
        vault.objects.forget()
        for entry in entries:
            try:
                if dry_run:
                    _read(vault, entry, progress)
                else:
                    _write(vault, folder, entry, progress)
            except DamageError as error:
                missing[entry.path] = str(error)
            else:
                written.append(entry.path)
    progress.finish()
    if not written:
        with suppress(OSError):
            folder.rmdir()
        raise DamageError(f"no file of {head.title!r} is whole, so there is nothing to salvage.")
    return SalvageResult(head, folder, name, tuple(written), missing, time.monotonic() - begun, dry_run)


def _checked(vault: Vault, to: Path | None) -> Path:
    """Return the folder to write into; raises UsageError where it is not new, or no place for half a model."""
    if to is None:
        raise UsageError("files without the damaged ones never go into a model's place; say a new folder with --to.")
    folder = Path(os.path.abspath(to))
    real = Path(os.path.realpath(folder))
    try:
        if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
            raise UsageError(f"{folder} is there already; without the damaged files it must be a new folder.")
    except OSError as error:
        raise StorageError(f"cannot look into {folder}: {error.strerror}.") from error
    if vault.path is not None and Path(os.path.realpath(vault.path)) in (real, *real.parents):
        raise UsageError(f"{folder} is in the vault; say a folder outside of it with --to.")
    home = Path(os.path.realpath(vault.home))
    for head in vault.heads(deleted=True):
        place = Path(os.path.realpath(vault.home / head.source))
        if place == real or (place != home and place in real.parents):
            raise UsageError(
                f"{folder} is in the place of {head.model_name}, where a trainer would start afresh what is missing; "
                "say a new folder elsewhere with --to."
            )
    return folder


def _read(vault: Vault, entry: FileEntry, progress: Progress) -> None:
    hasher = Hasher()
    for chunk in entry.chunks:
        hasher.update(vault.objects.read(chunk.digest, chunk.size))
        progress.advance(chunk.size)
    if hasher.hexdigest() != entry.digest:
        raise DamageError(f"{entry.path} comes out with other bytes than were stored.")


def _write(vault: Vault, folder: Path, entry: FileEntry, progress: Progress) -> None:
    """Write one file beside its place, and put it there when it is whole; raises DamageError, NoSpace, StorageError."""
    target = folder / entry.path
    with _workplace(folder) as place:
        stage_files(vault, [(entry, place / "0")], progress)
        with _errors(folder):
            make_folder(target.parent)
            os.rename(place / "0", target)
            sync_folder(target.parent)


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    place = folder / f"{_WORKPLACE}{os.urandom(8).hex()}"
    with _errors(folder):
        make_folder(folder)
        place.mkdir()
    try:
        yield place
    finally:
        with suppress(OSError):
            (place / "0").unlink(missing_ok=True)
            place.rmdir()


@contextmanager
def _errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror}.") from error
