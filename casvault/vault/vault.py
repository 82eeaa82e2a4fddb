"""An opened vault.

Owns the order that makes a snapshot real: objects first, then the label, the manifest last; and the walls around a
vault: it never lies inside a model's folder or a trainer's workspace, where clearing scripts would delete it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from casvault.backends import Backend, LocalBackend
from casvault.errors import CasvaultError, NoSpace, NotFound, NoVault, StorageError, UsageError
from casvault.files.durable import make_folder
from casvault.files.locks import FolderLocks, Locks
from casvault.manifest.label import Label
from casvault.manifest.stamp import Stamp
from casvault.vault.config import CONFIG, MAX_CONFIG, VaultConfig
from casvault.vault.head import Head
from casvault.vault.heads import LABELS, MAX_DOCUMENT, SNAPSHOTS, HeadIndex
from casvault.vault.live import LiveRecord

if TYPE_CHECKING:
    from casvault.manifest.manifest import Manifest
    from casvault.models import Model
    from casvault.objects import ObjectStore

__all__ = ["README", "README_NAME", "VAULT_FOLDER", "Vault"]

VAULT_FOLDER = ".casvault"
_FOLDERS = ("objects", "snapshots", "labels", "live", "pending", "tmp", "cache")
_WORKSPACE = ("model", "data_src", "data_dst")
README_NAME = "README.txt"
README = """\
This folder is a casvault vault: snapshots of trained models.
Keep it whole: do not rename, edit or delete files in it by hand. Only cache/ may be deleted at any time.
`casvault list` shows what is in it, `casvault restore` brings a snapshot back, `casvault verify` checks it.
The format is described in docs/format.md of casvault.
"""


class Vault:
    """A vault that is open. ``path`` is its folder, None for one in memory; ``threads`` how many it may use."""

    def __init__(
        self, backend: Backend, config: VaultConfig, path: Path | None = None, threads: int | None = None
    ) -> None:
        self.backend = backend
        self.config = config
        self.path = path
        self.threads = threads or default_threads()
        self.index = HeadIndex(backend)
        self.locks: Locks = FolderLocks(path) if path is not None else Locks()

    @staticmethod
    def create_at(path: Path) -> bool:
        """Make a vault in the folder ``path``; False where there is one already, which is left as it is.

        Raises UsageError for a folder that holds something else, or lies in a model's folder or a workspace.
        """
        path = Path(os.path.abspath(path))
        if (path / CONFIG).is_file():
            return False
        _check_place(path)
        backend = LocalBackend(path)
        try:
            make_folder(path)
            for name in _FOLDERS:
                make_folder(path / name)
            for name in ("lock", "gate", "tmp/one-labels.lock", "tmp/one-gc.lock"):
                (path / name).touch()
        except OSError as error:
            raise StorageError(f"cannot make a vault at {path}: {error.strerror}.") from error
        backend.write(README_NAME, README.encode())
        backend.write(CONFIG, VaultConfig().to_bytes())
        return True

    def heads(self, *, deleted: bool = False) -> list[Head]:
        """Return the snapshots' heads, oldest first; those that were deleted only when asked for."""
        return [head for head in self.index.read().heads if deleted or not head.label.deleted]

    def newest_first(self) -> Iterator[Head]:
        """Yield the heads of snapshots that were not deleted, newest first; who stops early pays for few."""
        return (head for head in self.index.newest_first() if not head.label.deleted)

    def head(self, id: str) -> Head:
        """Return the head of snapshot ``id``; raises NotFound."""
        for head in self.index.read().heads:
            if head.id == id:
                return head
        raise NotFound(f"there is no snapshot {id}.")

    def manifest(self, id: str) -> Manifest:
        """Return the manifest of snapshot ``id``; raises NotFound, BadManifest, UnsupportedVault."""
        from casvault.manifest.manifest import Manifest

        return Manifest.parse(self.backend.read(f"{SNAPSHOTS}/{id}.json", MAX_DOCUMENT), id)

    def new_id(self) -> str:
        """Return an id for a snapshot, later than every other."""
        return Stamp.new(self.index.newest_id())

    def stored_size(self, manifest: Manifest) -> int:
        """Return the bytes that the objects of a snapshot take, those that others share included, and its picture's."""
        encodings = (self.objects.encodings(digest) for digest in {chunk.digest for chunk in manifest.chunks()})
        return sum(found[0].size for found in encodings if found)

    def picture(self, manifest: Manifest) -> bytes | None:
        """Return the picture of a snapshot, None where it has none; raises MissingObject, DamageError."""
        preview = manifest.preview
        return bytes(self.objects.read(preview.digest, preview.size)) if preview is not None else None

    def commit(self, manifest: Manifest, label: Label) -> Head:
        """Write a snapshot whose objects are durable; it exists when this returns its head."""
        data = manifest.to_bytes()
        try:
            type(manifest).parse(data, manifest.id)
        except CasvaultError as error:
            raise UsageError(f"this cannot be recorded in a way that could be read again: {error}") from error
        stamp = self.write_label(label) if label != Label(manifest.id) else None
        self.backend.write(f"{SNAPSHOTS}/{manifest.id}.json", data)
        head = Head(manifest.head(), label, manifest.logical_size, len(manifest.files), manifest.contents)
        self.index.add(head, len(data), stamp)
        return head

    def write_label(self, label: Label) -> str:
        """Write a label that wins over all earlier ones of its snapshot; return its stamp."""
        stamp = Stamp.new(next(filter(Stamp.valid, self.index.labels.of(label.snapshot)), None))
        self.backend.write(f"{LABELS}/{label.snapshot}.{stamp}.json", label.to_bytes())
        return stamp

    def relabel(self, id: str, what: str, change: Callable[[Label], Label]) -> Label:
        """Put what ``change`` makes of a snapshot's label in its place; ``what`` says so to who waits for it.

        Raises what ``change`` raises, Locked, NoSpace, StorageError; then nothing is changed.
        """
        with self.locks.one("labels"), self.locks.shared(what):
            old = self.index.labels.to_change(id)
            new = change(old.label)
            if new != old.label or old.doubtful:
                try:
                    self.write_label(new)
                except NoSpace:
                    # On a full disk a deletion is what makes room.
                    self.index.drop_cache()
                    self.write_label(new)
            return new

    @cached_property
    def objects(self) -> ObjectStore:
        """The objects; imported on first use, since lists have no need of them."""
        from casvault.objects import ObjectStore

        return ObjectStore(self.backend)

    @property
    def home(self) -> Path:
        """The folder that sources are relative to: the one around the vault."""
        return self.path.parent if self.path is not None else Path.cwd()

    def source_of(self, folder: Path) -> str:
        """Return how a manifest writes a model's ``folder``: relative to `home` where it lies below it."""
        try:
            return folder.relative_to(self.home).as_posix()
        except ValueError:
            return folder.as_posix()

    @property
    def interrupted(self) -> bool:
        """Whether a restore is under way, or was interrupted."""
        return any(entry.name.startswith("restore-") for entry in self.backend.list("tmp"))

    def live_key(self, model: Model) -> str:
        """Return the key under which the vault remembers a model: where it really is, and its name."""
        return f"{self._real_place(model.folder)}\n{model.name}"

    def remembered_in(self, folder: Path) -> list[tuple[str, str]]:
        """Return name and snapshot of the models that the vault remembers in ``folder``."""
        place = self._real_place(folder)
        found = []
        for key in LiveRecord.keys(self.backend):
            where, _, name = key.rpartition("\n")
            record = self.live(key) if where == place else None
            if record is not None:
                found.append((name, record.snapshot))
        return sorted(found)

    def places_of(self, name: str) -> list[Path]:
        """Return the folders that are there and in which the vault remembers a model called ``name``."""
        home = Path(os.path.realpath(self.home))
        places = {home / key.rpartition("\n")[0] for key in LiveRecord.keys(self.backend) if key.endswith(f"\n{name}")}
        return sorted(place for place in places if place.is_dir())

    def _real_place(self, folder: Path) -> str:
        home, real = Path(os.path.realpath(self.home)), Path(os.path.realpath(folder))
        return (real.relative_to(home) if real.is_relative_to(home) else real).as_posix()

    def live(self, key: str) -> LiveRecord | None:
        """Return what is remembered of the model that ``key`` stands for."""
        return LiveRecord.read(self.backend, key)

    def remember(self, key: str, record: LiveRecord, *, durable: bool = False) -> None:
        """Remember ``record`` for the model that ``key`` stands for; raises NoSpace, StorageError."""
        record.write(self.backend, key, durable=durable)

    def check_outside_of(self, model: Model) -> None:
        """Refuse a model that is the whole of a folder in which the vault lies; raises UsageError."""
        if model.kind == "generic" and not model.single:
            self.check_outside(model.folder)

    def check_outside(self, folder: Path) -> None:
        """Refuse a model whose folder the vault lies in, where a restore would remove it; raises UsageError."""
        if self.path is None:
            return
        inside = Path(os.path.relpath(os.path.realpath(self.path), os.path.realpath(folder)))
        if inside.parts[:1] != ("..",) and not inside.is_absolute() and not inside.name.startswith(VAULT_FOLDER):
            raise UsageError(f"the vault {self.path} lies in the model's folder {folder}; move it out of there first.")


