"""Sync: snapshots travel between vaults, as objects that are sent as they are stored."""

from casvault.sync.comparison import Comparison, compare
from casvault.sync.connect import connect
from casvault.sync.exchange import Exchange
from casvault.sync.reach import reach
from casvault.sync.remotes import RemoteEntry, Remotes
from casvault.sync.server import serve
from casvault.sync.transfer import SyncOptions, SyncResult, pull, push, sync
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
