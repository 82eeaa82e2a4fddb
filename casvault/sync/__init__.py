"""Sync: snapshots travel between vaults, as objects that are sent as they are stored."""

from casvault.sync.connect import connect
from casvault.sync.remotes import RemoteEntry, Remotes
from casvault.sync.server import serve
from casvault.sync.transfer import SyncOptions, SyncResult, pull, push, sync

__all__ = ["RemoteEntry", "Remotes", "SyncOptions", "SyncResult", "connect", "pull", "push", "serve", "sync"]
