"""Taking a snapshot: capture, ingest, commit.

Owns the invariants that a snapshot exists wholly or not at all, and that it is marked incomplete unless what it holds
was one whole save.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from casvault.capture import Capture, Patience, capture
from casvault.capture.hashing import digest_of_source
from casvault.errors import CasvaultError, IncompleteSave, UsageError
from casvault.files.identity import FileIdentity, clock_ns
from casvault.files.names import case_twins
from casvault.health.faults import Inspector
from casvault.health.verdict import judge
from casvault.manifest.label import Label, check_name, check_notes
from casvault.manifest.manifest import FileEntry, Manifest, contents_of
from casvault.manifest.stamp import iso_of_ns, to_iso
from casvault.models import Model, State, kind_named
from casvault.progress import Progress
from casvault.snapshot.bases import Bases
from casvault.snapshot.ingest import Ingest, ingesting, on_all_cores
from casvault.snapshot.origin import Origin
from casvault.snapshot.previews import keep_preview
from casvault.vault.head import Head
from casvault.vault.live import LiveRecord
from casvault.vault.parent import chunks_on_disk, heads_from, parent_of
from casvault.vault.vault import Vault

__all__ = ["Annotation", "SnapshotResult", "take", "take_held"]

_TRIES = 5
_LATEST_NS = 1 << 63
_BRIEF = 2.0
"""Seconds to wait for a save under the model's lock: it was whole a moment ago."""


@dataclass(frozen=True)
class Annotation:
    """What the caller knows about a snapshot: its name and notes, its state where the trainer is not known, the
    file of its picture, and the model that it is of, where what is captured is a copy.
    """

    name: str | None = None
    notes: str | None = None
    kind: str = "manual"
    iteration: int | None = None
    loss: Mapping[str, float] | None = None
    meta: Mapping[str, str] | None = None
    preview: Path | None = None
    origin: Origin | None = None

    def checked(self) -> Annotation:
        """Return the same with name and notes as they will be kept; raises UsageError."""
        for text in (*(self.loss or ()), *(self.meta or ()), *(self.meta or {}).values()):
            if not text.isprintable():
                raise UsageError(f"{text!r} has characters that cannot be shown; say it without them.")
        return replace(self, name=check_name(self.name), notes=check_notes(self.notes))


@dataclass(frozen=True)
class SnapshotResult:
    """What a snapshot did.

    ``new_bytes`` are plain bytes that the vault did not have, ``stored_bytes_added`` what their objects take,
    ``read_bytes`` what was read of the model; ``existing`` tells that nothing was stored, since a snapshot with the
    same contents was there.
    """

    head: Head
    new_bytes: int
    stored_bytes_added: int
    read_bytes: int
    seconds: float
    existing: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The snapshot's id."""
        return self.head.id

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            **self.head.to_json(),
            "new_bytes": self.new_bytes,
            "stored_bytes_added": self.stored_bytes_added,
            "read_bytes": self.read_bytes,
            "seconds": round(self.seconds, 3),
            "warnings": list(self.warnings),
        }


@dataclass
class _Previous:
    """What the vault knows of the live model from before; ``siblings`` are the snapshots that have the same parent."""

    record: LiveRecord | None = None
    backup: str | None = None
    manifest: Manifest | None = None
    files: dict[str, FileEntry] = field(default_factory=dict)
    siblings: int = 0

    def known(self) -> tuple[Mapping[str, FileIdentity], State] | None:
        """Return identities and state of the whole save that was captured last, None where that cannot be told."""
        if self.record is None or self.manifest is None or self.manifest.incomplete or not self.record.files:
            return None
        manifest = self.manifest
        # What its health is stands in the manifest, which is taken over for a model that did not change.
        return self.record.files, State(manifest.iteration, manifest.loss, manifest.loss_last, manifest.options)


