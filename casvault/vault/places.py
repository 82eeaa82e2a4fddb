"""Where models are: from what people type, and from what a vault knows, to the models that are in place.

Owns the invariant that a model whose trainer is not known keeps its name: a folder or file that was snapshotted or
restored under a name is that model, whatever the folder is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from casvault.errors import AmbiguousError, CasvaultError, NotFound
from casvault.models import Model, resolve
from casvault.vault.head import Head
from casvault.vault.references import is_model_name
from casvault.vault.vault import Vault

__all__ = ["all_in_place", "models_at", "only", "place_of"]


def models_at(vault: Vault, typed: str | Path, name: str | None = None) -> list[Model]:
    """Return the models that ``typed`` stands for: a path, or the name of one that was snapshotted and is in its place.

    ``name`` is what a generic model is to be called. Raises NotFound, AmbiguousError, UsageError, StorageError.
    """
    path = Path(typed)
    if isinstance(typed, str) and not path.exists() and path.name == typed:
        found = _called(vault, typed)
        if found:
            return found
    return _at(vault, path, name)


def place_of(vault: Vault, typed: str | Path) -> Model:
    """Return the one model that ``typed`` stands for, also where nothing of it is left but what the vault knows."""
    try:
        return only(typed, models_at(vault, typed))
    except NotFound:
        wanted = Path(typed).absolute()
        for head in reversed(vault.heads(deleted=True)):
            folder = vault.home / head.source
            if wanted in (folder / head.model_name, folder) or is_model_name(str(typed), head.model_name):
                kind, single = head.document["model"]["kind"], head.document["model"]["single"]
                return Model(str(kind), head.model_name, head.model_type, folder, (), single=bool(single))
        raise


def all_in_place(vault: Vault) -> list[Model]:
    """Return the models that have snapshots and are in their places, by name."""
    found: list[Model] = []
    for name in sorted({head.model_name for head in vault.heads()}):
        found += [model for model in _called(vault, name) if model not in found]
    return found


def only(typed: str | Path, found: Sequence[Model], hint: str = "") -> Model:
    """Return the one model in ``found``; raises AmbiguousError, with a ``hint``, where there are several."""
    if len(found) > 1:
        places = ", ".join(str(model.folder / model.name) for model in found)
        raise AmbiguousError(f"{typed} holds several models; say which{hint}: {places}.")
    return found[0]


def _called(vault: Vault, name: str) -> list[Model]:
    found: list[Model] = []
    seen: set[tuple[str, str]] = set()
    for head in reversed(vault.heads()):
        told = head.source, head.model_name
        # One file of a folder is told from another only by the manifest.
        if not is_model_name(name, head.model_name) or (told in seen and not head.document["model"]["single"]):
            continue
        seen.add(told)
        place = _place(vault, head)
        try:
            found += [model for model in _at(vault, place, None) if model not in found] if place is not None else []
        except NotFound:
            continue
    return found


def _place(vault: Vault, head: Head) -> Path | None:
    """Return where the model of a snapshot was, as it is typed; None where there is no such folder."""
    folder = vault.home / head.source
    if not folder.is_dir():
        return None
    if head.document["model"]["kind"] != "generic":
        return folder / head.model_name
    return folder / _file_of(vault, head) if head.document["model"]["single"] else folder


def _at(vault: Vault, path: Path, name: str | None) -> list[Model]:
    found = resolve(path, name)
    if name is not None or found[0].kind != "generic":
        return found
    return [replace(found[0], name=_known_name(vault, found[0]) or found[0].name)]


def _known_name(vault: Vault, model: Model) -> str | None:
    """Return what the vault calls a generic model: by its newest snapshot, else by what was restored there."""
    source = vault.source_of(model.folder)
    for head in vault.newest_first():
        told = head.document["model"]
        if (told["kind"], told["source"], told["single"]) == (model.kind, source, model.single) and (
            not model.single or _file_of(vault, head) == model.files[0].path
        ):
            return head.model_name
    names = [name for name, id in vault.remembered_in(model.folder) if _holds(vault, id, model)]
    return names[0] if len(names) == 1 else None


def _holds(vault: Vault, id: str, model: Model) -> bool:
    """Tell whether a snapshot is of such a generic model: a whole folder, or that very file."""
    try:
        manifest = vault.manifest(id)
    except CasvaultError:
        return False
    if (manifest.model_kind, manifest.single) != (model.kind, model.single):
        return False
    return not model.single or [file.path for file in manifest.files] == [file.path for file in model.files]


def _file_of(vault: Vault, head: Head) -> str:
    try:
        return next((file.path for file in vault.manifest(head.id).files), "")
    except CasvaultError:
        return ""
