"""The bytes of captured files: held open, opened again for each read, or copied.

A file that is held outlives its deletion. Where an open file keeps its name taken even so, and the trainer could not
put a new one in its place, it is opened for moments only, and what has to be read is copied away quickly.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from casvault.errors import IncompleteSave, StorageError
from casvault.files.identity import FileIdentity
from casvault.files.shared_open import open_shared
from casvault.files.source import FileSource

__all__ = ["PathSource", "copy_away", "hold"]

_PIECE = 8 << 20


class PathSource:
    """A file that is opened again for each read."""

    def __init__(self, path: Path, identity: FileIdentity) -> None:
        self._path = path
        self._identity = identity

    @property
    def size(self) -> int:
        """Length in bytes when it was captured."""
        return self._identity.size

    def identity(self) -> FileIdentity | None:
        """Return what stat says of the file now."""
        return FileIdentity.at(self._path)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset``."""
        descriptor = open_shared(self._path)
        try:
            return FileSource(descriptor, self._identity.size).read_at(offset, length)
        finally:
            os.close(descriptor)


def hold(path: Path, identity: FileIdentity) -> int:
    """Return a descriptor of the file that had ``identity``; raises IncompleteSave where it is another one now,
    StorageError.
    """
    try:
        descriptor = open_shared(path)
    except FileNotFoundError as error:
        raise _replaced(path) from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}.") from error
    if FileIdentity.of(os.fstat(descriptor)) != identity:
        os.close(descriptor)
        raise _replaced(path)
    return descriptor


def copy_away(path: Path, identity: FileIdentity) -> BinaryIO:
    """Return a copy of the file that had ``identity``: a temporary file that goes when it is closed.

    Raises IncompleteSave where it is another file now, or was written to meanwhile; StorageError.
    """
    import tempfile

    descriptor = hold(path, identity)
    try:
        with ExitStack() as until_whole:
            copy = until_whole.enter_context(tempfile.TemporaryFile(prefix="casvault_", buffering=0))
            while piece := os.read(descriptor, _PIECE):
                view = memoryview(piece)
                while view:
                    view = view[copy.write(view) :]
            if FileIdentity.of(os.fstat(descriptor)) != identity or copy.tell() != identity.size:
                raise _replaced(path)
            until_whole.pop_all()
    except OSError as error:
        raise StorageError(f"cannot copy {path} to {tempfile.gettempdir()}: {error.strerror or error}.") from error
    finally:
        os.close(descriptor)
    return copy


def _replaced(path: Path) -> IncompleteSave:
    return IncompleteSave(f"{path.name} was replaced while it was read; try again when no save is under way.")