def open_vault(path: Path) -> tuple[LocalBackend, VaultConfig]:
    """Return backend and configuration of the vault in ``path``; raises NoVault, UnsupportedVault."""
    backend = LocalBackend(path)
    try:
        data = backend.read(CONFIG, MAX_CONFIG)
    except NotFound:
        raise NoVault(f"there is no vault at {path}; `casvault init` makes one.") from None
    except StorageError as error:
        raise NoVault(f"the vault at {path} cannot be read: {error}") from error
    return backend, VaultConfig.parse(data, str(path))


def default_threads() -> int:
    """Return the number of worker threads: $CASVAULT_THREADS, else one per core that this process may use."""
    text = os.environ.get("CASVAULT_THREADS", "")
    if text.isdecimal() and len(text) < 10 and int(text) > 0:
        return min(int(text), 64)
    cores: Iterable[int] = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return min(len(list(cores)), 16)


def is_workspace(folder: Path) -> bool:
    """Tell whether ``folder`` is a trainer's workspace, which its scripts clear.

    Rented machines often mount their disk at /workspace: there it takes more than the name.
    """
    if folder.name.lower() != "workspace":
        return False
    return folder.parent != folder.parent.parent or any((folder / name).is_dir() for name in _WORKSPACE)


def _check_place(path: Path) -> None:
    from casvault.models import find_models

    try:
        if path.is_dir():
            strangers = {entry.name for entry in path.iterdir()} - {*_FOLDERS, "lock", "gate", README_NAME}
            if any(not name.endswith(".tmp") for name in strangers):
                raise UsageError(
                    f"{path} is not empty; say a folder of the vault's own, such as {path / VAULT_FOLDER}."
                )
        elif path.exists():
            raise UsageError(f"{path} is a file; a vault is a folder.")
        for above in (path, *path.parents):
            if is_workspace(above):
                raise UsageError(
                    f"a vault in {above} would be deleted by the trainer's clearing scripts; "
                    f"put it beside: {above.parent / VAULT_FOLDER}."
                )
        nearest = next((folder for folder in path.parents if folder.is_dir()), None)
        if nearest is not None and find_models(nearest):
            raise UsageError(f"{nearest} holds a model; a vault in there would break the trainer. Put it elsewhere.")
    except OSError as error:
        raise StorageError(f"cannot make a vault at {path}: {error.strerror}.") from error
