"""The journal: how a restore that was interrupted is finished, or leaves no trace.

A restore works in a folder ``.casvault_restore_<hex>`` inside the target's, so on the same file system::

    files/<n>      staged files, verified and on the disk
    aside/<n>      the old data.dat, moved out of the way
    journal.json   written when all is staged and backed up; from here on the restore is bound to succeed

and a pointer ``tmp/restore-<hex>.json`` in the vault leads there. Without a journal the target was not touched and the
folder is removed; with one, every step is repeated until it is done, but only while each file is still the old or the
new one that the journal recorded. Otherwise somebody went on working there, and nothing is touched.

Owns the order that keeps a half-restored model from looking startable: the file that the trainer takes for the sign of
a model (``data.dat``) goes first and comes back last.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casvault.errors import CasvaultError, DamageError, Locked, StorageError
from casvault.files.durable import make_folder, sync_folder, write_durably
from casvault.files.identity import FileIdentity, is_plain_folder
from casvault.files.names import model_path_problem
from casvault.manifest.document import Fields, read_document, write_document
from casvault.manifest.stamp import Stamp
from casvault.models import Model
from casvault.vault.interrupted import pointers
from casvault.vault.live import LiveRecord
from casvault.vault.vault import Vault

__all__ = ["Journal", "Step", "Workplace", "discard_interrupted", "finish_interrupted"]

_FOLDER = re.compile(r"\.casvault_restore_[0-9a-f]{16}")
_MAX_JOURNAL = 64 << 20
_FORMAT = 1


Seen = tuple[int, int]
"""Size in bytes and modification time in nanoseconds: what a reboot, a remount or a move leaves as it was."""


@dataclass(frozen=True)
class Step:
    """One file of the target.

    ``staged`` is where its new bytes wait, None where the file is to be removed. ``old`` and ``new`` tell what was
    there and what will be, None for no file.
    """

    path: str
    staged: str | None
    old: Seen | None
    new: Seen | None


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
        self._new = False
        self._pointer = f"tmp/{name.replace('.casvault_restore_', 'restore-')}.json"

    @classmethod
    def begin(cls, vault: Vault, folder: Path, key: str) -> Workplace:
        """Make a workplace in ``folder``; the pointer comes first, so that nothing is left that nobody knows of."""
        made = cls(vault, folder, f".casvault_restore_{secrets.token_hex(8)}")
        made._new = not folder.exists()
        try:
            made._point(key, sealed=False)
            make_folder(folder)
            for place in (made.path, made.path / "files", made.path / "aside"):
                place.mkdir()
        except OSError as error:
            made.clear()
            raise StorageError(f"cannot write to {folder}: {error.strerror}; nothing was changed.") from error
        except CasvaultError:
            made.clear()
            raise
        return made

    def sync(self) -> None:
        """Put the names of everything staged on the disk."""
        for folder in (self.path / "files", self.path / "aside", self.path, self.folder):
            sync_folder(folder)

    def seal(self, journal: Journal) -> None:
        """Write the journal: from here on the restore will be finished, whatever happens."""
        self._point(journal.key, sealed=True)
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
        self.check(journal)
        last = next((step for step in journal.steps if step.path == journal.last), None)
        # Removals first: a file may stand where a folder has to be.
        others = sorted((step for step in journal.steps if step is not last), key=lambda step: step.staged is not None)
        unfinished = [step for step in others if not self._done(step)]
        if last is not None and (unfinished or not self._done(last)):
            self._put_aside(last)
        for step in unfinished:
            self._do(step)
        for folder in sorted({(self.folder / step.path).parent for step in others} | {self.folder}):
            if folder.is_dir():
                sync_folder(folder)
        # A trainer that saves right now is met here: the sign of a model must not come back onto a mixture.
        self._check_in_place(journal, others)
        if last is not None and not self._done(last):
            if _seen(self.folder / last.path) is not None:
                raise self._changed(journal, last, "changed")
            self._do(last)
            sync_folder(self.folder)
        self._check_in_place(journal, list(journal.steps))

    def complete(self, journal: Journal) -> None:
        """Do what `apply` does, remember it for the next snapshot and for `undo`, and remove the workplace."""
        self.apply(journal)
        record = LiveRecord(journal.snapshot, restored=True, backup=journal.backup, place=self.folder.stat().st_ino)
        self._vault.remember(journal.key, record, durable=True)
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
            if self._new:
                with suppress(OSError):
                    self.folder.rmdir()

    def _point(self, key: str, *, sealed: bool) -> None:
        folder = self._vault.source_of(self.folder)
        pointer = {"folder": folder, "name": self.path.name, "key": key, "sealed": sealed}
        self._vault.backend.write(self._pointer, json.dumps(pointer).encode())

    def _aside(self) -> Path:
        return self.path / "aside" / "0"

    def _put_aside(self, step: Step) -> None:
        if _seen(self.folder / step.path) is not None:
            os.replace(self.folder / step.path, self._aside())
            sync_folder(self._aside().parent)
            sync_folder(self.folder)

    def _do(self, step: Step) -> None:
        target = self.folder / step.path
        if step.staged is None:
            if not is_plain_folder(target):
                with suppress(FileNotFoundError):
                    os.unlink(target)
            self._remove_emptied(target.parent)
            return
        if is_plain_folder(target):
            _remove_empty(target)
        make_folder(target.parent)
        os.replace(self.path / step.staged, target)

    def _remove_emptied(self, folder: Path) -> None:
        while folder != self.folder:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def _done(self, step: Step) -> bool:
        """Tell whether a step is behind us: what was staged has left, what is to be removed is gone."""
        if step.staged is None:
            return _seen(self.folder / step.path) is None
        return not os.path.lexists(self.path / step.staged)

    def check(self, journal: Journal) -> None:
        """Raise DamageError where a file is neither the old nor the new one, or the new one is nowhere."""
        for step in journal.steps:
            now = _seen(self.folder / step.path)
            moved_aside = step.path == journal.last and now is None and _seen(self._aside()) == step.old
            if step.staged is not None and self._done(step) and now != step.new:
                raise self._changed(journal, step, "lost")
            if now not in (step.old, step.new) and not moved_aside:
                raise self._changed(journal, step, "changed")

    def _check_in_place(self, journal: Journal, steps: list[Step]) -> None:
        for step in steps:
            if _seen(self.folder / step.path) != step.new:
                raise self._changed(journal, step, "changed")

    def _changed(self, journal: Journal, step: Step, what: str) -> DamageError:
        backup = f"what was there before is snapshot {journal.backup}" if journal.backup else "there is no backup"
        return DamageError(
            f"a restore was interrupted and {self.folder / step.path} was {what} since; it was not finished, "
            f"and {backup}. Restore any snapshot there, or delete {self.path} to keep what is there."
        )


def finish_interrupted(vault: Vault, only: str | None = None, *, held: bool = False) -> list[str]:
    """Finish, or clean up after, every restore into which a crash came; return a sentence for each.

    A restore that is still running is left alone. One that cannot be finished, since its files were changed or are
    in use, is told as well and left as it is. With ``only``, just those of the model with that live key, whose lock
    the caller has if ``held``.
    """
    told = []
    for place, key, sealed in _places(vault, only):
        try:
            with nullcontext() if held else vault.locks.model(key, "finish a restore", wait=0.0):
                sentence = _roll_forward(place, sealed)
        except Locked:
            continue
        except CasvaultError as error:
            sentence = str(error)
        except OSError as error:
            sentence = f"cannot finish the restore in {place.folder} ({error.strerror}); free its files and try again."
        if sentence:
            told.append(sentence)
    return told


def discard_interrupted(vault: Vault, model: Model) -> None:
    """Drop what interrupted restores of ``model`` left in its folder, now that every file is in place.

    The caller holds the model's lock. Also found are workplaces that no pointer of this vault leads to any more.
    """
    for path in model.folder.glob(".casvault_restore_*"):
        if not _FOLDER.fullmatch(path.name):
            continue
        place = Workplace(vault, model.folder, path.name)
        try:
            journal = place.journal()
        except CasvaultError:
            continue
        if journal is not None and journal.key.rpartition("\n")[2] == model.name:
            place.clear()
    for place, _, _ in _places(vault, vault.live_key(model)):
        place.clear()


def _places(vault: Vault, only: str | None) -> list[tuple[Workplace, str, bool]]:
    """Return every workplace that the vault points to, with its model's live key and whether it was sealed."""
    found = []
    for name in pointers(vault):
        pointer = _pointer(vault, name)
        if pointer is not None and only in (None, pointer["key"]):
            place = Workplace(vault, vault.home / pointer["folder"], pointer["name"])
            found.append((place, str(pointer["key"]), bool(pointer.get("sealed"))))
    return found


