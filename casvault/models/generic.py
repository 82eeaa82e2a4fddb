"""Models of trainers that casvault knows nothing about: a file, or all files below a folder."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from casvault.errors import NotFound, StorageError, UsageError
from casvault.models.folder import (
    OWN_PREFIX,
    absolute,
    check_entry,
    check_file,
    check_text,
    is_folder,
    listing,
)
from casvault.models.kind import Kind, Parts, check_name
from casvault.models.model import Model, ModelFile

__all__ = ["Generic", "generic_model"]


class Generic(Kind):
    """A model without meaning: paths are roles, its state is unknown, no file is an optimizer for sure."""

    name = "generic"

    def split(self, names: Collection[str]) -> dict[str, Parts]:
        """Return nothing: what is a generic model only people can say."""
        return {}


def generic_model(path: Path, name: str | None = None) -> Model:
    """Return the file ``path``, or all files below the folder ``path``, as a model; ``name`` is else the path's.

    A folder without files gives a model without files. Raises UsageError when something in it is no regular
    file, or cannot be restored under its name, or ``name`` can be none; NotFound when nothing is there;
    StorageError as the disk does.
    """
    path = absolute(path)
    if name is not None and name != path.name:
        check_name(name)
    if path.name.lower().startswith(OWN_PREFIX):
        raise UsageError(f"{path} is casvault's own, not a model.")
    called = name or path.name
    if not called:
        raise UsageError(f"{path} has no name of its own; give the model one with --model NAME.")
    if os.path.isdir(path):
        return Model(Generic.name, called, None, path, tuple(_files_below(path)))
    try:
        there = check_file(str(path), path.name)
    except NotADirectoryError:
        there = False
    except OSError as error:
        raise StorageError(f"cannot look at {path}: {error.strerror or error}.") from error
    if not there:
        raise NotFound(f"{path} is not there.")
    return Model(Generic.name, called, None, path.parent, (ModelFile(path.name, path.name),), single=True)


def _files_below(folder: Path) -> list[ModelFile]:
    found = []
    waiting = [("", folder)]
    while waiting:
        prefix, current = waiting.pop()
        with listing(current) as entries:
            for entry in entries:
                path = prefix + entry.name
                if is_folder(entry):
                    check_text(entry.path)
                    waiting.append((path + "/", current / entry.name))
                elif check_entry(entry, path):
                    found.append(ModelFile(path, path))
    return sorted(found, key=lambda file: file.path)
