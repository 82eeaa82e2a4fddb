"""A manifest: the immutable document of one snapshot.

Owns the invariant that a manifest which was parsed is safe to act upon: its paths stay inside a model's folder on every
system, its sizes add up, its digests are digests. The document's layout is in docs/format.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from casvault.digest import Hasher, is_digest
from casvault.errors import UnsupportedVault
from casvault.files.names import case_twins, model_path_problem
from casvault.formats.picture import MAX_PICTURE, MEDIA_TYPES
from casvault.formats.region import ITEM_SIZES, Region
from casvault.manifest.document import Fields, read_document, write_document
from casvault.manifest.stamp import Stamp, is_time

__all__ = [
    "FORMAT",
    "KINDS",
    "PREVIEW_KINDS",
    "ChunkRef",
    "Fault",
    "FileEntry",
    "Held",
    "Manifest",
    "Preview",
    "contents_of",
    "read_held",
]

FORMAT = 1
KINDS = ("manual", "auto-backup", "scheduled", "imported")
PREVIEW_KINDS = ("trainer", "file", "samples")
_MAX_DIMENSIONS = 32
_MAX_NAME = 255
_NANOSECONDS = re.compile(r"-?[0-9]{1,19}")


@dataclass(frozen=True)
class ChunkRef:
    """A chunk of a file: its digest and its size in plain bytes."""

    digest: str
    size: int


@dataclass(frozen=True)
class Fault:
    """What speaks against a tensor: how many of its numbers are NaN or infinite, and whether it came to be constant,
    which is ``flat``: all numbers are one that they were not in an earlier snapshot.
    """

    name: str
    nan: int = 0
    inf: int = 0
    flat: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the fault as it stands in a manifest: the name, and what is not 0 or false."""
        told = {"nan": self.nan, "inf": self.inf, "flat": self.flat}
        return {"name": self.name, **{key: value for key, value in told.items() if value}}