def take(
    vault: Vault,
    find: Callable[[], Model],
    annotation: Annotation,
    patience: Patience,
    progress: Progress | None = None,
    *,
    read_all: bool = False,
) -> SnapshotResult:
    """Take a snapshot of the model that ``find`` looks up; raises what capture and the backend raise.

    With ``read_all`` every byte is read, also of files that look unchanged.
    """
    annotation, progress = annotation.checked(), progress or Progress()
    vault.check_outside_of(find())
    end = time.monotonic() + patience.seconds
    for attempt in range(_TRIES):
        # No lock is held while the trainer is waited for; what is whole then is captured again under the lock.
        with capture(find, patience, _previous(vault, find()).known(), progress) as seen:
            whole = seen.incomplete is None
        patience = replace(patience, next_save=False, seconds=max(0.0, end - time.monotonic()))
        give_in = patience.allow_incomplete and (not whole or attempt == _TRIES - 1)
        brief = replace(patience, seconds=min(patience.seconds, _BRIEF), allow_incomplete=give_in)
        try:
            with vault.locks.model(vault.live_key(find()), "snapshot"):
                return _take(vault, find, annotation, brief, progress, held=False, read_all=read_all)
        except IncompleteSave:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def take_held(
    vault: Vault, find: Callable[[], Model], annotation: Annotation, patience: Patience, progress: Progress
) -> SnapshotResult:
    """Do what `take` does for a caller that holds the vault's shared lock and the model's already."""
    return _take(vault, find, annotation.checked(), patience, progress, held=True, read_all=False)


def _take(
    vault: Vault,
    find: Callable[[], Model],
    annotation: Annotation,
    patience: Patience,
    progress: Progress,
    held: bool,
    read_all: bool,
) -> SnapshotResult:
    begun = time.monotonic()
    model = find()
    previous = _previous(vault, model, annotation.origin)
    if read_all and previous.record is not None:
        previous = replace(previous, record=replace(previous.record, files={}))
    for attempt in range(_TRIES):
        # By the clock before the first open: what is written after that must not pass for settled.
        now = _clock(vault, model)
        known = previous.known()
        with capture(find, patience, known, progress) as taken:
            _check_files(taken)
            unchanged = known is not None and taken.state is known[1]
            try:
                taken.keep(previous.record.files if previous.record is not None else {})
                with nullcontext() if held else vault.locks.shared("snapshot"):
                    last = attempt == _TRIES - 1
                    result = _ingest(vault, taken, annotation, previous, progress, last=last, unchanged=unchanged)
                    if not result.existing and annotation.origin is None:
                        _remember(vault, taken, result.id, previous, now)
            except IncompleteSave:
                # Written to in place while it was read: what was read is void.
                if attempt == _TRIES - 1:
                    raise
                continue
        return replace(result, seconds=time.monotonic() - begun)
    raise AssertionError("unreachable")


def _ingest(
    vault: Vault,
    taken: Capture,
    annotation: Annotation,
    previous: _Previous,
    progress: Progress,
    *,
    last: bool,
    unchanged: bool,
) -> SnapshotResult:
    vault.objects.forget()
    if annotation.kind == "auto-backup":
        same = _same_contents(vault, taken, progress)
        if same is not None:
            return SnapshotResult(same, 0, 0, sum(f.identity.size for f in taken.files), 0.0, existing=True)
    progress.start("storing", sum(item.identity.size for item in taken.files))
    kind, iteration = kind_named(taken.model.kind), taken.state.iteration
    since = (iteration or 0) - ((previous.manifest.iteration or 0) if previous.manifest is not None else 0)
    forgot = partial(kind.forgot, iterations=since)
    bases = Bases(vault.objects, previous.manifest, vault.config.max_depth, previous.siblings, forgot)
    careful = annotation.kind == "auto-backup"
    inspector = Inspector(vault, kind, previous.manifest, iteration)
    on_disk = frozenset[str]() if careful else chunks_on_disk(vault, previous.manifest)
    with ingesting(vault, progress, bases, inspector, on_disk, careful=careful) as ingest:
        entries, origin = _entries(taken, previous, ingest), annotation.origin
        files = tuple(entries if origin is None else origin.renamed(entries, taken.model))
        changed = taken.changed()
        if changed is not None:
            if not (last and taken.incomplete):
                raise IncompleteSave(f"{changed} kept changing while it was read; try again when it is at rest.")
            taken.incomplete = f"{changed} changed while it was read"
        preview, remarks = keep_preview(
            taken, files, previous.manifest, ingest, annotation.preview, copied=origin is not None
        )
        ingest.flush()
        health = previous.manifest.health if unchanged and previous.manifest else _health(taken, previous, entries)
        manifest = _manifest(vault, taken, annotation, previous, files, bases.since_key, health)
        manifest = replace(manifest, preview=preview)
        progress.check()
        head = vault.commit(manifest, Label(manifest.id, annotation.name, annotation.notes))
    progress.finish()
    return SnapshotResult(
        head=head,
        new_bytes=ingest.new_bytes,
        stored_bytes_added=ingest.stored_bytes,
        read_bytes=ingest.read_bytes,
        seconds=0.0,
        warnings=(*_warnings(taken.incomplete, health["findings"] if health else ()), *remarks),
    )


