"""The pictures of a model: those that DeepFaceLab wrote, and the faces that it keeps in ``data.dat``.

Owns the invariant that nothing but a regular file, of a size that a picture may have, is ever read for one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from casvault.errors import FormatError, StorageError
from casvault.files.identity import FileIdentity
from casvault.files.shared_open import open_shared
from casvault.files.source import FileSource
from casvault.formats import Region
from casvault.formats.picture import MAX_PICTURE, Picture, picture_of
from casvault.models.folder import is_folder, listing

__all__ = ["face_batches", "load_picture", "trainer_pictures"]

_SUFFIXES = (".jpg", ".jpeg", ".png")

_TOGETHER_NS = 60_000_000_000
"""Pictures that were written within this many nanoseconds of each other are of one moment."""

_MOST = 20
_SAMPLES = re.compile(r"sample_for_preview/([0-9]{1,3})/([0-9]{1,3})")


def load_picture(path: Path) -> Picture:
    """Read the picture at ``path``; raises FormatError where it is none, too large or being written, OSError where it
    cannot be read.
    """
    descriptor = open_shared(path)
    try:
        identity = FileIdentity.of(os.fstat(descriptor))
        data = FileSource(descriptor, identity.size).read_at(0, min(identity.size, MAX_PICTURE + 1))
        if FileIdentity.of(os.fstat(descriptor))[2:4] != identity[2:4]:
            raise FormatError("it is being written")
    finally:
        os.close(descriptor)
    return picture_of(data)


def trainer_pictures(folder: Path, name: str, copied: bool) -> list[Path]:
    """Return the pictures that DeepFaceLab made of the model ``name`` in ``folder``, the one to take first.

    ``<name>_preview_<view>.jpg`` beside the model, ``<name>_history/<view>/_last.jpg``, and in a folder that is a copy
    of one model (``copied``) ``preview_<view>.jpg``, as in an automatic backup of the trainer's. The newest come first;
    of those that are of one moment, what lies beside the model, then the shortest view: "SAEHD" before "SAEHD masked".
    """
    found = []
    for path, far in _candidates(folder, name, copied):
        try:
            identity = FileIdentity.at(path)
        except OSError:
            continue
        if identity is not None:
            found.append((identity.mtime_ns, far, path.parent.name if far else path.stem, path))
    newest = max((moment for moment, *_ in found), default=0)
    together = [item for item in found if newest - item[0] <= _TOGETHER_NS]
    older = sorted((item for item in found if item not in together), reverse=True)
    return [item[-1] for item in (*sorted(together, key=lambda item: item[1:]), *older)][:_MOST]


def _candidates(folder: Path, name: str, copied: bool) -> Iterator[tuple[Path, bool]]:
    """Yield each path, and whether it lies in the history."""
    starts = (f"{name}_preview_", "preview_") if copied else (f"{name}_preview_",)
    history = folder / f"{name}_history"
    try:
        with listing(folder) as entries:
            names = [entry.name for entry in entries if entry.name.lower().endswith(_SUFFIXES)]
        with listing(history) as entries:
            # A view's folder holds a picture for every few iterations: it is never listed.
            views = [entry.name for entry in entries if is_folder(entry)]
    except StorageError:
        return
    yield from ((folder / one, False) for one in names if one.startswith(starts))
    yield from ((history / view / "_last.jpg", True) for view in views)


def face_batches(regions: Sequence[Region]) -> list[Region]:
    """Return of each of the trainer's generators the batch with its faces, out of the regions of ``data.dat``.

    ``sample_for_preview`` has a list for each generator: the warped face and the face to be learned, and masks, which
    have one colour; an XSeg has only the face.
    """
    faces: dict[int, list[Region]] = {}
    for region in regions:
        match = _SAMPLES.fullmatch(region.name)
        if match and len(region.shape) == 4 and 3 in (region.shape[1], region.shape[3]):
            faces.setdefault(int(match[1]), []).append(region)
    return [sorted(found, key=lambda one: one.offset)[:2][-1] for _, found in sorted(faces.items())]