@dataclass(frozen=True)
class FileEntry:
    """A file of a snapshot; ``size`` in bytes, ``mtime_ns`` in nanoseconds since 1970, ``mode`` the permission bits.

    ``faults`` are of those tensors that are not as they should be.
    """

    path: str
    role: str
    size: int
    mtime_ns: int
    mode: int
    digest: str
    chunks: tuple[ChunkRef, ...]
    regions: tuple[Region, ...] = ()
    faults: tuple[Fault, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it stands in a manifest; there is no word of faults where there are none."""
        entry = {
            "path": self.path,
            "role": self.role,
            "size": self.size,
            "mtime_ns": str(self.mtime_ns),
            "mode": self.mode,
            "digest": self.digest,
            "chunks": [{"digest": chunk.digest, "size": chunk.size} for chunk in self.chunks],
            "regions": [
                {"name": r.name, "offset": r.offset, "size": r.size, "dtype": r.dtype, "shape": list(r.shape)}
                for r in self.regions
            ],
        }
        if self.faults:
            entry["faults"] = [fault.to_json() for fault in self.faults]
        return entry


@dataclass(frozen=True)
class Preview:
    """A picture of a snapshot: one chunk of the vault, no file of the model, so a restore never writes it.

    ``size`` is in bytes. ``kind`` is ``trainer`` for one that the trainer made, ``file`` for one that was named, and
    ``samples`` for faces out of the trainer's own record.
    """

    digest: str
    size: int
    media_type: str
    kind: str

    def to_json(self) -> dict[str, Any]:
        """Return the picture as it stands in a manifest."""
        return {"digest": self.digest, "size": self.size, "media_type": self.media_type, "kind": self.kind}


@dataclass(frozen=True)
class Manifest:
    """One snapshot. Times are ISO 8601 in UTC; what is unknown is None.

    ``source`` is the model's folder; ``single`` says that the model is one file in it and not the whole of it.
    ``since_key`` counts the snapshots along the parents since one that no delta was taken for; 0: this is one.
    """

    id: str
    created: str
    saved_at: str | None
    kind: str
    model_kind: str
    model_name: str
    model_type: str | None
    source: str
    iteration: int | None
    run: int
    loss: dict[str, Any] | None
    loss_last: dict[str, Any] | None
    options: dict[str, Any] | None
    meta: dict[str, Any] | None
    parent: str | None
    restored_from: str | None
    incomplete: bool
    health: dict[str, Any] | None
    files: tuple[FileEntry, ...]
    single: bool = False
    since_key: int = 0
    preview: Preview | None = None

    @property
    def logical_size(self) -> int:
        """Plain bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def contents(self) -> str:
        """A digest of paths and bytes: two snapshots with equal contents restore to equal files."""
        return contents_of({file.path: file.digest for file in self.files})

    def chunks(self, thinned: Collection[str] = ()) -> Iterator[ChunkRef]:
        """Yield every chunk that the snapshot needs: those of its files but for the ``thinned`` paths, in order, and
        its picture; one that occurs twice comes twice.
        """
        for file in self.files:
            if file.path not in thinned:
                yield from file.chunks
        if self.preview is not None:
            yield ChunkRef(self.preview.digest, self.preview.size)

    def head(self) -> dict[str, Any]:
        """Return everything but the files, as it stands in the document."""
        return {
            "format": FORMAT,
            "id": self.id,
            "created": self.created,
            "saved_at": self.saved_at,
            "kind": self.kind,
            "model": {
                "kind": self.model_kind,
                "name": self.model_name,
                "type": self.model_type,
                "source": self.source,
                "single": self.single,
            },
            "iteration": self.iteration,
            "run": self.run,
            "loss": self.loss,
            "loss_last": self.loss_last,
            "options": self.options,
            "meta": self.meta,
            "parent": self.parent,
            "since_key": self.since_key,
            "restored_from": self.restored_from,
            "incomplete": self.incomplete,
            "health": self.health,
            "preview": self.preview.to_json() if self.preview is not None else None,
        }

    def to_bytes(self) -> bytes:
        """Return the document."""
        return write_document({**self.head(), "files": [file.to_json() for file in self.files]})

    @classmethod
    def parse(cls, data: bytes, name: str) -> Manifest:
        """Read the document of the snapshot whose id is ``name``; raises BadManifest, UnsupportedVault."""
        fields = read_document(data, f"manifest {name}")
        if fields.values.get("format") != FORMAT:
            raise _newer(name)
        if fields.text("id", Stamp.valid) != name:
            raise fields.bad("id", "is not the name it is stored under")
        files = fields.items("files", lambda item: _file(Fields(item, fields.name)))
        twins = case_twins(file.path for file in files)
        if twins is not None:
            raise fields.bad("files", f"holds {twins[0]!r} and {twins[1]!r}, which some systems take for one")
        model = Fields(fields.values.get("model"), fields.name)
        if model.flag("single") and len(files) != 1:
            raise fields.bad("files", "are not one, as the model's are")
        return cls(
            id=name,
            created=fields.text("created", is_time),
            saved_at=fields.text_or_none("saved_at", is_time),
            kind=fields.text("kind", KINDS.__contains__),
            model_kind=model.text("kind"),
            model_name=model.text("name", _is_model_name),
            model_type=model.text_or_none("type"),
            source=model.text("source"),
            iteration=fields.whole_or_none("iteration"),
            run=fields.whole("run"),
            loss=fields.numbers("loss"),
            loss_last=fields.numbers("loss_last"),
            options=fields.scalars("options"),
            meta=fields.scalars("meta"),
            parent=fields.text_or_none("parent", Stamp.valid),
            restored_from=fields.text_or_none("restored_from", Stamp.valid),
            incomplete=fields.flag("incomplete"),
            health=_health(fields),
            files=files,
            single=model.flag("single"),
            # Versions before deltas did not write it.
            since_key=fields.whole("since_key") if "since_key" in fields.values else 0,
            preview=_preview(fields),
        )


class Held(NamedTuple):
    """What a manifest says that a snapshot holds: path -> size and chunks of its files, and its picture's chunk."""

    files: dict[str, tuple[int, tuple[ChunkRef, ...]]]
    picture: ChunkRef | None


def read_held(data: bytes, name: str) -> Held:
    """Return what a manifest holds, and nothing else of it; raises what `Manifest.parse` does.

    For who reads thousands of manifests to learn what is needed; what comes out is not checked for restoring.
    """
    fields = read_document(data, f"manifest {name}")
    if fields.values.get("format") != FORMAT:
        raise _newer(name)
    if fields.text("id", Stamp.valid) != name:
        raise fields.bad("id", "is not the name it is stored under")
    try:
        found = {
            file["path"]: (file["size"], tuple(ChunkRef(c["digest"], c["size"]) for c in file.get("chunks") or ()))
            for file in fields.values.get("files") or ()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise fields.bad("files", "are not of their form") from error
    for size, chunks in found.values():
        if type(size) is not int or not all(is_digest(c.digest) and type(c.size) is int for c in chunks):
            raise fields.bad("files", "are not of their form")
    preview = _preview(fields)
    return Held(found, ChunkRef(preview.digest, preview.size) if preview is not None else None)


def _newer(name: str) -> UnsupportedVault:
    return UnsupportedVault(f"manifest {name} was written by a newer casvault; update this one to read it.")


def contents_of(digests: dict[str, str]) -> str:
    """Return the contents digest for files given as path -> digest."""
    hasher = Hasher()
    for path in sorted(digests):
        hasher.update(f"{digests[path]} {path}\n".encode())
    return hasher.hexdigest()


def _file(fields: Fields) -> FileEntry:
    path = fields.text("path")
    problem = model_path_problem(path)
    if problem is not None:
        raise fields.bad(f"the path {path[:80]!r}", problem)
    size = fields.whole("size")
    chunks = fields.items("chunks", lambda item: _chunk(Fields(item, fields.name)))
    if sum(chunk.size for chunk in chunks) != size:
        raise fields.bad(f"{path}: its chunks", "do not add up to its size")
    return FileEntry(
        path=path,
        role=fields.text("role", lambda text: model_path_problem(text) is None),
        size=size,
        mtime_ns=int(fields.text("mtime_ns", _is_nanoseconds)),
        mode=fields.whole("mode") & 0o777,
        digest=fields.text("digest", is_digest),
        chunks=chunks,
        regions=fields.items("regions", lambda item: _region(Fields(item, fields.name), size)),
        faults=fields.items("faults", lambda item: _fault(Fields(item, fields.name))),
    )


def _chunk(fields: Fields) -> ChunkRef:
    size = fields.whole("size")
    if size == 0:
        raise fields.bad("a chunk", "is empty")
    return ChunkRef(fields.text("digest", is_digest), size)


def _region(fields: Fields, file_size: int) -> Region:
    shape = fields.values.get("shape")
    if not isinstance(shape, list) or len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise fields.bad("a region's shape", "is not a list of numbers")
    region = Region(
        name=fields.text("name"),
        offset=fields.whole("offset"),
        size=fields.whole("size"),
        dtype=fields.text("dtype", ITEM_SIZES.__contains__),
        shape=tuple(shape),
    )
    if region.end > file_size:
        raise fields.bad("a region", "reaches past the end of its file")
    return region


def _preview(fields: Fields) -> Preview | None:
    value = fields.values.get("preview")
    if value is None:
        return None
    preview = Fields(value, fields.name)
    size = preview.whole("size")
    if not 0 < size <= MAX_PICTURE:
        raise fields.bad("preview", "is empty or too large")
    return Preview(
        digest=preview.text("digest", is_digest),
        size=size,
        media_type=preview.text("media_type", MEDIA_TYPES.__contains__),
        kind=preview.text("kind", PREVIEW_KINDS.__contains__),
    )


def _fault(fields: Fields) -> Fault:
    nan, inf = (fields.whole_or_none(key) or 0 for key in ("nan", "inf"))
    return Fault(fields.text("name"), nan, inf, fields.flag("flat"))


def _health(fields: Fields) -> dict[str, Any] | None:
    value = fields.values.get("health")
    if value is None:
        return None
    health = Fields(value, fields.name)
    findings = health.items("findings", str)
    if not all(isinstance(item, str) for item in value.get("findings", [])):
        raise fields.bad("health", "holds findings that are not sentences")
    return {"state": health.text("state"), "findings": list(findings)}


def _is_nanoseconds(text: str) -> bool:
    return _NANOSECONDS.fullmatch(text) is not None and abs(int(text)) < 1 << 63


def _is_model_name(text: str) -> bool:
    return 0 < len(text) <= _MAX_NAME and text.isprintable() and not set(text) & set("/\\")
