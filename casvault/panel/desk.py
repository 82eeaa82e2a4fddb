"""The desk: which vault the panel has open, and which models it knows.

Owns the invariant that no path ever comes from a browser: models are named by keys that the desk gave out, and what it
gives keys to has snapshots in the vault, was named when the panel was started, or lies near by.
"""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

from casvault import api
from casvault.api import Head, Model, Status, Usage, Vault
from casvault.errors import CasvaultError, NotFound, NoVault

__all__ = ["Desk", "desk_for", "key_of"]

_FRESH = 2.0
"""Seconds for which what was found of models is believed: a page asks for it in several pieces."""


class Desk:
    """The vault at ``path``, which need not be there yet, and the models near ``working``.

    ``models`` are those that were named when the panel was started.
    """

    def __init__(self, path: Path, working: Path, models: tuple[Model, ...] = ()) -> None:
        self.path = path
        self._working = working
        self._named = models
        self._lock = threading.RLock()
        self._vault: Vault | None = None
        self._models: dict[str, Model] = {}
        self._looked: tuple[str, float] | None = None
        self._states: dict[str, tuple[float, Status]] = {}
        self._counting = threading.Lock()
        self._usage: tuple[str, Usage] | None = None
        self._heads: tuple[str, list[Head], list[Head]] | None = None

    @property
    def has_vault(self) -> bool:
        """Whether there is a vault."""
        try:
            return self.vault is not None
        except NoVault:
            return False

    @property
    def vault(self) -> Vault:
        """The vault; raises NoVault as long as there is none."""
        with self._lock:
            if self._vault is None:
                self._vault = api.open(self.path)
            return self._vault

    def make_vault(self) -> Vault:
        """Make the vault, or take the one that is there; raises UsageError, StorageError."""
        with self._lock:
            self._vault = api.init(self.path)
            self._looked = None
            return self._vault

    def models(self) -> dict[str, Model]:
        """Return the models that the panel knows, by their keys: of the vault, as named, and near by."""
        with self._lock:
            now = time.monotonic()
            state = self.vault.fingerprint() if self.has_vault else ""
            if self._looked is None or self._looked[0] != state or now - self._looked[1] > _FRESH:
                found = [*self._named, *(self.vault.live_models() if self.has_vault else [])]
                found += api.models_near(self._working)
                self._models = {}
                for model in found:
                    self._models.setdefault(key_of(model), model)
                self._looked = (state, time.monotonic())
            return dict(self._models)

    def model(self, key: str) -> Model:
        """Return the model that ``key`` stands for, as it is now; raises NotFound."""
        found = self._models.get(key) or self.models().get(key)
        if found is None:
            raise NotFound("there is no such model any more; load the page anew to see which there are.")
        return api.find_again(found)

    def status(self, key: str) -> Status:
        """Return how a model stands to its snapshots; believed for two seconds. Raises NotFound, StorageError."""
        state = self._states.get(key)
        if state is not None and time.monotonic() - state[0] < _FRESH:
            return state[1]
        found = self.vault.status(self.model(key))
        self._states[key] = (time.monotonic(), found)
        return found

    def key_of_head(self, head: Head) -> str:
        """Return the key of the model that a snapshot is of, in the place where it was."""
        folder = self.vault.home / head.source
        return _key(str(folder), head.model_name, str(head.document["model"]["kind"]))

    def snapshots(self, *, deleted: bool = False) -> list[Head]:
        """Return what `Vault.snapshots` returns; believed until snapshots or labels change.

        Where something cannot be read, all is read anew each time. Raises NoVault, StorageError.
        """
        with self._counting:
            state = self.vault.fingerprint()
            if self._heads is None or self._heads[0] != state or self.vault.index.damaged:
                every = self.vault.heads(deleted=True)
                there = [head for head in every if not head.label.deleted]
                self._heads = state, there, [head for head in every if head.label.deleted]
            _, there, gone = self._heads
            return list(gone if deleted else there)

    def usage(self) -> Usage:
        """Return what everything takes; believed until snapshots or labels change. Raises what `Vault.usage` raises."""
        with self._counting:
            state = self.vault.fingerprint()
            if self._usage is None or self._usage[0] != state:
                self._usage = state, self.vault.usage()
            return self._usage[1]

    def forget(self) -> None:
        """Look at everything anew next time."""
        self._looked = None
        self._usage = None
        self._heads = None
        self._states.clear()

    def finish_interrupted(self) -> list[str]:
        """Finish restores into which a crash came; return a sentence for each, also where one cannot be."""
        try:
            return self.vault.finish_interrupted() if self.has_vault else []
        except CasvaultError as error:
            return [str(error)]


def key_of(model: Model) -> str:
    """Return the key of a model: 16 hex digits that stand for its place and name."""
    return _key(str(model.folder), model.name, model.kind)


def _key(folder: str, name: str, kind: str) -> str:
    return hashlib.sha256(f"{folder}\n{name}\n{kind}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def desk_for(named: str | None, working: Path, model: str | None = None) -> Desk:
    """Return the desk for a vault that was named, else for the one of ``model``, else for the one around ``working``.

    Where there is none, the desk is for the place where a new one belongs. Raises NotFound, AmbiguousError, UsageError
    for a model that is none.
    """
    typed = Path(model) if model is not None else None
    if named is not None:
        path = Path(named).absolute()
    else:
        try:
            path = api.find_vault(typed, working)
        except NoVault:
            path = api.place_for_vault(working, typed)
    if model is None:
        return Desk(path, working)
    try:
        models = api.open(path).models(model)
    except NoVault:
        models = api.models_at(Path(model))
    return Desk(path, working, tuple(models))