def _pointer(vault: Vault, name: str) -> dict[str, Any] | None:
    try:
        document = json.loads(vault.backend.read(f"tmp/{name}", 1 << 20))
        for key in ("folder", "name", "key"):
            document[key].encode()
    except (CasvaultError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return document if _FOLDER.fullmatch(document["name"]) else None


def _roll_forward(place: Workplace, sealed: bool) -> str | None:
    if sealed and not place.folder.is_dir():
        return f"a restore into {place.folder} was interrupted; it is finished once that folder is there again."
    journal = place.journal()
    if journal is None:
        place.clear()
        return None
    place.complete(journal)
    backup = f"; what was there before is snapshot {journal.backup}" if journal.backup else ""
    return f"casvault finished the restore of {journal.snapshot} into {place.folder} that was interrupted{backup}."


def _step(fields: Fields) -> Step:
    return Step(
        path=fields.text("path", _safe),
        staged=fields.text_or_none("staged", lambda text: re.fullmatch(r"(files|aside)/\d+", text) is not None),
        old=_read_seen(fields, "old"),
        new=_read_seen(fields, "new"),
    )


def _safe(path: str) -> bool:
    return model_path_problem(path) is None


def _numbers(seen: Seen | None) -> list[str] | None:
    return None if seen is None else [str(number) for number in seen]


def _read_seen(fields: Fields, key: str) -> Seen | None:
    value: Any = fields.values.get(key)
    if value is None:
        return None
    try:
        size, mtime_ns = (int(number) for number in value)
    except (TypeError, ValueError) as error:
        raise fields.bad(key, "is not the size and time of a file") from error
    return size, mtime_ns


def _seen(path: Path) -> Seen | None:
    identity = FileIdentity.at(path)
    return None if identity is None or is_plain_folder(path) else (identity.size, identity.mtime_ns)


def _remove_empty(folder: Path) -> None:
    """Remove ``folder`` and the folders in it; raises OSError where one holds a file."""
    for place, _, _ in os.walk(folder, topdown=False):
        os.rmdir(place)
