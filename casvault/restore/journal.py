"""The journal: how a restore that was interrupted is finished, or leaves no trace.

A restore works in a folder ``.casvault_restore_<hex>`` inside the target's, so on the same file system::

    files/<n>      staged files, verified and on the disk
    aside/<n>      the old data.dat, moved out of the way
    journal.json   written when all is staged and backed up; from here on the restore is bound to succeed

and a pointer ``tmp/restore-<hex>.json`` in the vault leads there. Without a journal the target was not touched and the
folder is
removed; with one, every step is repeated until it is done, but only while each file is still the old or the new
one that the journal recorded. Otherwise somebody went on working there, and nothing is touched.

Owns the order that keeps a half-restored model from looking startable: the file that the trainer takes for the sign of
a
model (``data.dat``) goes first and comes back last.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casvault.errors import CasvaultError, DamageError, Locked, StorageError
from casvault.files.durable import sync_folder, write_durably
from casvault.files.identity import FileIdentity
from casvault.files.names import model_path_problem
from casvault.manifest.document import Fields, read_document, write_document
from casvault.manifest.stamp import Stamp
from casvault.vault.live import LiveRecord
from casvault.vault.vault import Vault

__all__ = ["Journal", "Step", "Workplace", "discard_interrupted", "finish_interrupted"]

_FOLDER = re.compile(r"\.casvault_restore_[0-9a-f]{16}")
_POINTER = re.compile(r"restore-[0-9a-f]{16}\.json")
_MAX_JOURNAL = 64 << 20
_FORMAT = 1


@dataclass(frozen=True)
class Step:
    """One file of the target.

    ``staged`` is where its new bytes wait, None where the file is to be removed. ``old`` and ``new`` are the
    identities of what was there and of
    what will be, None for no file; a rename moves ctime, which is left aside.
    """

    path: str
    staged: str | None
    old: FileIdentity | None
    new: FileIdentity | None


@dataclass(frozen=True)
class Journal:
    """All steps of one restore. ``last`` is the path that goes first and comes back last, None where the trainer has
    none.
    """

    key: str
    snapshot: str
    backup: str | None
    last: str | None
    steps: tuple[Step, ...]

    def to_bytes(self) -> bytes:
        """Return the document."""
        return write_document(
            {
                "format": _FORMAT,
                "key": self.key,
                "snapshot": self.snapshot,
                "backup": self.backup,
                "last": self.last,
                "steps": [
                    {"path": s.path, "staged": s.staged, "old": _numbers(s.old), "new": _numbers(s.new)}
                    for s in self.steps
                ],
            }
        )

    @classmethod
    def parse(cls, data: bytes, name: str) -> Journal:
        """Read a journal; raises BadManifest."""
        fields = read_document(data, name)
        return cls(
            key=fields.text("key"),
            snapshot=fields.text("snapshot", Stamp.valid),
            backup=fields.text_or_none("backup", Stamp.valid),
            last=fields.text_or_none("last", _safe),
            steps=fields.items("steps", lambda item: _step(Fields(item, name))),
        )


class Workplace:
    """The folder in which one restore works, and its pointer in the vault."""

    def __init__(self, vault: Vault, folder: Path, name: str) -> None:
        self._vault = vault
        self.folder = folder
        self.path = folder / name
        self._pointer = f"tmp/{name.replace('.casvault_restore_', 'restore-')}.json"

    @classmethod
    def begin(cls, vault: Vault, folder: Path, key: str) -> Workplace:
        """Make a workplace in ``folder``; the pointer comes first, so that nothing is left that nobody knows of."""
        made = cls(vault, folder, f".casvault_restore_{secrets.token_hex(8)}")
        pointer = {"folder": str(folder), "name": made.path.name, "key": key}
        vault.backend.write(made._pointer, json.dumps(pointer).encode())
        try:
            _make_folder(folder)
            made.path.mkdir()
            (made.path / "files").mkdir()
            (made.path / "aside").mkdir()
        except OSError as error:
            made.clear()
            raise StorageError(f"cannot write to {folder}: {error.strerror}; nothing was changed.") from error
        return made

    def sync(self) -> None:
        """Put the names of everything staged on the disk."""
        for folder in (self.path / "files", self.path / "aside", self.path, self.folder):
            sync_folder(folder)

    def seal(self, journal: Journal) -> None:
        """Write the journal: from here on the restore will be finished, whatever happens."""
        write_durably(self.path / "journal.json", journal.to_bytes())

    def journal(self) -> Journal | None:
        """Return the journal, None where the restore had not come so far."""
        path = self.path / "journal.json"
        if not path.is_file():
            return None
        if path.stat().st_size > _MAX_JOURNAL:
            raise DamageError(f"{path} is not a journal of casvault.")
        return Journal.parse(path.read_bytes(), str(path))

    def apply(self, journal: Journal) -> None:
        """Do every step that is not done yet; raises DamageError where somebody else changed a file, OSError."""
        self._check(journal)
        last = next((step for step in journal.steps if step.path == journal.last), None)
        others = [step for step in journal.steps if step is not last]
        unfinished = [step for step in others if not self._done(step)]
        if last is not None and (unfinished or not self._done(last)):
            self._put_aside(last)
        for step in unfinished:
            self._do(step)
        for folder in sorted({(self.folder / step.path).parent for step in others} | {self.folder}):
            if folder.is_dir():
                sync_folder(folder)
        if last is not None and not self._done(last):
            self._do(last)
            sync_folder(self.folder)

    def complete(self, journal: Journal) -> None:
        """Do what `apply` does, remember it for the next snapshot and for `undo`, and remove the workplace."""
        self.apply(journal)
        self._vault.remember(journal.key, LiveRecord(journal.snapshot, restored=True, backup=journal.backup))
        self.clear()

    def clear(self) -> None:
        """Remove the workplace; the journal goes first, and durably, since without it nothing is repeated."""
        journal = self.path / "journal.json"
        if journal.exists():
            journal.unlink()
            sync_folder(self.path)
        shutil.rmtree(self.path, ignore_errors=True)
        if not self.path.exists():
            self._vault.backend.delete(self._pointer)

    def _aside(self) -> Path:
        return self.path / "aside" / "0"

    def _put_aside(self, step: Step) -> None:
        if _identity(self.folder / step.path) is not None:
            os.replace(self.folder / step.path, self._aside())
            sync_folder(self._aside().parent)
            sync_folder(self.folder)

    def _do(self, step: Step) -> None:
        target = self.folder / step.path
        if step.staged is None:
            target.unlink(missing_ok=True)
            return
        _make_folder(target.parent)
        os.replace(self.path / step.staged, target)

    def _done(self, step: Step) -> bool:
        return _same(_identity(self.folder / step.path), step.new)

    def _check(self, journal: Journal) -> None:
        for step in journal.steps:
            now = _identity(self.folder / step.path)
            moved_aside = step.path == journal.last and now is None and _same(_identity(self._aside()), step.old)
            if not (_same(now, step.old) or _same(now, step.new) or moved_aside):
                backup = (
                    f"what was there before is snapshot {journal.backup}" if journal.backup else "there is no backup"
                )
                raise DamageError(
                    f"a restore was interrupted and {self.folder / step.path} was changed since, "
                    f"so it was not finished; {backup}, "
                    f"and {self.path} may be deleted once the model is as it should be."
                )


def finish_interrupted(vault: Vault, only: str | None = None) -> list[str]:
    """Finish, or clean up after, every restore into which a crash came; return a sentence for each.

    A restore that is still running is left alone. One that cannot be finished, since its files were changed or are
    in use, is
    told as well and left as it is. With ``only``, just those of the model with that live key.
    """
    told = []
    for place, key in _places(vault, only):
        try:
            with vault.locks.model(key, "finish a restore", wait=0.0):
                sentence = _roll_forward(place)
        except Locked:
            continue
        except CasvaultError as error:
            sentence = str(error)
        except OSError as error:
            sentence = f"cannot finish the restore in {place.folder} ({error.strerror}); free its files and try again."
        if sentence:
            told.append(sentence)
    return told


def discard_interrupted(vault: Vault, key: str) -> None:
    """Drop what interrupted restores of a model left, after a new one has put every file in place.

    The caller holds the model's lock.
    """
    for place, _ in _places(vault, key):
        place.clear()


def _places(vault: Vault, only: str | None) -> list[tuple[Workplace, str]]:
    found = []
    for entry in vault.backend.list("tmp") if vault.path is not None else ():
        if not _POINTER.fullmatch(entry.name):
            continue
        try:
            document = json.loads(vault.backend.read(f"tmp/{entry.name}", 1 << 20))
            folder, name, key = Path(document["folder"]), str(document["name"]), str(document["key"])
        except (CasvaultError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if _FOLDER.fullmatch(name) and folder.is_absolute() and only in (None, key):
            found.append((Workplace(vault, folder, name), key))
    return found


def _roll_forward(place: Workplace) -> str | None:
    journal = place.journal()
    if journal is None:
        place.clear()
        return None
    place.complete(journal)
    backup = f"; what was there before is snapshot {journal.backup}" if journal.backup else ""
    return f"casvault finished the restore of {journal.snapshot} into {place.folder} that was interrupted{backup}."


def _make_folder(folder: Path) -> None:
    """Make ``folder`` and what is missing above it, durably."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _step(fields: Fields) -> Step:
    return Step(
        path=fields.text("path", _safe),
        staged=fields.text_or_none("staged", lambda text: re.fullmatch(r"(files|aside)/\d+", text) is not None),
        old=_read_identity(fields, "old"),
        new=_read_identity(fields, "new"),
    )


def _safe(path: str) -> bool:
    return model_path_problem(path) is None


def _numbers(identity: FileIdentity | None) -> list[str] | None:
    return None if identity is None else [str(number) for number in identity[:4]]


def _read_identity(fields: Fields, key: str) -> FileIdentity | None:
    value: Any = fields.values.get(key)
    if value is None:
        return None
    try:
        device, inode, size, mtime = (int(number) for number in value)
    except (TypeError, ValueError) as error:
        raise fields.bad(key, "is not an identity of a file") from error
    return FileIdentity(device, inode, size, mtime, 0)


def _identity(path: Path) -> FileIdentity | None:
    try:
        return FileIdentity.of(os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return None


def _same(one: FileIdentity | None, other: FileIdentity | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.same_file(other)
