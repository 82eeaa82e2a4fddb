"""Where a vault's bytes live."""

from casvault.backends.backend import Backend, Batch, Entry, Listing, storage_errors
from casvault.backends.local import LocalBackend
from casvault.backends.memory import MemoryBackend

__all__ = ["Backend", "Batch", "Entry", "Listing", "LocalBackend", "MemoryBackend", "storage_errors"]
