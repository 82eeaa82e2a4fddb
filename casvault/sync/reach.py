"""Reaching a remote of a vault: from what people type, a name or an address, to the vault that it names, opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casvault.sync.connect import connect
from casvault.sync.remotes import RemoteEntry, Remotes
from casvault.vault.vault import Vault

if TYPE_CHECKING:
    from casvault.sync.remote import Remote

__all__ = ["reach"]


def reach(vault: Vault, remote: str, *, make: bool = False) -> tuple[RemoteEntry, Remote]:
    """Return what ``remote`` means to ``vault``, and the vault there, which the caller closes.

    With ``make`` an empty place in a bucket will do: what is sent first makes a vault there.

    Raises NotFound, UsageError, NoVault, UnsupportedVault, RemoteError.
    """
    entry = Remotes(vault).find(remote)
    return entry, connect(entry, vault.threads, vault, make=make)
