"""From what people type to the models they mean."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from casvault.errors import AmbiguousError, NotFound, StorageError, UsageError
from casvault.models.backups import AUTOBACKUPS
from casvault.models.deepfacelab import DeepFaceLab
from casvault.models.folder import absolute, is_folder, listing
from casvault.models.generic import Generic, generic_model
from casvault.models.kind import Kind
from casvault.models.model import Model

__all__ = ["KINDS", "find_again", "find_models", "kind_named", "models_below", "resolve"]

KINDS: tuple[Kind, ...] = (DeepFaceLab(), Generic())
"""The trainers that casvault knows."""

_MAX_FOLDERS = 2000
"""Folders that are looked into for models deeper down: enough for a workspace, and soon done on any drive."""


def kind_named(name: str) -> Kind:
    """Return the kind that manifests call ``name``; raises UsageError when there is none."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise UsageError(f"models of the kind {name!r} are not known to this casvault; a newer one may know them.")


def find_models(folder: Path) -> list[Model]:
    """Return the models of all kinds directly in ``folder``, sorted by name; raises as Kind.find does."""
    return sorted((model for kind in KINDS for model in kind.find(folder)), key=lambda model: model.name)


def find_again(model: Model) -> Model:
    """Return ``model`` as it is now: a trainer replaces its files all the time. Raises as Kind.find does."""
    if model.kind == Generic.name:
        return generic_model(model.folder / model.files[0].path if model.single else model.folder, model.name)
    return next(iter(kind_named(model.kind).find(model.folder, model.name)), model)


def resolve(path: Path, name: str | None = None) -> list[Model]:
    """Return the models that ``path``, as it was typed, stands for: one, or all of a folder.

    It is a file of a model; folder + name ("model/new_SAEHD", and "model/new" while only one is called so),
    which need not exist as a file; a folder with models; or else a folder or file that becomes a generic
    model, called ``name`` if given. In a folder with models ``name`` says which one. Raises NotFound,
    AmbiguousError, UsageError, StorageError.
    """
    path = absolute(path)
    inside = find_models(path) if os.path.isdir(path) else []
    named = _named(path)
    if inside and named:
        raise AmbiguousError(
            f"{path} is a folder with models, and a model's name: name a file of the one that you mean."
        )
    found = inside or named or _short_named(path)
    if found:
        return found if name is None else _only(found, name, path)
    beside = sorted(name for _, name in _names_beside(path))
    if beside and not os.path.lexists(path):
        raise NotFound(f"there is no model {path.name!r} in {path.parent}; there is {', '.join(beside[:20])}.")
    model = generic_model(path, name)
    if not model.files:
        raise NotFound(f"there is no file in {path}.")
    return [model]


def models_below(folder: Path, limit: int = 20) -> list[Model]:
    """Return up to ``limit`` models in the folders below ``folder``, the nearest first.

    Left out are hidden folders, links, the trainer's own backups, and what cannot be read or is no model for
    casvault.
    """
    found: list[Model] = []
    waiting = deque(_folders_in(absolute(folder)))
    seen = 0
    while waiting and len(found) < limit and seen < _MAX_FOLDERS:
        current = waiting.popleft()
        seen += 1
        try:
            found += find_models(current)
        except (StorageError, UsageError):
            continue
        waiting += _folders_in(current)
    return found[:limit]


def _folders_in(folder: Path) -> list[Path]:
    try:
        with listing(folder) as entries:
            names = [entry.name for entry in entries if is_folder(entry)]
    except StorageError:
        return []
    return [folder / name for name in names if not name.startswith(".") and not name.endswith(AUTOBACKUPS)]


def _named(path: Path) -> list[Model]:
    """Return the model that has ``path`` as a file, or is called so; its neighbours are not looked at."""
    for kind, name in _names_beside(path):
        if _same_name(name, path.name):
            return kind.find(path.parent, name)
    if os.path.isdir(path) or not os.path.lexists(path):
        return []
    for kind, name in _names_beside(path):
        if path.name[: len(name) + 1].lower() == f"{name}_".lower():
            for model in kind.find(path.parent, name):
                if any(_is_file(path, model.folder / part) for part in _paths(model)):
                    return [model]
    return []


def _short_named(path: Path) -> list[Model]:
    """Return the model called ``path`` and a class, when nothing else is there."""
    if os.path.lexists(path):
        return []
    fits = [(kind, name) for kind, name in _names_beside(path) if _same_name(name.rpartition("_")[0], path.name)]
    if len(fits) > 1:
        names = ", ".join(name for _, name in fits)
        raise AmbiguousError(f"{path} could be any of {names}: say the whole name.")
    return [model for kind, name in fits for model in kind.find(path.parent, name)]


def _names_beside(path: Path) -> Iterator[tuple[Kind, str]]:
    """Yield the kind and the name of every model in the folder of ``path``, the longest name first."""
    with listing(path.parent) as entries:
        names = [entry.name for entry in entries if not is_folder(entry)]
    found = [(kind, name) for kind in KINDS for name in kind.split(names)]
    yield from sorted(found, key=lambda pair: (-len(pair[1]), pair[1]))


def _only(found: list[Model], name: str, path: Path) -> list[Model]:
    chosen = [model for model in found if _same_name(model.name, name)]
    if not chosen:
        names = ", ".join(model.name for model in found)
        raise UsageError(f"{path} is {names}, not a generic model that could be called {name!r}.")
    return chosen


def _same_name(one: str, other: str) -> bool:
    """Compare as the system compares file names, as far as it can be known without a file."""
    return os.path.normcase(one) == os.path.normcase(other)


def _paths(model: Model) -> list[str]:
    return [file.path for file in model.files] + list(model.leftovers)


def _is_file(path: Path, part: Path) -> bool:
    if path.name == part.name:
        return True
    try:
        return path.name.lower() == part.name.lower() and os.path.samefile(path, part)
    except OSError:
        return False
