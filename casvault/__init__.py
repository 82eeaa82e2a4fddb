"""casvault: model versioning for people who train.

::

    import casvault

    vault = casvault.open(".casvault")
    snap = vault.snapshot("workspace/model/new_SAEHD", name="before GAN", notes="batch 8, lr 5e-5")
    vault.restore(snap.id)

The names below load on first use, so that ``import casvault`` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casvault.api import Vault, init, open
    from casvault.capture import Patience
    from casvault.errors import CasvaultError
    from casvault.progress import Progress
    from casvault.prune import Rules
    from casvault.restore import RestoreOptions
    from casvault.watch import Rhythm

__version__ = "0.1.0"

__all__ = [
    "CasvaultError",
    "Patience",
    "Progress",
    "RestoreOptions",
    "Rhythm",
    "Rules",
    "Vault",
    "__version__",
    "init",
    "open",
]

_HOMES = {
    "CasvaultError": "casvault.errors",
    "Patience": "casvault.capture",
    "Progress": "casvault.progress",
    "RestoreOptions": "casvault.restore",
    "Rhythm": "casvault.watch",
    "Rules": "casvault.prune",
    "Vault": "casvault.api",
    "init": "casvault.api",
    "open": "casvault.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'casvault' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