def _warnings(incomplete: str | None, findings: Sequence[str]) -> tuple[str, ...]:
    """Return what has to be said of a snapshot, each thing once."""
    told = incomplete is None or any(finding.startswith(incomplete) for finding in findings)
    return tuple(findings) if told or incomplete is None else (incomplete, *findings)


def _health(taken: Capture, previous: _Previous, files: Sequence[FileEntry]) -> dict[str, Any] | None:
    """Return what a manifest says of the model's health."""
    kind = kind_named(taken.model.kind)
    without = {entry.path for entry in files if not entry.regions}
    unreadable = [kind.unreadable(item.file.role, item.source) for item in taken.files if item.file.path in without]
    told = [(entry.path, entry.role, entry.faults) for entry in files]
    sentences = [sentence for sentence in unreadable if sentence is not None]
    return judge(kind, taken.model.type, taken.state, told, sentences, previous.manifest).to_json()


def _entries(taken: Capture, previous: _Previous, ingest: Ingest) -> list[FileEntry]:
    entries: dict[str, FileEntry | Callable[[], FileEntry]] = {}
    identities = previous.record.files if previous.record is not None else {}
    # The largest first: it keeps the workers busy while the others are made out, and little is left for one at the end.
    for item in sorted(taken.files, key=lambda item: item.identity.size, reverse=True):
        path = item.file.path
        entry = previous.files.get(path)
        unchanged = entry is not None and identities.get(path) == item.identity
        entries[path] = entry if entry is not None and unchanged and ingest.reuse(entry) else ingest.file(item)
    made = (entries[item.file.path] for item in taken.files)
    return [entry if isinstance(entry, FileEntry) else entry() for entry in made]


def _manifest(
    vault: Vault,
    taken: Capture,
    annotation: Annotation,
    previous: _Previous,
    files: tuple[FileEntry, ...],
    since_key: int,
    health: dict[str, Any] | None,
) -> Manifest:
    model, state = taken.model, taken.state
    parent, origin = previous.manifest, annotation.origin
    iteration = annotation.iteration if annotation.iteration is not None else state.iteration
    restarted = (
        parent is not None and iteration is not None and parent.iteration is not None and iteration < parent.iteration
    )
    return Manifest(
        id=vault.new_id(),
        created=to_iso(datetime.now(timezone.utc)),
        saved_at=iso_of_ns(taken.saved_ns),
        kind=annotation.kind,
        model_kind=model.kind,
        model_name=model.name if origin is None else origin.name,
        model_type=model.type,
        source=vault.source_of(model.folder) if origin is None else origin.source,
        single=model.single,
        iteration=iteration,
        run=(parent.run if parent is not None else 0) + restarted,
        loss=dict(annotation.loss) if annotation.loss else state.loss,
        loss_last=dict(annotation.loss) if annotation.loss else state.loss_last,
        options=state.options,
        meta=dict(annotation.meta) if annotation.meta else None,
        parent=parent.id if parent is not None else None,
        since_key=since_key,
        restored_from=previous.record.snapshot if previous.record is not None and previous.record.restored else None,
        incomplete=taken.incomplete is not None,
        health=health,
        files=files,
    )


