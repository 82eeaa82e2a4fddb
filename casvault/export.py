"""Export: a snapshot as a zip file that anybody can open, without casvault.

Owns the invariants that the file appears under its name only when it is whole, and that every byte in it was checked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casvault.backends import storage_errors
from casvault.digest import Hasher
from casvault.errors import DamageError, UsageError
from casvault.files.durable import TEMP_SUFFIX, sync_descriptor, sync_folder
from casvault.manifest.manifest import FileEntry
from casvault.models import kind_named
from casvault.progress import Progress
from casvault.vault.head import Head
from casvault.vault.vault import Vault

if TYPE_CHECKING:
    import zipfile

__all__ = ["ExportResult", "export"]

_EARLIEST = (1980, 1, 1, 0, 0, 0)
_LATEST = (2107, 12, 31, 23, 59, 58)


@dataclass(frozen=True)
class ExportResult:
    """A zip file that was written, and its bytes; ``faces`` are those of its files that hold pictures of people."""

    head: Head
    path: Path
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    size: int
    faces: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            "id": self.head.id,
            "path": str(self.path),
            "files": list(self.files),
            "left_out": list(self.left_out),
            "bytes": self.size,
            "holds_face_images": list(self.faces),
        }


def export(
    vault: Vault,
    head: Head,
    path: Path,
    *,
    weights_only: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExportResult:
    """Write a snapshot to the zip file ``path``; with ``weights_only`` without optimizers.

    The files are stored as they are: numbers do not get smaller in a zip. Raises UsageError where something is at
    ``path`` already or no folder around it, DamageError, NoSpace, StorageError, Locked, Cancelled; then nothing is left
    behind, and what was there before is there still.
    """
    progress, path = progress or Progress(), Path(os.path.abspath(path))
    _check_place(path, overwrite)
    manifest = vault.manifest(head.id)
    kind = kind_named(manifest.model_kind)
    wanted = [
        file
        for file in manifest.files
        if file.path not in head.label.thinned and not (weights_only and kind.is_optimizer(file.role))
    ]
    progress.start("exporting", sum(file.size for file in wanted))
    size = _write(vault, path, wanted, progress)
    progress.finish()
    names = {file.path for file in wanted}
    return ExportResult(
        head=head,
        path=path,
        files=tuple(file.path for file in wanted),
        left_out=tuple(file.path for file in manifest.files if file.path not in names),
        size=size,
        faces=tuple(file.path for file in wanted if kind.holds_pictures(file.role)),
    )


def _write(vault: Vault, path: Path, wanted: Sequence[FileEntry], progress: Progress) -> int:
    """Write the zip beside its place, then put it there; return its bytes."""
    import zipfile

    temp = path.with_name(f".{os.urandom(8).hex()}{TEMP_SUFFIX}")
    try:
        with vault.locks.shared("export"), storage_errors(f"writing {path}"):
            vault.objects.forget()
            with open(temp, "xb") as target:
                with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                    for file in wanted:
                        _add(vault, archive, file, progress)
                target.flush()
                sync_descriptor(target.fileno())
            size = temp.stat().st_size
            os.replace(temp, path)
            sync_folder(path.parent)
    finally:
        temp.unlink(missing_ok=True)
    return size


def _check_place(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder; say a file in it, such as {path / 'model.zip'}.")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} is there already; say another file, or --overwrite.")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}; make it first, or say another one.")


def _add(vault: Vault, archive: zipfile.ZipFile, file: FileEntry, progress: Progress) -> None:
    from zipfile import ZipInfo

    info = ZipInfo(file.path, _zip_time(file.mtime_ns))
    info.external_attr = (0o100000 | (file.mode or 0o644)) << 16
    info.file_size = file.size
    hasher = Hasher()
    with archive.open(info, "w") as target:
        for data in _plain(vault, file):
            hasher.update(data)
            target.write(data)
            progress.advance(len(data))
    if hasher.hexdigest() != file.digest:
        raise DamageError(f"{file.path} does not come out of the vault as it went in; `casvault verify` tells more.")


def _plain(vault: Vault, file: FileEntry) -> Iterator[bytes | memoryview]:
    for chunk in file.chunks:
        yield vault.objects.read(chunk.digest, chunk.size)


def _zip_time(mtime_ns: int) -> tuple[int, int, int, int, int, int]:
    """Return a file's time as a zip can say it: local, from 1980 to 2107."""
    try:
        found = time.localtime(mtime_ns / 1e9)[:6]
    except (OverflowError, ValueError, OSError):
        return _EARLIEST
    return min(max(found, _EARLIEST), _LATEST)
