"""Sync: snapshots travel between vaults, as objects that are sent as they are stored.

Most names below load on first use: `ssh` is to be on its way before that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from casvault.sync.connect import connect
from casvault.sync.reach import reach

if TYPE_CHECKING:
    from casvault.sync.comparison import Comparison, compare
    from casvault.sync.exchange import Exchange
    from casvault.sync.remotes import RemoteEntry, Remotes
    from casvault.sync.result import SyncOptions, SyncResult
    from casvault.sync.server import serve
    from casvault.sync.transfer import pull, push, sync
    from casvault.sync.trial import Trial, examine

__all__ = [
    "Comparison",
    "Exchange",
    "RemoteEntry",
    "Remotes",
    "SyncOptions",
    "SyncResult",
    "Trial",
    "compare",
    "connect",
    "examine",
    "pull",
    "push",
    "reach",
    "serve",
    "sync",
]

_HOMES = {
    "Comparison": "comparison",
    "Exchange": "exchange",
    "RemoteEntry": "remotes",
    "Remotes": "remotes",
    "SyncOptions": "result",
    "SyncResult": "result",
    "Trial": "trial",
    "compare": "comparison",
    "examine": "trial",
    "pull": "transfer",
    "push": "transfer",
    "serve": "server",
    "sync": "transfer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"casvault.sync.{_HOMES[name]}"), name)