def _previous(vault: Vault, model: Model, origin: Origin | None = None) -> _Previous:
    record = vault.live(vault.live_key(model)) if origin is None else None
    backup = record.backup if record is not None else None
    heads = heads_from(vault, record)
    id = parent_of(vault, model, heads, record) if origin is None else origin.parent
    if id is None:
        return _Previous(backup=backup)
    if record is not None and record.snapshot != id:
        record = None
    try:
        manifest = vault.manifest(id)
    except CasvaultError:
        # A damaged parent costs a full read, no more; verify tells of it.
        return _Previous(backup=backup)
    siblings = sum(head.document["parent"] == id for head in heads)
    return _Previous(record, backup, manifest, {file.path: file for file in manifest.files}, siblings)


def _same_contents(vault: Vault, taken: Capture, progress: Progress) -> Head | None:
    """Return a snapshot with exactly the contents of the capture, None where there is none."""
    total = sum(item.identity.size for item in taken.files)
    rivals = [head for head in vault.heads() if head.size == total and not head.label.thinned]
    rivals = [head for head in rivals if head.file_count == len(taken.files) and _same_kind(head, taken.model)]
    if not rivals:
        return None
    progress.start("comparing", total)
    digests = on_all_cores(vault.threads, lambda item: digest_of_source(item.source, progress), taken.files)
    progress.finish()
    contents = contents_of({item.file.path: digest for item, digest in zip(taken.files, digests, strict=True)})
    # One that people named says more in "is kept as" than the newest.
    for head in sorted(
        rivals, key=lambda head: (head.kind != "auto-backup", head.name is not None, head.id), reverse=True
    ):
        if head.contents == contents and _is_whole(vault, head.id):
            return head
    return None


def _same_kind(head: Head, model: Model) -> bool:
    """Tell whether a snapshot is of such a model: one file's is never that of a whole folder, whatever is in it."""
    told = head.document["model"]
    return (told["kind"], told["name"], told["single"]) == (model.kind, model.name, model.single)


def _is_whole(vault: Vault, id: str) -> bool:
    try:
        # Its picture is no part of the model: a backup without it is a whole one.
        digests = sorted({chunk.digest for file in vault.manifest(id).files for chunk in file.chunks})
        return all(on_all_cores(vault.threads, vault.objects.is_whole, digests))
    except CasvaultError:
        return False


def _clock(vault: Vault, model: Model) -> int:
    try:
        device = model.folder.stat().st_dev
    except OSError:
        device = -1
    return clock_ns(vault.path / "tmp" if vault.path is not None else model.folder, device)


def _remember(vault: Vault, taken: Capture, id: str, previous: _Previous, now: int) -> None:
    """Remember what is in place now; a failure costs a full read the next time, no more."""
    settled = {item.file.path: item.identity for item in taken.files if item.identity.settled(now)}
    with suppress(CasvaultError, OSError):
        record = LiveRecord(id, False, previous.backup, settled, taken.model.folder.stat().st_ino)
        vault.remember(vault.live_key(taken.model), record)


def _check_files(taken: Capture) -> None:
    """Refuse what could not be restored everywhere; raises UsageError."""
    for item in taken.files:
        if abs(item.identity.mtime_ns) >= _LATEST_NS:
            raise UsageError(f"{item.file.path} has a time stamp that cannot be recorded; `touch` it, then try again.")
    twins = case_twins(item.file.path for item in taken.files)
    if twins is not None:
        raise UsageError(f"the files {twins[0]!r} and {twins[1]!r} are one file on Windows and macOS; rename one.")
