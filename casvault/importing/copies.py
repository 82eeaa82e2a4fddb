"""Where copies of models are: the trainer's numbered backups, and folders that hold models and are not their place.

Owns the invariant that a model in its own place is never taken for a copy of itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from casvault.errors import CasvaultError, NotFound, UsageError
from casvault.models import Model, find_models
from casvault.models.backups import backed_up, backups_in
from casvault.models.folder import absolute, is_folder, listing
from casvault.vault.vault import Vault, is_workspace

__all__ = ["Copy", "Found", "find_copies"]


@dataclass(frozen=True)
class Copy:
    """One copy of a model: ``model`` as it lies in its folder; ``name`` is that of the model that it is a copy of.

    ``home`` is the folder where that model is or was; ``number`` tells the order of the trainer's own backups, the
    oldest first, and is None for other copies.
    """

    model: Model
    name: str
    home: Path
    number: int | None = None

    @property
    def folder(self) -> Path:
        """The folder that the copy is in."""
        return self.model.folder


@dataclass
class Found:
    """The copies in a folder, the folders without one, and those that cannot be read, with the reason."""

    copies: list[Copy]
    empty: list[Path]
    unreadable: dict[Path, str]


def find_copies(vault: Vault, folder: Path, source: Path | None = None) -> Found:
    """Return the copies in ``folder``: a model's folder, one with its backups, or one with folders that hold copies.

    ``source`` is the folder where the models are or were, None to find it out. Raises NotFound where there is none,
    StorageError.
    """
    folder = absolute(folder)
    if not folder.is_dir():
        raise NotFound(f"{folder} is not a folder; say one that holds backups or other copies of a model.")
    found = Found([], [], {})
    places = list(_places(folder))
    for place, name in places:
        _look_into(place, name, found)
    if not places:
        _look_into(folder, None, found)
        if found.copies and (_is_home(folder) or _is_known(vault, found.copies)):
            raise UsageError(f"{folder} is where the model itself is; `casvault snapshot` takes a snapshot of it.")
    if not found.copies and not found.empty and not found.unreadable:
        raise NotFound(f"{folder} holds neither backups of a trainer nor folders with copies of a model.")
    homes = _Homes(vault, folder, found.copies, absolute(source) if source is not None else None)
    found.copies = [homes.settle(copy) for copy in found.copies]
    return found


def _places(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield the folders in which copies may lie, and whose backups they are, where that is known."""
    name = backed_up(folder.parent)
    if name is not None and folder in backups_in(folder.parent):
        yield folder, name
    elif backed_up(folder) is not None:
        yield from ((place, backed_up(folder)) for place in backups_in(folder))
    else:
        for child in _folders(folder):
            if backed_up(child) is not None or _is_home(child):
                yield from _places(child)
            elif _holds_models(child):
                yield child, None
            else:
                yield from ((one, None) for one in _folders(child) if backed_up(one) is None and _holds_models(one))


def _folders(folder: Path) -> list[Path]:
    with listing(folder) as entries:
        return [folder / entry.name for entry in entries if is_folder(entry) and not entry.name.startswith(".")]


def _holds_models(folder: Path) -> bool:
    try:
        return bool(find_models(folder))
    except CasvaultError:
        # What is wrong with it is told when it is looked into.
        return True


def _is_home(folder: Path) -> bool:
    """Tell whether ``folder`` is the one that a trainer works in."""
    return folder.name.lower() == "model" and is_workspace(folder.parent)


def _is_known(vault: Vault, copies: list[Copy]) -> bool:
    known = {(head.model_name, head.source) for head in vault.heads()}
    return any((copy.name, vault.source_of(copy.folder)) in known for copy in copies)


def _look_into(place: Path, name: str | None, found: Found) -> None:
    try:
        models = find_models(place)
    except CasvaultError as error:
        found.unreadable[place] = str(error)
        return
    if not models and name is not None:
        found.empty.append(place)
    for model in models:
        number = -int(place.name) if name is not None else None
        home = place.parent.parent if name is not None else place
        # Who renames a model with the trainer renames the folder of its backups, and not the files in there.
        renamed = name is not None and len(models) == 1 and name.rpartition("_")[2] == model.type
        found.copies.append(Copy(model, name if name is not None and renamed else model.name, home, number))


class _Homes:
    """Finds out where the models are of which there are copies."""

    def __init__(self, vault: Vault, folder: Path, copies: list[Copy], given: Path | None) -> None:
        self._vault = vault
        self._given = given
        self._copies = {copy.folder for copy in copies}
        self._around = folder
        self._heads = vault.heads()

    def settle(self, copy: Copy) -> Copy:
        """Return the copy with the folder where its model is, or was."""
        return replace(copy, home=self._given or (copy.home if copy.number is not None else self._of(copy)))

    def _of(self, copy: Copy) -> Path:
        """Return it for a plain copy: beside it, or where the vault knows the model, or where a trainer has one."""
        if self._around not in self._copies and _is_in(self._around, copy.name):
            return self._around
        for head in reversed(self._heads):
            place = Path(os.path.normpath(self._vault.home / head.source))
            mine = (head.model_name, head.document["model"]["kind"]) == (copy.name, copy.model.kind)
            if mine and place not in self._copies:
                return place
        workspace = self._vault.home / "workspace"
        return workspace / "model" if workspace.is_dir() else self._around


def _is_in(place: Path, name: str) -> bool:
    try:
        return any(model.name == name for model in find_models(place))
    except CasvaultError:
        return False
