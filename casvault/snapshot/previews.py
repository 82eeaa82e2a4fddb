"""Which picture a snapshot gets: the one that was named, else the trainer's, else a sheet of its samples.

Owns the invariant that no picture makes a snapshot fail: one that cannot be had or stored is left out, with a warning.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from casvault.capture import Capture
from casvault.errors import Cancelled, CasvaultError, FormatError
from casvault.formats.picture import Picture, picture_of
from casvault.manifest.manifest import FileEntry, Manifest, Preview, contents_of
from casvault.models import kind_named
from casvault.models.previews import load_picture
from casvault.snapshot.ingest import Ingest

__all__ = ["keep_preview"]

Found = tuple[Picture, str]
"""A picture and its kind."""


def keep_preview(
    taken: Capture,
    files: tuple[FileEntry, ...],
    parent: Manifest | None,
    ingest: Ingest,
    named: Path | None = None,
    *,
    copied: bool = False,
) -> tuple[Preview | None, tuple[str, ...]]:
    """Put the picture of what was captured as ``files`` into the vault; return it, and warnings.

    ``named`` is the one that the caller wants. ``copied`` says that the model's folder holds a copy of it, with
    pictures of its own. A snapshot whose contents are its parent's takes over the parent's picture: what the trainer
    painted since is of another state, and there is nothing to make anew.
    """
    warnings: list[str] = []
    old = parent.preview if parent is not None and _same_files(parent, files) else None
    if old is not None and named is None and not copied and old.kind != "samples" and ingest.rely([old.digest]):
        return old, ()
    for find in (lambda: _named(named, warnings), lambda: _trainers(taken, copied, warnings)):
        kept = _store(find, ingest, warnings)
        if kept is not None:
            return kept, tuple(warnings)
    if old is not None and ingest.rely([old.digest]):
        return old, tuple(warnings)
    return _store(lambda: _sheet(taken, files), ingest, warnings), tuple(warnings)


def _store(find: Callable[[], Found | None], ingest: Ingest, warnings: list[str]) -> Preview | None:
    try:
        found = find()
        if found is None:
            return None
        picture, kind = found
        chunk = ingest.blob(picture.data)
        return Preview(chunk.digest, chunk.size, picture.media_type, kind)
    except Cancelled:
        raise
    except CasvaultError as error:
        warnings.append(f"the picture is left out: {error}")
    except Exception as error:  # noqa: BLE001 - a picture, whatever is in it, must not stop a snapshot
        warnings.append(f"the picture is left out: {type(error).__name__}.")
    return None


def _same_files(parent: Manifest, files: tuple[FileEntry, ...]) -> bool:
    return parent.contents == contents_of({file.path: file.digest for file in files})


def _named(path: Path | None, warnings: list[str]) -> Found | None:
    if path is None:
        return None
    # A link that somebody names is meant; one that lies in a model's folder is not followed.
    picture = _loaded(Path(os.path.realpath(path)), path, warnings)
    return (picture, "file") if picture is not None else None


def _trainers(taken: Capture, copied: bool, warnings: list[str]) -> Found | None:
    model, cut = taken.model, None
    for path in kind_named(model.kind).pictures(model.folder, model.name, copied=copied):
        picture = _loaded(path, path, warnings)
        if picture is not None and picture.whole:
            return picture, "trainer"
        # The trainer may be writing it; half a picture is better than none.
        cut = cut or picture
    return (cut, "trainer") if cut is not None else None


def _loaded(path: Path, shown: Path, warnings: list[str]) -> Picture | None:
    try:
        return load_picture(path)
    except FormatError as error:
        warnings.append(f"the picture {shown} is left out: {error}.")
    except OSError as error:
        warnings.append(f"the picture {shown} is left out: {error.strerror or error}.")
    return None


def _sheet(taken: Capture, files: tuple[FileEntry, ...]) -> Found | None:
    kind = kind_named(taken.model.kind)
    for item, entry in zip(taken.files, files, strict=True):
        batches = kind.faces(entry.role, entry.regions)
        if batches:
            # Imported late: a snapshot of which nothing is coded has no need of numpy, unless for its first picture.
            from casvault.formats.sheet import face_sheet

            data = face_sheet(item.source, batches)
            return (picture_of(data), "samples") if data is not None else None
    return None
