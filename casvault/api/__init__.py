"""The Python interface: what ``import casvault`` offers.

Stable; every method does one operation of the same name and returns its result as a dataclass. A `Progress` that is
passed in is told how far it is, and can cancel it. Methods lie in a module for each subject; `Vault` has them all.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casvault.api.checking import Checking
from casvault.api.keeping import Keeping
from casvault.api.locating import find_again, find_vault, models_at, models_near, path_to, place_for_vault
from casvault.api.restoring import Restoring
from casvault.api.syncing import Syncing
from casvault.api.taking import Taking
from casvault.capture import Patience
from casvault.manifest.label import check_name, check_notes
from casvault.manifest.manifest import Manifest
from casvault.models import Model, Trainer
from casvault.vault.head import Head
from casvault.vault.vault import Vault as StoredVault
from casvault.vault.vault import open_vault

if TYPE_CHECKING:
    from casvault.api.remote_vault import RemoteVault
    from casvault.check import LastChecked, VerifyResult
    from casvault.delete import DeleteResult
    from casvault.diff import Diff
    from casvault.diff.report import FileChange, TensorChange, ValueChange
    from casvault.gc import GcResult
    from casvault.health.examine import Health
    from casvault.history import LossHistory
    from casvault.prune import PrunePlan, Rules
    from casvault.restore import RestoreOptions, RestorePlan, RestoreResult
    from casvault.snapshot import SnapshotResult
    from casvault.snapshot.status import Status
    from casvault.sync import Comparison, Exchange, RemoteEntry, SyncResult
    from casvault.thin import ThinResult
    from casvault.usage.coding import Coding
    from casvault.usage.usage import SnapshotUsage, Usage, VaultUsage
    from casvault.watch import Event, Rhythm, Watcher

__all__ = [
    "Coding",
    "Comparison",
    "DeleteResult",
    "Diff",
    "Event",
    "Exchange",
    "FileChange",
    "GcResult",
    "Head",
    "Health",
    "LastChecked",
    "LossHistory",
    "Manifest",
    "Model",
    "Patience",
    "PrunePlan",
    "RemoteEntry",
    "RemoteVault",
    "RestoreOptions",
    "RestorePlan",
    "RestoreResult",
    "Rhythm",
    "Rules",
    "SnapshotResult",
    "SnapshotUsage",
    "Status",
    "SyncResult",
    "TensorChange",
    "ThinResult",
    "Trainer",
    "Usage",
    "ValueChange",
    "Vault",
    "VaultUsage",
    "VerifyResult",
    "Watcher",
    "check_name",
    "check_notes",
    "find_again",
    "find_vault",
    "init",
    "models_at",
    "models_near",
    "open",
    "path_to",
    "place_for_vault",
]

_HOMES = {
    "Coding": "casvault.usage.coding",
    "Comparison": "casvault.sync",
    "DeleteResult": "casvault.delete",
    "Diff": "casvault.diff",
    "Event": "casvault.watch",
    "Exchange": "casvault.sync",
    "FileChange": "casvault.diff.report",
    "GcResult": "casvault.gc",
    "Health": "casvault.health.examine",
    "LastChecked": "casvault.check",
    "LossHistory": "casvault.history",
    "PrunePlan": "casvault.prune",
    "RemoteEntry": "casvault.sync",
    "RemoteVault": "casvault.api.remote_vault",
    "RestoreOptions": "casvault.restore",
    "RestorePlan": "casvault.restore",
    "RestoreResult": "casvault.restore",
    "Rhythm": "casvault.watch",
    "Rules": "casvault.prune",
    "SnapshotResult": "casvault.snapshot",
    "SnapshotUsage": "casvault.usage.usage",
    "Status": "casvault.snapshot.status",
    "SyncResult": "casvault.sync",
    "TensorChange": "casvault.diff.report",
    "ThinResult": "casvault.thin",
    "Usage": "casvault.usage.usage",
    "ValueChange": "casvault.diff.report",
    "VaultUsage": "casvault.usage.usage",
    "VerifyResult": "casvault.check",
    "Watcher": "casvault.watch",
}
"""What is loaded when it is asked for: few commands need more than one of them."""


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def init(path: str | Path) -> Vault:
    """Make a vault in the folder ``path``, or take the one that is there, and open it.

    Raises UsageError for a folder that holds something else, or lies in a model's folder or a workspace.
    """
    StoredVault.create_at(Path(path))
    return open(path)


def open(path: str | Path, *, threads: int | None = None) -> Vault:
    """Open the vault in the folder ``path``; it works with ``threads`` threads, by default one per core.

    Raises NoVault, UnsupportedVault.
    """
    folder = Path(path).absolute()
    backend, config = open_vault(folder)
    return Vault(backend, config, folder, threads)


class Vault(Taking, Restoring, Keeping, Checking, Syncing):
    """An open vault."""
